// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/engine_controller.h"

#include <algorithm>
#include <new>

#include "ui/models/engine_mailbox.h"
#include "ui/models/engine_worker.h"

namespace haq::ui {

namespace {

constexpr int kBatchMs = 30;

struct Failure {
  QString message, hint;
  bool cancelled = false;
};

/// Every exception that may leave the engine, as words for the user. Call inside a catch block.
Failure currentFailure() {
  try {
    throw;
  } catch (const Error& error) {
    return {QString::fromUtf8(error.what()), QString::fromStdString(error.hint()),
            error.code() == ErrorCode::kCancelled};
  } catch (const std::bad_alloc&) {
    return {QStringLiteral("out of memory"),
            QStringLiteral("Close other programs, or choose a smaller model or context."), false};
  } catch (const std::exception& error) {
    return {QString::fromUtf8(error.what()), {}, false};
  }
}

}  // namespace

QString finishName(Finish finish) {
  switch (finish) {
    case Finish::kEos:
      return QStringLiteral("eos");
    case Finish::kStop:
      return QStringLiteral("stop");
    case Finish::kLength:
      return QStringLiteral("length");
    case Finish::kContext:
      return QStringLiteral("context");
    case Finish::kCancelled:
      return QStringLiteral("cancelled");
    case Finish::kError:
      break;
  }
  return QStringLiteral("error");
}

EngineController::EngineController(QObject* parent)
    : QObject(parent),
      m_mailbox(std::make_shared<EngineMailbox>()),
      m_worker(std::make_unique<EngineWorker>(m_mailbox)) {
  m_drainTimer.setInterval(kBatchMs);
  connect(&m_drainTimer, &QTimer::timeout, this, &EngineController::drain);
}

EngineController::~EngineController() {
  m_loadCancel.cancel();
  for (const Running& running : m_running) running.cancel.cancel();
  m_worker.reset();
}

void EngineController::post(std::function<void()> handle) {
  QMetaObject::invokeMethod(
      this,
      [this, handle = std::move(handle)] {
        drain();
        handle();
      },
      Qt::QueuedConnection);
}

void EngineController::loadModel(const QString& folder, const LoadRequest& request) {
  stop();
  m_loadCancel.cancel();
  m_loadCancel = CancelToken();
  m_loadingFolder = folder;
  ++m_loads;
  updateState();
  m_worker->submit([this, folder, request, cancel = m_loadCancel](EngineWorker& worker) {
    try {
      cancel.check();
      if (worker.hasModel()) {
        EngineWorker::inspect(folder);
        worker.unload();
        post([this] {
          m_model.reset();
          Q_EMIT modelUnloaded();
        });
      }
      const ModelInfo info = worker.load(folder, request, cancel);
      post([this, info] {
        --m_loads;
        m_model = info;
        updateState();
        Q_EMIT modelLoaded(info);
      });
    } catch (...) {
      post([this, failure = currentFailure()] {
        --m_loads;
        updateState();
        Q_EMIT modelFailed(failure.message, failure.hint, failure.cancelled);
      });
    }
  });
}

void EngineController::cancelLoad() {
  m_loadCancel.cancel();
}

void EngineController::unload() {
  stop();
  m_loadCancel.cancel();
  m_worker->submit([this](EngineWorker& worker) {
    worker.unload();
    post([this] {
      m_model.reset();
      updateState();
      Q_EMIT modelUnloaded();
    });
  });
}

quint64 EngineController::generate(const GenerationRequest& request) {
  const quint64 id = m_nextId++;
  const CancelToken cancel;
  m_running.push_back({id, cancel});
  updateState();
  m_worker->submit([this, id, request, cancel](EngineWorker& worker) {
    GenerationSummary summary;
    try {
      cancel.check();
      if (!worker.hasModel()) {
        throw Error(ErrorCode::kNotFound, "no model is loaded", "Load one on the Models page.");
      }
      post([this, id] { Q_EMIT generationStarted(id); });
      summary = worker.generate(id, request, cancel);
    } catch (...) {
      const Failure failure = currentFailure();
      summary.finish = failure.cancelled ? Finish::kCancelled : Finish::kError;
      if (!failure.cancelled) {
        summary.error = failure.message;
        summary.hint = failure.hint;
      }
    }
    post([this, id, summary] { finish(id, summary); });
  });
  return id;
}

void EngineController::finish(quint64 id, const GenerationSummary& summary) {
  m_running.erase(std::remove_if(m_running.begin(), m_running.end(),
                                 [id](const Running& running) { return running.id == id; }),
                  m_running.end());
  updateState();
  Q_EMIT generationFinished(id, summary);
}

void EngineController::stop() {
  for (const Running& running : m_running) running.cancel.cancel();
}

void EngineController::forget(const QString& conversation) {
  m_worker->submit([conversation](EngineWorker& worker) { worker.forget(conversation); });
}

void EngineController::measure(quint64 tag, const nlohmann::ordered_json& messages) {
  const quint64 question = ++m_latestMeasure;
  m_worker->submit([this, tag, question, messages](EngineWorker& worker) {
    if (!worker.hasModel()) return;
    try {
      const qint64 tokens = worker.measure(messages);
      post([this, tag, question, tokens, limit = worker.contextLimit()] {
        if (question == m_latestMeasure) Q_EMIT promptMeasured(tag, tokens, limit);
      });
    } catch (const Error&) {
      // A half-written conversation that the template refuses has no length; the refusal itself is
      // shown when it is sent.
    }
  });
}

void EngineController::updateState() {
  const State state = m_loads > 0           ? State::kLoading
                      : !m_running.empty()  ? State::kGenerating
                      : m_model.has_value() ? State::kReady
                                            : State::kNoModel;
  if (state == State::kLoading || state == State::kGenerating) {
    if (!m_drainTimer.isActive()) m_drainTimer.start();
  } else {
    m_drainTimer.stop();
  }
  if (state == m_state) return;
  m_state = state;
  Q_EMIT stateChanged(state);
}

void EngineController::drain() {
  const EngineMailbox::Content content = m_mailbox->take();
  if (content.load) {
    Q_EMIT modelLoading(QString::fromStdString(content.load->stage), content.load->done,
                        content.load->total);
  }
  if (content.prefill) {
    Q_EMIT prefillProgress(content.prefill->id, content.prefill->done, content.prefill->total);
  }
  for (const EngineMailbox::Text& text : content.texts) {
    Q_EMIT tokensReady(text.id, QString::fromStdString(text.text), text.tokens);
  }
}

}  // namespace haq::ui
