// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QString>
#include <QStringList>
#include <QTimer>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "engine/session/session.h"

namespace haq::ui {

/// Facts of the loaded model, copied so that the GUI never waits for the engine.
struct ModelInfo {
  QString folder;        ///< as given; empty for the demo model that ships with the program
  QString name;          ///< for display
  QString architecture;  ///< "MixtralForCausalLM"
  QString family;        ///< "mixtral"
  QString precision;     ///< "bf16", "f16", "f32", "w8a8"
  QString compute;       ///< the effective one: "int8", "bf16", "fp32"
  int layers = 0;
  int experts = 0;  ///< 0 when dense
  int topK = 0;
  qint64 maxContext = 0;
  qint64 parameters = 0, activeParameters = 0;
  qint64 mappedBytes = 0, packedBytes = 0, ownedBytes = 0;
  bool hasChatTemplate = false;
  int threads = 0;
  QString device;  ///< what computes, e.g. the processor's instruction set
  double loadSeconds = 0;
  session::SamplingOptions sampling;  ///< the model's own defaults for a chat
  bool isDemo = false;
};

struct LoadRequest {
  nn::Compute compute = nn::Compute::kAuto;
  int threads = 0;         ///< 0: one per physical core
  int prefillChunk = 512;  ///< 1..8192
};

/// One answer to be written.
struct GenerationRequest {
  /// Conversations with equal keys share keys and values: a prompt that starts like the last one
  /// of its key computes only the rest.
  QString conversation;
  nlohmann::ordered_json messages;  ///< array of {role, content, ...}
  /// Text the answer starts with, already on the screen ("continue"); not repeated in tokensReady.
  QString answerPrefix;
  std::optional<session::SamplingOptions> sampling;  ///< none: the model's own
  int maxTokens = 512;                               ///< at least 1
  session::OverflowPolicy overflow = session::OverflowPolicy::kDropOldest;
  QStringList stop;
  bool parseSpecial = false;  ///< text of messages may become special tokens
};

enum class Finish { kEos, kStop, kLength, kContext, kCancelled, kError };
QString finishName(Finish finish);  ///< eos, stop, length, context, cancelled, error

struct GenerationSummary {
  Finish finish = Finish::kEos;
  qint64 promptTokens = 0, reusedTokens = 0, generatedTokens = 0;
  double ttftSeconds = 0, prefillSeconds = 0, decodeSeconds = 0;
  double prefillTokensPerSecond = 0, decodeTokensPerSecond = 0;
  session::SamplingOptions sampling;  ///< the effective ones, seed included
  int maxTokens = 0;
  int droppedMessages = 0;  ///< oldest turns left out to fit the context
  qint64 contextTokens = 0, contextLimit = 0;
  qint64 kvBytes = 0;
  QString model;        ///< name of the model that answered
  QString error, hint;  ///< only with kError: what and why, what to do
};

class EngineWorker;
class EngineMailbox;

/// The engine as the GUI sees it: one thread of its own on which models are loaded and answers are
/// written, one after the other. All methods are called on the GUI thread and return at once; all
/// signals arrive there. Progress and text are collected by the engine thread and handed over in
/// batches every 30 ms, so that no burst of tokens floods the event loop.
class EngineController : public QObject {
  Q_OBJECT
 public:
  enum class State { kNoModel, kLoading, kReady, kGenerating };
  Q_ENUM(State)

  explicit EngineController(QObject* parent = nullptr);
  ~EngineController() override;  ///< stops what runs and waits for the thread

  /// Replaces the model; an empty folder means the demo model. The old one is unloaded first, so
  /// that two never need memory together. A generation that runs is stopped.
  void loadModel(const QString& folder, const LoadRequest& request = {});
  void cancelLoad();
  void unload();

  /// Queues an answer and returns its id, never 0. Fails through generationFinished (kError) when
  /// no model is loaded.
  quint64 generate(const GenerationRequest& request);
  /// Stops the running answer and those queued behind it; each still gets its generationFinished.
  void stop();
  /// Forgets keys and values of a conversation (deleted, or to be computed afresh).
  void forget(const QString& conversation);
  /// Asks how many tokens the messages would take; answered by promptMeasured. Runs between
  /// answers; only the latest question is answered.
  void measure(quint64 tag, const nlohmann::ordered_json& messages);

  State state() const { return m_state; }
  bool busy() const { return m_state == State::kLoading || m_state == State::kGenerating; }
  /// Facts of the loaded model; none while there is no model.
  const std::optional<ModelInfo>& model() const { return m_model; }
  /// Folder being loaded now, for display.
  const QString& loadingFolder() const { return m_loadingFolder; }

 Q_SIGNALS:
  void stateChanged(haq::ui::EngineController::State state);
  void modelLoading(const QString& stage, quint64 done, quint64 total);  ///< total 0: not known
  void modelLoaded(const haq::ui::ModelInfo& info);
  /// `hint` says what to do next and may be empty. Also after cancelLoad, with `cancelled`.
  void modelFailed(const QString& message, const QString& hint, bool cancelled);
  void modelUnloaded();
  void prefillProgress(quint64 id, qint64 done, qint64 total);
  /// Text to append and the number of tokens it came from.
  void tokensReady(quint64 id, const QString& text, int tokens);
  void generationStarted(quint64 id);
  void generationFinished(quint64 id, const haq::ui::GenerationSummary& summary);
  void promptMeasured(quint64 tag, qint64 tokens, qint64 limit);

 private:
  struct Running {
    quint64 id = 0;
    CancelToken cancel;
  };

  void updateState();
  void drain();
  /// Runs `handle` on the GUI thread after everything the engine thread reported before.
  void post(std::function<void()> handle);
  void finish(quint64 id, const GenerationSummary& summary);

  std::shared_ptr<EngineMailbox> m_mailbox;
  QTimer m_drainTimer;
  State m_state = State::kNoModel;
  std::optional<ModelInfo> m_model;
  QString m_loadingFolder;
  CancelToken m_loadCancel;
  std::vector<Running> m_running;  ///< answers asked for and not yet finished, oldest first
  int m_loads = 0;                 ///< loads asked for and not yet answered
  quint64 m_nextId = 1;
  quint64 m_latestMeasure = 0;
  std::unique_ptr<EngineWorker> m_worker;  ///< last: joins its thread before the rest goes
};

}  // namespace haq::ui
