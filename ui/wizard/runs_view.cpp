// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/runs_view.h"

#include <QHBoxLayout>
#include <QPushButton>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/shared/chart_frame.h"
#include "ui/shared/data_table.h"
#include "ui/shared/format.h"
#include "ui/shared/heatmap_view.h"
#include "ui/wizard/run_step.h"

namespace haq::ui {

namespace {

enum Page { kEmpty, kList, kComparison };

}  // namespace

RunsView::RunsView(WizardContext& context, QWidget* parent)
    : QWidget(parent), m_context(context), m_stack(new QStackedWidget) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  m_empty = new EmptyState(
      Icon::kQuantize, tr("No model has been quantized yet"),
      tr("Quantizing halves a model: weights and activations in 8 bit instead of 16, with next to "
         "no loss. You choose a model and a text; the program measures what is lost, and where."));
  connect(m_empty->addButton(tr("Quantize a model"), true), &QPushButton::clicked, this,
          &RunsView::newAsked);
  m_stack->addWidget(m_empty);
  m_stack->addWidget(makeList());
  m_stack->addWidget(makeComparison());
  column->addWidget(m_stack);
  connect(&context.runs, &QuantizationRunList::loaded, this, &RunsView::refresh);
  connect(&context.run, &QuantizeController::stateChanged, this, &RunsView::refresh);
  refresh();
}

QWidget* RunsView::makeList() {
  auto* page =
      new StepPage(tr("All quantizations"),
                   tr("Two selected ones can be compared; taking one out of the list leaves "
                      "its folder where it is."));
  QVBoxLayout* list = page->column();
  m_problem = new Banner;
  list->addWidget(m_problem);
  m_table = new DataTable(tr("All quantizations"));
  m_table->setModel(&m_context.runs);
  m_table->setStretchedColumn(QuantizationRunList::kModel);
  m_table->setShownRows(5);
  list->addWidget(m_table, 1);
  auto* buttons = new QHBoxLayout;
  buttons->setSpacing(space::kS);
  const auto add = [&](const QString& text, const QString& help, bool primary = false) {
    QPushButton* button = pushButton(text, primary);
    button->setToolTip(help);
    buttons->addWidget(button);
    return button;
  };
  m_open = add(tr("Open"), tr("Its review"), true);
  m_continue = add(tr("Continue"), tr("Goes on after the layers that were finished"));
  m_again = add(tr("Run again"), tr("A new run with the same options"));
  m_compare = add(tr("Compare two"), tr("The figures of two runs beside each other"));
  m_remove = add(tr("Remove"), tr("Out of this list; the folder stays"));
  buttons->addStretch(1);
  QPushButton* fresh = add(tr("New"), tr("Quantize another model"));
  list->addLayout(buttons);
  const auto one = [this](void (RunsView::*signal)(qint64)) {
    return [this, signal] {
      const QVector<qint64> ids = selected();
      if (ids.size() == 1) (this->*signal)(ids.first());
    };
  };
  connect(m_open, &QPushButton::clicked, this, one(&RunsView::openAsked));
  connect(m_continue, &QPushButton::clicked, this, one(&RunsView::continueAsked));
  connect(m_again, &QPushButton::clicked, this, one(&RunsView::againAsked));
  connect(m_compare, &QPushButton::clicked, this, &RunsView::compare);
  connect(m_remove, &QPushButton::clicked, this, [this] {
    for (const qint64 id : selected()) m_context.runs.remove(id);
  });
  connect(fresh, &QPushButton::clicked, this, &RunsView::newAsked);
  connect(m_table, &QTableView::activated, this, [this](const QModelIndex& index) {
    if (const auto* run = m_context.runs.run(index.row()); run && run->state == "done") {
      Q_EMIT openAsked(run->id);
    }
  });
  connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this,
          &RunsView::refresh);
  setFocusProxy(m_table);
  return page;
}

QWidget* RunsView::makeComparison() {
  auto* page = new StepPage(tr("Two quantizations compared"), {});
  QVBoxLayout* list = page->column();
  auto* head = new QHBoxLayout;
  m_compared = new TextLabel({}, FontRole::kBody, Role::kMuted);
  m_compared->setWordWrap(true);
  m_compared->setTextInteractionFlags(Qt::TextSelectableByMouse);
  head->addWidget(m_compared, 1);
  QPushButton* back = pushButton(tr("Back to the list"));
  connect(back, &QPushButton::clicked, this, [this] {
    m_stack->setCurrentIndex(kList);
    m_table->setFocus();
  });
  head->addWidget(back, 0, Qt::AlignTop);
  list->addLayout(head);
  m_figureTable = new DataTable(tr("Figures of both runs"));
  m_figureTable->setModel(&m_figures);
  m_figureTable->setShownRows(8);
  list->addWidget(m_figureTable, 3);
  m_heatmap = new HeatmapView;
  m_heatmapFrame = new ChartFrame(tr("Remaining error, B against A"), m_heatmap, &m_difference);
  m_heatmapFrame->setNote(tr("blue: less in B, orange: more"));
  list->addWidget(m_heatmapFrame, 2);
  return page;
}

QVector<qint64> RunsView::selected() const {
  QVector<qint64> ids;
  for (const QModelIndex& index : m_table->selectionModel()->selectedRows()) {
    if (const auto* run = m_context.runs.run(index.row())) ids << run->id;
  }
  return ids;
}

void RunsView::selectRuns(const QVector<qint64>& ids) {
  m_table->clearSelection();
  for (const qint64 id : ids) {
    const int row = m_context.runs.rowOf(id);
    if (row < 0) continue;
    m_table->selectionModel()->select(m_context.runs.index(row, 0),
                                      QItemSelectionModel::Select | QItemSelectionModel::Rows);
  }
}

bool RunsView::isComparing() const {
  return m_stack->currentIndex() == kComparison;
}

void RunsView::refresh() {
  if (m_context.runs.rowCount() == 0) {
    m_stack->setCurrentIndex(kEmpty);
    return;
  }
  if (m_stack->currentIndex() == kEmpty) m_stack->setCurrentIndex(kList);
  const QVector<qint64> ids = selected();
  const profile::QuantizationRun* one =
      ids.size() == 1 ? m_context.runs.find(ids.first()) : nullptr;
  const bool idle = !m_context.run.busy();
  m_open->setEnabled(one != nullptr && one->state == "done");
  m_continue->setEnabled(one != nullptr && idle &&
                         (one->state == "stopped" || one->state == "failed"));
  m_again->setEnabled(one != nullptr);
  int finished = 0;
  for (const qint64 id : ids) {
    const profile::QuantizationRun* run = m_context.runs.find(id);
    finished += run != nullptr && run->state == "done" ? 1 : 0;
  }
  m_compare->setEnabled(ids.size() == 2 && finished == 2);
  m_remove->setEnabled(!ids.isEmpty() && !(one != nullptr && one->state == "running"));
}

void RunsView::compare() {
  const QVector<qint64> ids = selected();
  if (ids.size() != 2) return;
  // The older run is A.
  const qint64 older = std::min(ids[0], ids[1]), newer = std::max(ids[0], ids[1]);
  m_problem->hide();
  m_context.runs.loadReport(older, this, [this, newer](auto a, const QString& problem) {
    if (a == nullptr) {
      m_problem->show(Banner::Kind::kError, problem);
      return;
    }
    m_context.runs.loadReport(newer, this, [this, a](auto b, const QString& second) {
      if (b == nullptr) {
        m_problem->show(Banner::Kind::kError, second);
        return;
      }
      showComparison(*a, *b);
    });
  });
}

void RunsView::showComparison(const quant::Report& a, const quant::Report& b) {
  const auto name = [](const quant::Report& report) {
    return tr("%1, %2, %3")
        .arg(QString::fromStdString(report.model_name), methodTitle(report.method),
             QString::fromStdString(report.started_utc));
  };
  m_compared->setText(tr("A: %1\nB: %2").arg(name(a), name(b)));
  m_figures.setReports(a, b);
  m_figureTable->setStretchedColumn(1);
  m_difference.setDifference(a, b);
  showErrors(*m_heatmap, m_difference);
  m_stack->setCurrentIndex(kComparison);
}

}  // namespace haq::ui
