// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/status_strip.h"

#include <QDateTime>
#include <QHBoxLayout>
#include <QPainter>

#include "ui/models/process_facts.h"
#include "ui/shared/format.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {
constexpr int kMemoryMs = 1000;
}

StatusStrip::StatusStrip(EngineController& engine, QWidget* parent)
    : QWidget(parent), m_engine(engine) {
  setAccessibleName(tr("Status"));
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(space::kM, space::kXs, space::kM, space::kXs);
  row->setSpacing(space::kXl);
  m_state = field(tr("State"), tr("What the engine does now"));
  m_speed = field(tr("Speed"),
                  tr("Tokens written per second: of the running answer, then of the last one"));
  m_context =
      field(tr("Context"), tr("Tokens of the last prompt and answer, and what the model can hold"));
  m_memory = field(tr("Memory"), tr("Resident memory of this program, mapped weights included"));
  m_machine = field(tr("Processor"), tr("Threads and instruction set that compute"));
  for (TextLabel* label : {m_state, m_speed, m_context}) row->addWidget(label);
  row->addStretch(1);
  for (TextLabel* label : {m_memory, m_machine}) row->addWidget(label);

  setContext(0, 0);
  refreshMemory();
  refreshModel();
  m_speed->setText(format::unknown() + format::kThinSpace + tr("tok/s"));
  m_memoryTimer.setInterval(kMemoryMs);
  connect(&m_memoryTimer, &QTimer::timeout, this, &StatusStrip::refreshMemory);
  m_memoryTimer.start();
  connect(&engine, &EngineController::stateChanged, this, &StatusStrip::refreshModel);
  connect(&engine, &EngineController::modelLoaded, this, &StatusStrip::refreshModel);
  connect(&engine, &EngineController::modelUnloaded, this, &StatusStrip::refreshModel);
  connect(&engine, &EngineController::generationStarted, this, [this] {
    m_firstTokenMs = 0;
    m_tokens = 0;
  });
  connect(&engine, &EngineController::tokensReady, this,
          [this](quint64, const QString&, int tokens) { showTokens(tokens); });
  connect(&engine, &EngineController::generationFinished, this,
          [this](quint64, const GenerationSummary& summary) {
            if (summary.decodeTokensPerSecond > 0) {
              m_speed->setText(format::rate(summary.decodeTokensPerSecond, tr("tok")));
            }
            if (summary.contextTokens > 0) setContext(summary.contextTokens, summary.contextLimit);
          });
}

TextLabel* StatusStrip::field(const QString& name, const QString& help) {
  auto* label = new TextLabel({}, FontRole::kSmall, Role::kMuted, this);
  label->setToolTip(help);
  label->setAccessibleName(name);
  label->setAccessibleDescription(help);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse);
  return label;
}

void StatusStrip::setContext(qint64 tokens, qint64 limit) {
  const QString most = limit > 0 ? format::count(limit) : format::unknown();
  const QString used = limit > 0 ? format::count(tokens) : format::unknown();
  m_context->setText(tr("context %1 / %2").arg(used, most));
}

QString StatusStrip::speedText() const {
  return m_speed->text();
}

void StatusStrip::showTokens(int tokens) {
  const qint64 now = QDateTime::currentMSecsSinceEpoch();
  if (m_firstTokenMs == 0) {
    m_firstTokenMs = now;
    m_tokens = 0;
    return;
  }
  m_tokens += tokens;
  const double seconds = static_cast<double>(now - m_firstTokenMs) / 1000;
  if (seconds > 0.2)
    m_speed->setText(format::rate(static_cast<double>(m_tokens) / seconds, tr("tok")));
}

void StatusStrip::refreshMemory() {
  const auto resident = residentBytes();
  m_memory->setText(
      tr("memory %1")
          .arg(resident ? format::bytes(static_cast<double>(*resident)) : format::unknown()));
}

void StatusStrip::refreshModel() {
  switch (m_engine.state()) {
    case EngineController::State::kNoModel:
      m_state->setText(tr("No model"));
      break;
    case EngineController::State::kLoading:
      m_state->setText(tr("Loading"));
      break;
    case EngineController::State::kReady:
      m_state->setText(tr("Ready"));
      break;
    case EngineController::State::kGenerating:
      m_state->setText(tr("Writing"));
      break;
  }
  const auto& model = m_engine.model();
  m_machine->setText(model ? format::counted(model->threads, tr("thread"), tr("threads")) +
                                 QStringLiteral(" · ") + model->device + QStringLiteral(" · ") +
                                 model->compute
                           : tr("CPU"));
}

void StatusStrip::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), Theme::instance().color(Role::kWindow));
  painter.fillRect(QRect(0, 0, width(), kHairline), Theme::instance().hairline());
}

}  // namespace haq::ui
