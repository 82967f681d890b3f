// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/model_details.h"

#include <QClipboard>
#include <QDesktopServices>
#include <QFormLayout>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QStackedLayout>
#include <QUrl>
#include <cmath>

#include "engine/session/session.h"
#include "ui/models/process_facts.h"
#include "ui/shared/format.h"
#include "ui/shared/widgets.h"
#include "ui/views/memory_bar.h"

namespace haq::ui {

namespace {

constexpr int kMinContext = 64;
constexpr int kSliderSteps = 1000;
constexpr qint64 kMiB = 1024 * 1024;
constexpr int kMaxReserveMib = 1 << 20;

/// A context slider is logarithmic: each step multiplies.
int contextAt(int step, int most) {
  const double share = static_cast<double>(step) / kSliderSteps;
  return static_cast<int>(std::lround(kMinContext * std::pow(double(most) / kMinContext, share)));
}

int stepOf(int context, int most) {
  if (most <= kMinContext) return kSliderSteps;
  const double share =
      std::log(double(context) / kMinContext) / std::log(double(most) / kMinContext);
  return static_cast<int>(std::lround(share * kSliderSteps));
}

QString shellQuoted(const QString& text) {
  QString inner = text;
  inner.replace(QLatin1Char('\''), QLatin1String("'\\''"));
  return QLatin1Char('\'') + inner + QLatin1Char('\'');
}

}  // namespace

ModelDetails::ModelDetails(EngineController& engine, Settings& settings, ModelCatalog& catalog,
                           QWidget* parent)
    : QWidget(parent), m_engine(engine), m_settings(settings), m_catalog(catalog) {
  m_stack = new QStackedLayout(this);
  m_empty = new EmptyState(Icon::kModels, tr("No model chosen"),
                           tr("Choose one in the table to see its facts and the memory it needs."));
  m_stack->addWidget(m_empty);
  auto* content = new QWidget;
  auto* row = new QHBoxLayout(content);
  row->setContentsMargins(space::kL, space::kM, space::kL, space::kM);
  row->setSpacing(2 * space::kXl);
  row->addWidget(makeFacts(), 5);
  m_memory = makeMemory();
  row->addWidget(m_memory, 6);
  m_stack->addWidget(content);
  connect(&catalog, &ModelCatalog::opened, this, &ModelDetails::setOpened);
  connect(&engine, &EngineController::stateChanged, this, &ModelDetails::updateLoadButton);
  connect(&engine, &EngineController::modelLoaded, this, &ModelDetails::updateLoadButton);
  connect(&engine, &EngineController::modelUnloaded, this, &ModelDetails::updateLoadButton);
}

QWidget* ModelDetails::makeFacts() {
  auto* side = new QWidget;
  auto* column = new QVBoxLayout(side);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kS);
  m_name = new TextLabel({}, FontRole::kHeading);
  m_name->setTextInteractionFlags(Qt::TextSelectableByMouse);
  column->addWidget(m_name);
  m_path = new ElidedLabel(FontRole::kSmall, Role::kMuted);
  column->addWidget(m_path);
  m_problem = new Banner;
  column->addWidget(m_problem);
  m_facts = new QFormLayout;
  m_facts->setHorizontalSpacing(space::kL);
  m_facts->setVerticalSpacing(space::kXs);
  m_facts->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
  column->addLayout(m_facts);
  column->addStretch(1);
  auto* buttons = new QHBoxLayout;
  buttons->setSpacing(space::kS);
  m_load = pushButton(tr("Load"), true);
  connect(m_load, &QPushButton::clicked, this, [this] {
    if (m_engine.state() == EngineController::State::kLoading) {
      m_engine.cancelLoad();
    } else {
      Q_EMIT loadRequested(m_folder);
    }
  });
  QPushButton* copy = pushButton(tr("Copy as command"));
  copy->setToolTip(tr("The line for a terminal that chats with this model"));
  connect(copy, &QPushButton::clicked, this,
          [this] { QGuiApplication::clipboard()->setText(commandLine()); });
  QPushButton* reveal = pushButton(tr("Show folder"));
  connect(reveal, &QPushButton::clicked, this,
          [this] { QDesktopServices::openUrl(QUrl::fromLocalFile(m_path->toolTip())); });
  for (QPushButton* button : {m_load, copy, reveal}) buttons->addWidget(button);
  buttons->addStretch(1);
  column->addLayout(buttons);
  return side;
}

QWidget* ModelDetails::makeMemory() {
  auto* side = new QWidget;
  auto* column = new QVBoxLayout(side);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kS);
  m_verdict = new TextLabel({}, FontRole::kStrong);
  m_verdict->setWordWrap(true);
  column->addWidget(m_verdict);
  m_bar = new MemoryBar;
  column->addWidget(m_bar);
  column->addSpacing(space::kS);
  auto* grid = new QGridLayout;
  grid->setHorizontalSpacing(space::kM);
  grid->setVerticalSpacing(space::kS);
  const auto line = [&](int at, const QString& name, QSlider*& slider, QSpinBox*& box) {
    grid->addWidget(new TextLabel(name, FontRole::kBody), at, 0);
    slider = new QSlider(Qt::Horizontal);
    slider->setAccessibleName(name);
    grid->addWidget(slider, at, 1);
    box = new QSpinBox;
    box->setAccessibleName(name);
    box->setAlignment(Qt::AlignRight);
    box->setKeyboardTracking(false);
    grid->addWidget(box, at, 2);
  };
  line(0, tr("Context"), m_contextSlider, m_contextBox);
  line(1, tr("Reserve"), m_reserveSlider, m_reserveBox);
  m_contextBox->setSuffix(QString(format::kThinSpace) + tr("tokens"));
  m_contextSlider->setRange(0, kSliderSteps);
  m_reserveBox->setSuffix(QString(format::kThinSpace) + QStringLiteral("MiB"));
  m_reserveBox->setRange(0, kMaxReserveMib);
  m_reserveBox->setSingleStep(128);
  m_reserveBox->setValue(m_settings.integer("models.reserve_mib"));
  const qint64 most = availableBytes().value_or(16LL * 1024 * kMiB) / kMiB;
  m_reserveSlider->setRange(0, static_cast<int>(std::min<qint64>(most, kMaxReserveMib)));
  m_reserveSlider->setValue(m_reserveBox->value());
  column->addLayout(grid);
  column->addStretch(1);
  connect(m_contextSlider, &QSlider::valueChanged, this, [this](int step) {
    if (m_contextSlider->hasFocus() || m_contextSlider->isSliderDown()) {
      m_contextBox->setValue(contextAt(step, m_contextBox->maximum()));
    }
  });
  connect(m_contextBox, &QSpinBox::valueChanged, this, [this](int context) {
    if (!m_contextSlider->hasFocus() && !m_contextSlider->isSliderDown()) {
      m_contextSlider->setValue(stepOf(context, m_contextBox->maximum()));
    }
    updateMemory();
  });
  connect(m_reserveSlider, &QSlider::valueChanged, m_reserveBox, &QSpinBox::setValue);
  connect(m_reserveBox, &QSpinBox::valueChanged, this, [this](int mib) {
    m_reserveSlider->setValue(mib);
    updateMemory();
  });
  // The store is told when the hand comes off, not at every step of a drag: a change rescans.
  const auto keep = [this] { m_settings.setValue("models.reserve_mib", m_reserveBox->value()); };
  connect(m_reserveSlider, &QSlider::sliderReleased, this, keep);
  connect(m_reserveBox, &QSpinBox::editingFinished, this, keep);
  return side;
}

void ModelDetails::setEntry(const ModelEntry* entry) {
  m_hasEntry = entry != nullptr;
  m_stack->setCurrentIndex(m_hasEntry ? 1 : 0);
  if (entry == nullptr) {
    m_folder.clear();
    m_model.reset();
    m_bar->setPlan({});
    return;
  }
  fill(*entry);
  updateLoadButton();
}

void ModelDetails::fill(const ModelEntry& entry) {
  // After a scan the same model comes again: what is shown stays until it has been opened anew.
  if (m_folder != entry.folder) {
    m_model.reset();
    m_bar->setPlan({});
  }
  m_folder = entry.folder;
  m_hasProblem = !entry.problem.isEmpty();
  m_name->setText(entry.name);
  const QString folder =
      entry.isDemo ? QString::fromStdString(model::demo_model_dir().string()) : entry.folder;
  m_path->setFullText(folder);
  while (m_facts->rowCount() > 0) m_facts->removeRow(0);
  const auto fact = [&](const QString& name, const QString& value) {
    auto* label = new TextLabel(value, FontRole::kFigures);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    label->setAccessibleName(name + QStringLiteral(": ") + value);
    m_facts->addRow(new TextLabel(name, FontRole::kBody, Role::kMuted), label);
  };
  if (m_hasProblem) {
    m_problem->show(Banner::Kind::kError, entry.problem, entry.hint);
  } else {
    m_problem->hide();
    fact(tr("Family"), entry.family);
    fact(tr("Precision"), entry.precision);
    fact(tr("Layers × experts"), entry.shape());
    fact(tr("Parameters"),
         tr("%1, %2 active per token")
             .arg(format::compactCount(static_cast<double>(entry.parameters)),
                  format::compactCount(static_cast<double>(entry.activeParameters))));
    fact(tr("Longest context"), tr("%1 tokens").arg(format::count(entry.maxContext)));
    fact(tr("On disk"), format::bytes(static_cast<double>(entry.diskBytes)));
  }
  fact(tr("Found in"), entry.sourceText());
  m_memory->setVisible(!m_hasProblem);
  if (m_hasProblem) return;
  const int most = static_cast<int>(std::clamp<qint64>(entry.maxContext, 1, 1 << 30));
  m_contextBox->setRange(std::min(kMinContext, most), most);
  m_contextBox->setSingleStep(std::max(1, most / 32));
  m_contextBox->setValue(static_cast<int>(std::min<qint64>(kUsualContext, most)));
  m_contextSlider->setValue(stepOf(m_contextBox->value(), most));
  m_verdict->setText(tr("Reading the model's files …"));
  m_catalog.open(entry.folder);
}

void ModelDetails::setOpened(const QString& folder, const OpenedModel& opened) {
  if (!m_hasEntry || folder != m_folder) return;
  m_model = opened;
  updateMemory();
}

void ModelDetails::updateMemory() {
  if (m_model == nullptr) return;
  const qint64 context = m_contextBox->value();
  const bool fp32 = m_settings.text("engine.compute") == QLatin1String("fp32");
  const auto estimate = m_model->memory(context, fp32, m_settings.integer("engine.prefill_chunk"));
  const auto compute = fp32 ? nn::Compute::kFp32 : nn::Compute::kAuto;
  const MemoryPlan plan =
      planMemory(estimate, context, m_reserveBox->value() * kMiB, availableBytes().value_or(-1),
                 session::weights_in_place(*m_model, estimate, compute));
  m_bar->setPlan(plan);
  m_verdict->setText(plan.verdict());
  const bool impossible = plan.missing() > 0 && !plan.runsFromDisk();
  m_verdict->setRole(impossible ? Role::kError : Role::kText);
}

void ModelDetails::updateLoadButton() {
  const bool loading = m_engine.state() == EngineController::State::kLoading;
  const bool loaded = m_engine.model() && m_engine.model()->folder == m_folder;
  m_load->setText(loading ? tr("Cancel loading") : loaded ? tr("Load again") : tr("Load"));
  m_load->setEnabled(loading || !m_hasProblem);
}

QString ModelDetails::commandLine() const {
  return m_folder.isEmpty() ? QStringLiteral("haq chat")
                            : QStringLiteral("haq chat ") + shellQuoted(m_folder);
}

}  // namespace haq::ui
