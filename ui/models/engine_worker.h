// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "ui/models/engine_controller.h"
#include "ui/models/engine_mailbox.h"

namespace haq::ui {

/// The engine's side of EngineController: a thread that runs tasks in order and owns the model and
/// the conversations' keys and values. Only submit() may be called from other threads; the rest
/// runs inside a task.
class EngineWorker {
 public:
  using Task = std::function<void(EngineWorker&)>;

  explicit EngineWorker(std::shared_ptr<EngineMailbox> mailbox);
  ~EngineWorker();  ///< drops waiting tasks, waits for the running one
  EngineWorker(const EngineWorker&) = delete;
  EngineWorker& operator=(const EngineWorker&) = delete;

  void submit(Task task);

  bool hasModel() const { return m_model != nullptr; }
  /// Opens and checks a folder without loading it: a refusal costs the loaded model nothing.
  static void inspect(const QString& folder);
  ModelInfo load(const QString& folder, const LoadRequest& request, const CancelToken& cancel);
  void unload();
  GenerationSummary generate(quint64 id, const GenerationRequest& request,
                             const CancelToken& cancel);
  void forget(const QString& conversation);
  qint64 measure(const nlohmann::ordered_json& messages) const;
  qint64 contextLimit() const;

 private:
  struct Conversation {
    QString key;
    std::unique_ptr<session::Context> context;
  };

  void run(const std::stop_token& stop);
  session::Context& contextOf(const QString& conversation);
  std::vector<std::int32_t> prompt(const GenerationRequest& request, GenerationSummary& summary);

  std::shared_ptr<EngineMailbox> m_mailbox;
  std::shared_ptr<session::Model> m_model;
  QString m_modelName;
  std::list<Conversation> m_conversations;  ///< most recently used first
  std::mutex m_mutex;
  std::condition_variable_any m_wake;
  std::deque<Task> m_tasks;
  std::jthread m_thread;
};

}  // namespace haq::ui
