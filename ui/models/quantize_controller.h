// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "ui/models/quantize_heatmap_model.h"
#include "ui/models/quantize_order.h"
#include "ui/models/quantize_services.h"
#include "ui/models/quantize_tables.h"
#include "ui/models/time_left.h"

namespace haq::ui {

/// Where a run stands, as of the last look.
struct QuantizeFacts {
  QString stage;
  double share = 0;  ///< of the whole run, 0..1
  int layer = -1, layers = 0, layersDone = 0, layersResumed = 0;
  std::optional<quant::Preflight> preflight;
  std::optional<CalibrationFacts> calibration;
  std::vector<quant::RotationTrial> trials;
  std::optional<quant::QualityReport> quality;
  std::vector<quant::AblationRow> ablation;
};

/// A quantization as the GUI sees it: one run at a time on a thread of its own, beside the chat's
/// engine. All methods are called on the GUI thread and return at once; what the run reports is
/// gathered and put into the models 30 times a second while it runs.
class QuantizeController : public QObject {
  Q_OBJECT
 public:
  enum class State { kIdle, kRunning, kPaused, kStopping };
  Q_ENUM(State)

  explicit QuantizeController(QuantizeServices services, QObject* parent = nullptr);
  ~QuantizeController() override;  ///< cancels what runs and waits for it; layers done stay

  /// Starts a run; ignored while one runs. `shape` (may be null) lays out the heatmap beforehand.
  void start(const QuantizeOrder& order, int threads, quant::ResumeMode resume,
             const model::ModelConfig* shape = nullptr);
  void pause();  ///< between two modules
  void resume();
  void cancel();  ///< finished layers stay in the target, to be continued

  State state() const { return m_state; }
  bool busy() const { return m_state != State::kIdle; }
  const QuantizeOrder& order() const { return m_order; }  ///< of the run, or of the last one
  const QuantizeFacts& facts() const { return m_facts; }
  double elapsedSeconds() const;  ///< pauses left out
  std::optional<double> secondsLeft() const;
  QString commandLine(const QuantizeOrder& order, quant::ResumeMode resume) const;
  const QuantizeServices& services() const { return m_services; }

  QuantizeHeatmapModel& errors() { return m_errors; }
  LayerErrorsModel& layerErrors() { return m_layerErrors; }
  ExpertCoverageModel& coverage() { return m_coverage; }

 Q_SIGNALS:
  void stateChanged(haq::ui::QuantizeController::State state);
  void started();
  void advanced();  ///< facts and models have news; at most 30 times a second
  void finished(const std::shared_ptr<const haq::quant::Report>& report);
  /// `hint` says what to do next and may be empty. After cancel(): `cancelled`.
  void failed(const QString& message, const QString& hint, bool cancelled);

 private:
  void setState(State state);
  void drain();
  session::QuantizeJobEvents events() const;

  QuantizeServices m_services;
  QuantizeOrder m_order;
  QuantizeFacts m_facts;
  QuantizeHeatmapModel m_errors;
  LayerErrorsModel m_layerErrors;
  ExpertCoverageModel m_coverage;
  std::shared_ptr<QuantizeMailbox> m_mailbox;
  QTimer m_drainTimer;
  QElapsedTimer m_clock;
  double m_before = 0;  ///< seconds run before the last pause
  TimeLeft m_timeLeft;
  State m_state = State::kIdle;
  CancelToken m_cancel;
  quant::PauseToken m_pause;
  std::thread m_thread;
};

}  // namespace haq::ui
