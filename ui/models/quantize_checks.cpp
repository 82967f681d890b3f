// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_checks.h"

#include "ui/models/model_scan.h"

namespace haq::ui {

namespace {

SourceCheck look(const QuantizeServices& services, const QuantizeOrder& order) {
  SourceCheck check;
  check.source = order.source;
  check.problem = problemOf([&] {
    const auto checkpoint = model::Checkpoint::open(
        order.source.isEmpty() ? model::demo_model_dir()
                               : std::filesystem::path(order.source.toStdString()));
    const model::ModelConfig& config = checkpoint->config();
    const model::ParameterSummary parameters = checkpoint->parameters();
    check.checkpoint = checkpoint;
    check.name = order.source.isEmpty() ? QString::fromStdString(checkpoint->name())
                                        : modelDisplayName(order.source);
    check.architecture = QString::fromStdString(config.architecture);
    check.precision = QString::fromStdString(checkpoint->precision());
    check.layers = config.layer_count();
    check.experts = config.experts;
    check.topK = config.top_k;
    check.parameters = parameters.total;
    check.bytes16 = parameters.bytes16;
    check.bytes8 = parameters.bytes8;
    check.maxContext = config.max_positions;
    const session::QuantizeJobOptions job = jobOptions(order, 0);
    check.needs = services.estimate(job);
    services.check(*check.needs, job);
  });
  return check;
}

}  // namespace

CheckProblem problemOf(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {QString::fromUtf8(error.what()), QString::fromStdString(error.hint())};
  } catch (const std::exception& error) {
    return {QString::fromUtf8(error.what()), {}};
  }
  return {};
}

QuantizeChecks::QuantizeChecks(QuantizeServices services, QObject* parent)
    : QObject(parent), m_services(std::move(services)) {
  m_pool.setMaxThreadCount(2);
}

QuantizeChecks::~QuantizeChecks() {
  m_textCancel.cancel();
  m_pool.waitForDone();
}

void QuantizeChecks::checkSource(const QuantizeOrder& order) {
  m_pool.start([this, order, question = ++m_source, services = m_services] {
    const SourceCheck check = look(services, order);
    QMetaObject::invokeMethod(
        this,
        [this, question, check] {
          if (question != m_source) return;
          Q_EMIT sourceChecked(check);
        },
        Qt::QueuedConnection);
  });
}

void QuantizeChecks::checkText(const QuantizeOrder& order) {
  m_textCancel.cancel();
  m_textCancel = CancelToken();
  m_pool.start([this, order, question = ++m_text, services = m_services, cancel = m_textCancel] {
    TextCheck check;
    check.files = order.calibration;
    check.problem =
        problemOf([&] { check.facts = services.readText(jobOptions(order, 0), cancel); });
    QMetaObject::invokeMethod(
        this,
        [this, question, check] {
          if (question != m_text) return;
          Q_EMIT textChecked(check);
        },
        Qt::QueuedConnection);
  });
}

void QuantizeChecks::checkTarget(const QString& target) {
  m_pool.start([this, target, question = ++m_target, services = m_services] {
    TargetCheck check;
    check.target = target;
    check.problem = problemOf([&] { check.status = services.inspect(target.toStdString()); });
    QMetaObject::invokeMethod(
        this,
        [this, question, check] {
          if (question == m_target) Q_EMIT targetChecked(check);
        },
        Qt::QueuedConnection);
  });
}

}  // namespace haq::ui
