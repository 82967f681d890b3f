// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_controller.h"

#include <algorithm>
#include <new>

namespace haq::ui {

namespace {

constexpr int kFrameMs = 33;

}  // namespace

QuantizeController::QuantizeController(QuantizeServices services, QObject* parent)
    : QObject(parent),
      m_services(std::move(services)),
      m_mailbox(std::make_shared<QuantizeMailbox>()) {
  m_drainTimer.setInterval(kFrameMs);
  connect(&m_drainTimer, &QTimer::timeout, this, &QuantizeController::drain);
}

QuantizeController::~QuantizeController() {
  m_cancel.cancel();
  m_pause.resume();
  if (m_thread.joinable()) m_thread.join();
}

session::QuantizeJobEvents QuantizeController::events() const {
  using Content = QuantizeMailbox::Content;
  const auto mailbox = m_mailbox;
  session::QuantizeJobEvents events;
  events.run.progress = [mailbox](const Progress& progress) {
    mailbox->put([&](Content& content) { content.progress = progress; });
  };
  events.run.preflight = [mailbox](const quant::Preflight& preflight) {
    mailbox->put([&](Content& content) { content.preflight = preflight; });
  };
  events.run.calibration = [mailbox](const quant::CalibrationData& data) {
    mailbox->put([&](Content& content) { content.calibration = CalibrationFacts::of(data); });
  };
  events.run.rotation_trial = [mailbox](const quant::RotationTrial& trial) {
    mailbox->put([&](Content& content) { content.trials.push_back(trial); });
  };
  events.run.layer_started = [mailbox](int layer, int layers) {
    mailbox->put([&](Content& content) { content.layerStarted = {layer, layers}; });
  };
  events.run.module_done = [mailbox](const quant::ModuleReport& module) {
    mailbox->put([&](Content& content) { content.modules.push_back(module); });
  };
  events.run.layer_done = [mailbox](const quant::LayerOutput& layer, bool resumed) {
    mailbox->put([&](Content& content) {
      content.layersDone.emplace_back(layer.layer, resumed);
      content.experts.insert(content.experts.end(), layer.experts.begin(), layer.experts.end());
      // The modules of a layer computed now have come one by one.
      if (!resumed) return;
      content.modules.insert(content.modules.end(), layer.modules.begin(), layer.modules.end());
    });
  };
  events.quality = [mailbox](const quant::QualityReport& quality) {
    mailbox->put([&](Content& content) { content.quality = quality; });
  };
  events.ablation = [mailbox](const quant::AblationRow& row) {
    mailbox->put([&](Content& content) { content.ablation.push_back(row); });
  };
  return events;
}

void QuantizeController::start(const QuantizeOrder& order, int threads, quant::ResumeMode resume,
                               const model::ModelConfig* shape) {
  if (busy()) return;
  if (m_thread.joinable()) m_thread.join();
  m_order = order;
  m_facts = {};
  m_mailbox->take();
  m_errors.clear();
  if (shape != nullptr) m_errors.setShape(*shape, order.expertsOnly);
  m_layerErrors.clear();
  m_coverage.clear();
  m_timeLeft.clear();
  m_before = 0;
  m_clock.start();
  m_cancel = CancelToken();
  m_pause = quant::PauseToken();
  setState(State::kRunning);
  Q_EMIT started();

  // What the thread touches is its own or shared; results come back through the event loop.
  const auto post = [this](std::function<void()> handle) {
    QMetaObject::invokeMethod(
        this,
        [this, handle = std::move(handle)] {
          drain();
          setState(State::kIdle);
          handle();
        },
        Qt::QueuedConnection);
  };
  m_thread = std::thread([this, post, run = m_services.run,
                          job = jobOptions(order, threads, resume), events = events(),
                          cancel = m_cancel, pause = m_pause] {
    const auto fail = [this, &post](const QString& message, const QString& hint, bool cancelled) {
      post([this, message, hint, cancelled] { Q_EMIT failed(message, hint, cancelled); });
    };
    try {
      const auto report = std::make_shared<const quant::Report>(run(job, events, cancel, pause));
      post([this, report] {
        m_facts.share = 1;
        Q_EMIT advanced();
        Q_EMIT finished(report);
      });
    } catch (const Error& error) {
      fail(QString::fromUtf8(error.what()), QString::fromStdString(error.hint()),
           error.code() == ErrorCode::kCancelled);
    } catch (const std::bad_alloc&) {
      fail(tr("out of memory"), tr("Close other programs, or use fewer calibration tokens."),
           false);
    } catch (const std::exception& error) {
      fail(QString::fromUtf8(error.what()), {}, false);
    }
  });
}

void QuantizeController::pause() {
  if (m_state != State::kRunning) return;
  m_pause.pause();
  m_before = elapsedSeconds();
  setState(State::kPaused);
}

void QuantizeController::resume() {
  if (m_state != State::kPaused) return;
  m_clock.restart();
  setState(State::kRunning);
  m_pause.resume();
}

void QuantizeController::cancel() {
  if (!busy()) return;
  m_cancel.cancel();
  m_pause.resume();
  if (m_state == State::kPaused) m_clock.restart();
  setState(State::kStopping);
}

double QuantizeController::elapsedSeconds() const {
  if (m_state == State::kRunning || m_state == State::kStopping) {
    return m_before + static_cast<double>(m_clock.elapsed()) / 1000;
  }
  return m_before;
}

std::optional<double> QuantizeController::secondsLeft() const {
  if (!busy() || m_state == State::kStopping) return std::nullopt;
  return m_timeLeft.left(elapsedSeconds());
}

QString QuantizeController::commandLine(const QuantizeOrder& order,
                                        quant::ResumeMode resume) const {
  return QString::fromStdString(m_services.commandLine(jobOptions(order, 0, resume)));
}

void QuantizeController::setState(State state) {
  if (state == m_state) return;
  if (state == State::kIdle) {
    m_before = elapsedSeconds();
    m_drainTimer.stop();
  } else if (!m_drainTimer.isActive()) {
    m_drainTimer.start();
  }
  m_state = state;
  Q_EMIT stateChanged(state);
}

void QuantizeController::drain() {
  const QuantizeMailbox::Content news = m_mailbox->take();
  if (news.progress) {
    m_facts.stage = QString::fromStdString(news.progress->stage);
    if (news.progress->total > 0) {
      m_facts.share = std::clamp(
          static_cast<double>(news.progress->done) / static_cast<double>(news.progress->total), 0.0,
          1.0);
      m_timeLeft.add(elapsedSeconds(), m_facts.share);
    }
  }
  if (news.preflight) m_facts.preflight = news.preflight;
  if (news.calibration) m_facts.calibration = news.calibration;
  if (news.layerStarted) std::tie(m_facts.layer, m_facts.layers) = *news.layerStarted;
  for (const auto& [layer, resumed] : news.layersDone) {
    if (layer < 0) continue;
    ++m_facts.layersDone;
    if (resumed) ++m_facts.layersResumed;
  }
  m_facts.trials.insert(m_facts.trials.end(), news.trials.begin(), news.trials.end());
  if (news.quality) m_facts.quality = news.quality;
  m_facts.ablation.insert(m_facts.ablation.end(), news.ablation.begin(), news.ablation.end());
  m_errors.add(news.modules);
  m_layerErrors.add(news.modules);
  m_coverage.add(news.experts);
  // Without news the clock still moves what is shown of the time.
  Q_EMIT advanced();
}

}  // namespace haq::ui
