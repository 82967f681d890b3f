// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/scheme_step.h"

#include <QButtonGroup>
#include <QCheckBox>
#include <QComboBox>
#include <QFormLayout>
#include <QRadioButton>
#include <QSpinBox>
#include <QVBoxLayout>

namespace haq::ui {

namespace {

constexpr int kIndent = 26;

void addHelp(QVBoxLayout* column, const QString& text) {
  auto* label = new TextLabel(text, FontRole::kSmall, Role::kMuted);
  label->setWordWrap(true);
  label->setContentsMargins(kIndent, 0, 0, 0);
  column->addWidget(label);
}

}  // namespace

SchemeStep::SchemeStep(WizardContext& context, QWidget* parent)
    : StepPage(tr("How shall it be quantized?"),
               tr("All methods write the same kind of folder; they differ in what is lost."),
               parent),
      m_context(context),
      m_methods(new QButtonGroup(this)) {
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kM, space::kM, space::kM);
  list->setSpacing(space::kXs);
  using quant::Method;
  for (const Method method : {Method::kHaq, Method::kGptq, Method::kSmoothQuant, Method::kRtn}) {
    if (method != Method::kHaq) list->addSpacing(space::kS);
    auto* button =
        new QRadioButton(method == Method::kHaq ? tr("%1 (recommended)").arg(methodTitle(method))
                                                : methodTitle(method));
    button->setAccessibleDescription(methodSentence(method));
    m_methods->addButton(button, static_cast<int>(method));
    list->addWidget(button);
    addHelp(list, methodSentence(method));
  }
  column()->addWidget(card);

  auto* more = new Card;
  auto* form = new QVBoxLayout(more);
  form->setContentsMargins(space::kM, space::kM, space::kM, space::kM);
  form->setSpacing(space::kS);
  auto* fields = new QFormLayout;
  fields->setHorizontalSpacing(space::kL);
  fields->setLabelAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  fields->setFieldGrowthPolicy(QFormLayout::FieldsStayAtSizeHint);
  m_rotation = new QComboBox;
  m_rotation->addItem(tr("Automatic: only if it helps"), QStringLiteral("auto"));
  m_rotation->addItem(tr("Always"), QStringLiteral("on"));
  m_rotation->addItem(tr("Never"), QStringLiteral("off"));
  m_rotation->setAccessibleName(tr("Rotation"));
  m_rotation->setToolTip(
      tr("An orthogonal matrix on the residual stream, folded into the weights: it spreads "
         "activation peaks over all channels without changing what the model computes"));
  fields->addRow(new TextLabel(tr("Rotation")), m_rotation);
  m_seeds = new QSpinBox;
  m_seeds->setRange(1, 16);
  m_seeds->setAccessibleName(tr("Rotations tried"));
  m_seeds->setToolTip(
      tr("Each is tried on calibration text; the best one stays. More take longer."));
  fields->addRow(new TextLabel(tr("Rotations tried")), m_seeds);
  form->addLayout(fields);
  m_expertsOnly = new QCheckBox(tr("Only the experts"));
  form->addWidget(m_expertsOnly);
  addHelp(form, tr("Attention and dense layers stay in 16 bit: a larger model, for the last bit of "
                   "accuracy."));
  m_ablate = new QCheckBox(tr("Measure what each part contributes"));
  form->addWidget(m_ablate);
  addHelp(form, tr("Quantizes several times more, adding rotation, smoothing and Hessian-aware "
                   "rounding in turn."));
  m_advanced = new Fold(tr("More options"), more);
  column()->addWidget(m_advanced);
  column()->addStretch(1);

  connect(m_methods, &QButtonGroup::idToggled, this, [this](int id, bool on) {
    if (!on) return;
    m_context.draft.change([&](QuantizeOrder& order) {
      const auto method = static_cast<Method>(id);
      const QString ending = QLatin1Char('-') + QLatin1String(quant::to_string(order.method));
      // The suggested folder names the method; one that the user typed stays.
      if (order.target.endsWith(QStringLiteral("-W8A8") + ending)) {
        order.target.chop(ending.size());
        order.target += QLatin1Char('-') + QLatin1String(quant::to_string(method));
      }
      order.method = method;
    });
  });
  connect(m_rotation, &QComboBox::currentIndexChanged, this, [this](int index) {
    m_context.draft.change(
        [&](QuantizeOrder& order) { order.rotate = static_cast<quant::RotateMode>(index); });
  });
  connect(m_seeds, &QSpinBox::valueChanged, this, [this](int seeds) {
    m_context.draft.change([&](QuantizeOrder& order) { order.rotationSeeds = seeds; });
  });
  connect(m_expertsOnly, &QCheckBox::toggled, this, [this](bool on) {
    m_context.draft.change([&](QuantizeOrder& order) { order.expertsOnly = on; });
  });
  connect(m_ablate, &QCheckBox::toggled, this, [this](bool on) {
    m_context.draft.change([&](QuantizeOrder& order) {
      order.ablate = on;
      // What the parts contribute is told by the quality.
      order.measureQuality = order.measureQuality || on;
    });
  });
  connect(&context.draft, &QuantizeDraft::changed, this, &SchemeStep::show);
  show();
  const QuantizeOrder& order = context.draft.order();
  const QuantizeOrder standard;
  m_advanced->setOpen(order.rotate != standard.rotate || order.expertsOnly || order.ablate ||
                      order.rotationSeeds != standard.rotationSeeds);
  setFocusProxy(m_methods->checkedButton());
}

void SchemeStep::show() {
  const QuantizeOrder& order = m_context.draft.order();
  m_methods->button(static_cast<int>(order.method))->setChecked(true);
  m_rotation->setCurrentIndex(static_cast<int>(order.rotate));
  m_seeds->setValue(order.rotationSeeds);
  m_expertsOnly->setChecked(order.expertsOnly);
  m_ablate->setChecked(order.ablate);
  const bool rotates = order.method == quant::Method::kHaq;
  m_rotation->setEnabled(rotates);
  m_seeds->setEnabled(rotates && order.rotate != quant::RotateMode::kOff);
}

}  // namespace haq::ui
