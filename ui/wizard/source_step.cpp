// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/source_step.h"

#include <QDir>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QVBoxLayout>

#include "engine/base/file.h"
#include "ui/models/model_scan.h"
#include "ui/shared/data_table.h"
#include "ui/shared/format.h"

namespace haq::ui {

namespace {

constexpr int kDelayMs = 250;
using Mark = CheckLine::Mark;

/// Models in 16 or 32 bit; the columns that matter here.
class SourceModels : public QSortFilterProxyModel {
 public:
  SourceModels(ModelCatalog& catalog, QObject* parent)
      : QSortFilterProxyModel(parent), m_catalog(catalog) {
    setSourceModel(&catalog);
  }

 protected:
  bool filterAcceptsRow(int row, const QModelIndex&) const override {
    const ModelEntry* entry = m_catalog.entry(row);
    return entry != nullptr && entry->problem.isEmpty() &&
           entry->precision != QLatin1String("w8a8");
  }
  bool filterAcceptsColumn(int column, const QModelIndex&) const override {
    return column != ModelCatalog::kContext && column != ModelCatalog::kFits;
  }

 private:
  ModelCatalog& m_catalog;
};

QString defaultParent() {
  return QString::fromStdString((user_data_dir() / "models").string());
}

QString bytesText(std::int64_t value) {
  return format::bytes(static_cast<double>(value));
}

}  // namespace

SourceStep::SourceStep(WizardContext& context, QWidget* parent)
    : StepPage(
          tr("Which model shall be quantized?"),
          tr("A folder with 16-bit weights. It is only read; the result is a folder of its own "
             "with weights and activations in 8 bit."),
          parent),
      m_context(context),
      m_sources(new SourceModels(context.catalog, this)) {
  m_table = new DataTable(tr("Models that can be quantized"));
  m_table->setSelectionMode(QAbstractItemView::SingleSelection);
  m_table->setModel(m_sources);
  m_table->setShownRows(3);
  column()->addWidget(m_table, 1);
  auto* buttons = new QHBoxLayout;
  QPushButton* browseButton = pushButton(tr("Another folder…"));
  connect(browseButton, &QPushButton::clicked, this, &SourceStep::browse);
  buttons->addWidget(browseButton);
  buttons->addStretch(1);
  column()->addLayout(buttons);

  m_problem = new Banner;
  column()->addWidget(m_problem);
  auto* card = new Card;
  auto* lines = new QVBoxLayout(card);
  lines->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  lines->setSpacing(2);
  m_precision = new CheckLine(tr("Precision"));
  m_shape = new CheckLine(tr("Architecture"));
  m_disk = new CheckLine(tr("Disk"));
  m_memory = new CheckLine(tr("Memory"));
  m_time = new CheckLine(tr("Time"));
  for (CheckLine* line : {m_precision, m_shape, m_disk, m_memory, m_time}) lines->addWidget(line);
  column()->addWidget(card);

  auto* targetRow = new QHBoxLayout;
  targetRow->setSpacing(space::kS);
  auto* label = new TextLabel(tr("Write to"));
  targetRow->addWidget(label);
  m_target = new QLineEdit(context.draft.order().target);
  m_target->setAccessibleName(tr("Folder of the result"));
  label->setBuddy(m_target);
  targetRow->addWidget(m_target, 1);
  QPushButton* browseTargetButton = pushButton(tr("Choose…"));
  browseTargetButton->setAccessibleName(tr("Choose the folder of the result"));
  connect(browseTargetButton, &QPushButton::clicked, this, &SourceStep::browseTarget);
  targetRow->addWidget(browseTargetButton);
  column()->addLayout(targetRow);
  setFocusProxy(m_table);

  m_delay.setSingleShot(true);
  m_delay.setInterval(kDelayMs);
  connect(&m_delay, &QTimer::timeout, this, &SourceStep::recheck);
  connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
          [this](const QModelIndex& index) {
            if (index.isValid()) choose(index.data(ModelCatalog::kFolderRole).toString());
          });
  connect(m_target, &QLineEdit::textChanged, this, [this](const QString& text) {
    m_context.draft.change([&](QuantizeOrder& order) { order.target = text.trimmed(); });
    if (m_context.draft.begun()) m_delay.start();
  });
  connect(&context.draft, &QuantizeDraft::changed, this, [this] {
    if (m_target->text().trimmed() != m_context.draft.order().target) {
      m_target->setText(m_context.draft.order().target);
    }
  });
  connect(&context.checks, &QuantizeChecks::sourceChecked, this, &SourceStep::show);
  connect(&context.catalog, &ModelCatalog::scanFinished, this, &SourceStep::selectRow);
  if (context.draft.begun()) {
    selectRow();
    m_delay.start();
  }
}

void SourceStep::selectRow() {
  if (!m_context.draft.begun()) return;
  for (int row = 0; row < m_sources->rowCount(); ++row) {
    const QModelIndex index = m_sources->index(row, 0);
    if (index.data(ModelCatalog::kFolderRole).toString() == m_context.draft.order().source) {
      const QSignalBlocker quiet(m_table->selectionModel());
      m_table->selectRow(row);
      m_table->viewport()->update();
      return;
    }
  }
}

void SourceStep::choose(const QString& folder) {
  const bool same = m_context.draft.begun() && folder == m_context.draft.order().source;
  if (same && m_checked) return;
  const QString name = folder.isEmpty()
                           ? QString::fromStdString(model::demo_model_dir().filename().string())
                           : modelDisplayName(folder);
  m_context.draft.begin();
  m_context.draft.change([&](QuantizeOrder& order) {
    order.source = folder;
    order.sourceName = name;
    if (!same || order.target.isEmpty()) {
      order.target = suggestedTarget(defaultParent(), name, order.method);
    }
  });
  selectRow();
  recheck();
}

void SourceStep::recheck() {
  m_delay.stop();
  m_checked = false;
  for (CheckLine* line : {m_precision, m_shape, m_disk, m_memory, m_time}) {
    line->set(Mark::kPending, tr("checking …"));
  }
  m_context.checks.checkSource(m_context.draft.order());
  m_context.checks.checkTarget(m_context.draft.order().target);
  Q_EMIT checked();
}

bool SourceStep::passed() const {
  return m_checked && !m_check.problem.any() && m_check.source == m_context.draft.order().source &&
         !m_context.draft.order().target.isEmpty();
}

void SourceStep::show(const SourceCheck& check) {
  if (check.source != m_context.draft.order().source) return;
  m_check = check;
  m_checked = true;
  const bool opened = check.checkpoint != nullptr;
  const bool quantized = check.precision == QLatin1String("w8a8");
  m_precision->set(
      !opened     ? Mark::kBad
      : quantized ? Mark::kBad
                  : Mark::kGood,
      !opened ? tr("could not be opened")
      : quantized
          ? tr("already in 8 bit")
          : tr("%1, %2 parameters: %3 become about %4")
                .arg(check.precision, format::compactCount(static_cast<double>(check.parameters)),
                     bytesText(check.bytes16), bytesText(check.bytes8)));
  m_shape->set(
      opened ? Mark::kGood : Mark::kPending,
      !opened ? format::unknown()
      : check.experts > 0
          ? tr("%1: %2 layers of %3 experts, %4 chosen per token")
                .arg(check.architecture)
                .arg(check.layers)
                .arg(check.experts)
                .arg(check.topK)
          : tr("%1: %2 dense layers, no experts").arg(check.architecture).arg(check.layers));
  if (check.needs) {
    const quant::Preflight& needs = *check.needs;
    m_disk->set(needs.disk() <= needs.disk_free ? Mark::kGood : Mark::kBad,
                tr("needs %1 (model %2, temporary %3) of %4 free")
                    .arg(bytesText(needs.disk()), bytesText(needs.disk_weights),
                         bytesText(needs.disk_spill), bytesText(needs.disk_free)));
    m_memory->set(needs.memory() <= needs.memory_available || needs.memory_available <= 0
                      ? Mark::kGood
                      : Mark::kBad,
                  tr("needs %1 (one layer %2, statistics %3, activations %4, other %5) of %6")
                      .arg(bytesText(needs.memory()), bytesText(needs.memory_layer),
                           bytesText(needs.memory_hessians), bytesText(needs.memory_activations),
                           bytesText(needs.memory_model), bytesText(needs.memory_available)));
    m_time->set(Mark::kGood, tr("about %1 on this computer").arg(format::duration(needs.seconds)));
  } else {
    for (CheckLine* line : {m_disk, m_memory, m_time}) line->set(Mark::kPending, format::unknown());
  }
  if (check.problem.any()) {
    m_problem->show(Banner::Kind::kError, check.problem.message, check.problem.hint);
  } else {
    m_problem->hide();
  }
  Q_EMIT checked();
}

void SourceStep::browse() {
  const QString folder =
      QFileDialog::getExistingDirectory(this, tr("Choose a model folder"), QDir::homePath());
  if (!folder.isEmpty()) choose(folder);
}

void SourceStep::browseTarget() {
  const QString parent = QFileDialog::getExistingDirectory(
      this, tr("Choose where the result's folder is made"), QDir::homePath());
  if (parent.isEmpty()) return;
  const QuantizeOrder& order = m_context.draft.order();
  m_target->setText(suggestedTarget(parent, order.sourceName, order.method));
}

}  // namespace haq::ui
