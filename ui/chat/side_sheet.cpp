// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/side_sheet.h"

#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QPainter>
#include <QPlainTextEdit>
#include <QScrollArea>
#include <QTimer>
#include <QVBoxLayout>

#include "ui/shared/format.h"

namespace haq::ui {
namespace {

constexpr int kWidth = 300;
constexpr int kSystemHeight = 110;
constexpr int kTypingPauseMs = 400;
constexpr double kLargestSeed = 999'999'999;

}  // namespace

SideSheet::SideSheet(ChatSession& session, QWidget* parent)
    : QWidget(parent),
      m_session(session),
      m_system(new QPlainTextEdit(this)),
      m_source(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_systemTimer(new QTimer(this)) {
  setFixedWidth(kWidth);
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kL, space::kM, space::kM, space::kM);
  column->setSpacing(space::kS);
  auto* head = new QHBoxLayout;
  head->addWidget(new TextLabel(tr("This conversation"), FontRole::kStrong), 1);
  QToolButton* close = iconButton(Icon::kClose, tr("Close the side sheet"), this);
  connect(close, &QToolButton::clicked, this, &SideSheet::closed);
  head->addWidget(close);
  column->addLayout(head);

  auto* label = new TextLabel(tr("System prompt"), FontRole::kSmall, Role::kMuted);
  label->setBuddy(m_system);
  column->addWidget(label);
  m_system->setAccessibleName(tr("System prompt"));
  m_system->setPlaceholderText(tr("None. Says who the model is and how it should answer."));
  m_system->setTabChangesFocus(true);
  m_system->setFixedHeight(kSystemHeight);
  column->addWidget(m_system);
  m_systemTimer->setSingleShot(true);
  m_systemTimer->setInterval(kTypingPauseMs);
  connect(m_system, &QPlainTextEdit::textChanged, this, [this] {
    if (!m_refreshing) m_systemTimer->start();
  });
  connect(m_systemTimer, &QTimer::timeout, this,
          [this] { m_session.setSystemPrompt(m_system->toPlainText()); });

  column->addSpacing(space::kS);
  column->addWidget(new TextLabel(tr("Sampling"), FontRole::kSmall, Role::kMuted));
  auto* form = new QFormLayout;
  form->setHorizontalSpacing(space::kM);
  form->setVerticalSpacing(space::kS);
  form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
  column->addLayout(form);
  addReal(*form, tr("Temperature"),
          tr("0 always takes the most likely token; higher is more varied."), 0, 2, 0.05,
          &ChatOptions::temperature, &session::SamplingOptions::temperature);
  addInteger(
      *form, tr("Top-k"), tr("Only the k most likely tokens are drawn from."), 0, 1000,
      &ChatOptions::topK,
      [](const session::SamplingOptions& sampling, int) { return sampling.top_k; }, tr("off"));
  addReal(*form, tr("Top-p"),
          tr("Only the most likely tokens that together reach this probability."), 0.01, 1, 0.05,
          &ChatOptions::topP, &session::SamplingOptions::top_p);
  addReal(*form, tr("Min-p"), tr("Leaves out tokens below this share of the most likely one."), 0,
          1, 0.01, &ChatOptions::minP, &session::SamplingOptions::min_p);
  addReal(*form, tr("Repetition"), tr("Above 1, tokens already used become less likely."), 0.5, 2,
          0.05, &ChatOptions::repetitionPenalty, &session::SamplingOptions::repetition_penalty);
  addInteger(*form, tr("Longest answer"), tr("An answer ends at this many tokens."), 1, 1'000'000,
             &ChatOptions::maxTokens,
             [](const session::SamplingOptions&, int most) { return most; }, {});
  addSeed(*form);
  m_source->setWordWrap(true);
  column->addWidget(m_source);
  column->addStretch();
  connect(&session, &ChatSession::optionsChanged, this, &SideSheet::refresh);
  connect(&session, &ChatSession::opened, this, &SideSheet::refresh);
  connect(&session.engine(), &EngineController::modelUnloaded, this, &SideSheet::refresh);
  refresh();
}

void SideSheet::change(const std::function<void(ChatOptions&)>& edit) {
  if (m_refreshing) return;
  ChatOptions options = m_session.options();
  edit(options);
  m_session.setOptions(options);
}

void SideSheet::addRow(QFormLayout& form, const QString& name, const QString& help, Field field,
                       const std::function<void(ChatOptions&)>& reset) {
  field.control->setAccessibleName(name);
  field.control->setToolTip(help);
  field.reset = iconButton(Icon::kUndo, tr("Back to the default: %1").arg(name), this);
  QSizePolicy keep = field.reset->sizePolicy();
  keep.setRetainSizeWhenHidden(true);
  field.reset->setSizePolicy(keep);
  connect(field.reset, &QToolButton::clicked, this, [this, reset] { change(reset); });
  auto* row = new QHBoxLayout;
  row->setSpacing(space::kXs);
  row->addWidget(field.control, 1);
  row->addWidget(field.reset);
  auto* label = new TextLabel(name);
  label->setToolTip(help);
  label->setBuddy(field.control);
  label->setMinimumHeight(field.control->sizeHint().height());
  form.addRow(label, row);
  m_fields.push_back(std::move(field));
}

void SideSheet::addReal(QFormLayout& form, const QString& name, const QString& help, double least,
                        double most, double step, std::optional<float> ChatOptions::*own,
                        float session::SamplingOptions::*effective) {
  auto* box = new QDoubleSpinBox(this);
  box->setRange(least, most);
  box->setSingleStep(step);
  box->setDecimals(2);
  box->setKeyboardTracking(false);
  connect(box, &QDoubleSpinBox::valueChanged, this, [this, own](double value) {
    change([&](ChatOptions& options) { options.*own = static_cast<float>(value); });
  });
  Field field;
  field.control = box;
  field.showValue = [box, effective](const session::SamplingOptions& sampling, int) {
    box->setValue(static_cast<double>(sampling.*effective));
  };
  field.isOwn = [own](const ChatOptions& options) { return (options.*own).has_value(); };
  addRow(form, name, help, std::move(field),
         [own](ChatOptions& options) { (options.*own).reset(); });
}

void SideSheet::addInteger(QFormLayout& form, const QString& name, const QString& help, int least,
                           int most, std::optional<int> ChatOptions::*own,
                           std::function<int(const session::SamplingOptions&, int)> read,
                           const QString& special) {
  auto* box = new QSpinBox(this);
  box->setRange(least, most);
  box->setSpecialValueText(special);
  box->setKeyboardTracking(false);
  connect(box, &QSpinBox::valueChanged, this,
          [this, own](int value) { change([&](ChatOptions& options) { options.*own = value; }); });
  Field field;
  field.control = box;
  field.showValue = [box, read = std::move(read)](const session::SamplingOptions& sampling,
                                                  int maxTokens) {
    box->setValue(read(sampling, maxTokens));
  };
  field.isOwn = [own](const ChatOptions& options) { return (options.*own).has_value(); };
  addRow(form, name, help, std::move(field),
         [own](ChatOptions& options) { (options.*own).reset(); });
}

void SideSheet::addSeed(QFormLayout& form) {
  auto* box = new QDoubleSpinBox(this);
  box->setDecimals(0);
  box->setRange(-1, kLargestSeed);
  box->setSpecialValueText(tr("new each time"));
  box->setKeyboardTracking(false);
  connect(box, &QDoubleSpinBox::valueChanged, this, [this](double value) {
    change([&](ChatOptions& options) {
      options.seed = value < 0 ? std::nullopt : std::optional<quint64>(static_cast<quint64>(value));
    });
  });
  Field field;
  field.control = box;
  field.showValue = [this, box](const session::SamplingOptions&, int) {
    const std::optional<quint64> seed = m_session.options().seed;
    box->setValue(seed ? static_cast<double>(*seed) : -1);
  };
  field.isOwn = [](const ChatOptions& options) { return options.seed.has_value(); };
  addRow(form, tr("Seed"), tr("A fixed seed gives the same answer again."), std::move(field),
         [](ChatOptions& options) { options.seed.reset(); });
}

void SideSheet::refresh() {
  m_refreshing = true;
  const QString system = m_session.systemPrompt();
  if (!m_systemTimer->isActive() && m_system->toPlainText() != system)
    m_system->setPlainText(system);
  const auto effective = m_session.effectiveRequest();
  const ChatOptions own = m_session.options();
  int changed = 0;
  for (const Field& field : m_fields) {
    field.control->setEnabled(effective.has_value());
    const bool isOwn = field.isOwn(own);
    changed += isOwn ? 1 : 0;
    field.reset->setVisible(isOwn);
    if (effective && effective->sampling)
      field.showValue(*effective->sampling, effective->maxTokens);
  }
  if (!effective) {
    m_source->setText(tr("Load a model to see its values."));
  } else {
    const bool settings = m_session.settings().boolean("sampling.override");
    const QString origin = settings ? tr("from Settings") : tr("the model's own");
    m_source->setText(changed == 0
                          ? tr("These are the effective values, all %1.").arg(origin)
                          : tr("These are the effective values; %1 set here, the others %2.")
                                .arg(changed)
                                .arg(origin));
  }
  m_refreshing = false;
}

QString SideSheet::effectiveText() const {
  return m_source->text();
}

void SideSheet::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(QRect(0, 0, kHairline, height()), Theme::instance().hairline());
}

}  // namespace haq::ui
