// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/review_step.h"

#include <QComboBox>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/shared/chart_frame.h"
#include "ui/shared/data_table.h"
#include "ui/shared/format.h"
#include "ui/shared/heatmap_view.h"
#include "ui/shared/line_plot.h"
#include "ui/wizard/coverage_view.h"
#include "ui/wizard/run_step.h"

namespace haq::ui {

namespace {

/// A titled card around a table.
Card* tableCard(const QString& title, DataTable* table) {
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  list->setSpacing(space::kS);
  list->addWidget(new TextLabel(title, FontRole::kStrong));
  list->addWidget(table, 1);
  return card;
}

QString signedPercent(double share) {
  return (share > 0 ? QStringLiteral("+") : QString()) + format::percent(share);
}

}  // namespace

ReviewStep::ReviewStep(QWidget* parent) : StepPage(tr("What was lost, and where"), {}, parent) {
  m_verdict = new TextLabel({}, FontRole::kStrong);
  m_verdict->setWordWrap(true);
  m_verdict->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  column()->addWidget(m_verdict);
  column()->addWidget(makeTiles());
  m_recipe = new TextLabel({}, FontRole::kSmall, Role::kMuted);
  m_recipe->setWordWrap(true);
  m_recipe->setTextInteractionFlags(Qt::TextSelectableByMouse);
  column()->addWidget(m_recipe);
  m_warning = new Banner;
  m_notices = new Banner;
  column()->addWidget(m_warning);
  column()->addWidget(m_notices);

  m_heatmap = new HeatmapView;
  showErrors(*m_heatmap, m_errors);
  m_heatmapFrame = new ChartFrame(tr("Where the error is"), m_heatmap, &m_errors);
  m_measure = new QComboBox;
  using Measure = QuantizeHeatmapModel::Measure;
  for (const Measure measure :
       {Measure::kFinal, Measure::kRtn, Measure::kSmoothed, Measure::kGain}) {
    m_measure->addItem(QuantizeHeatmapModel::measureTitle(measure), static_cast<int>(measure));
  }
  m_measure->setAccessibleName(tr("What the heatmap shows"));
  connect(m_measure, &QComboBox::currentIndexChanged, this,
          [this] { m_errors.setMeasure(static_cast<Measure>(m_measure->currentData().toInt())); });
  m_heatmapFrame->addHeadWidget(m_measure);
  column()->addWidget(m_heatmapFrame);

  m_worst = new DataTable(tr("Modules, the worst first"));
  m_sorted.setSourceModel(&m_modules);
  m_sorted.setSortRole(ModuleTableModel::kSortRole);
  m_worst->setModel(&m_sorted);
  m_worst->setSortingEnabled(true);
  m_worst->sortByColumn(ModuleTableModel::kFinal, Qt::DescendingOrder);
  m_worst->setStretchedColumn(ModuleTableModel::kName);
  m_worst->setShownRows(7);
  column()->addWidget(tableCard(tr("Modules, the worst first"), m_worst));

  m_curve = new LinePlot;
  m_curve->setFormatY(&format::percent);
  auto* curveFrame = new ChartFrame(tr("Error by layer"), m_curve, &m_layerErrors);
  curveFrame->setNote(tr("mean over modules, share of the output's energy"));
  m_coverageFrame =
      new ChartFrame(tr("Tokens by expert"), new CoverageView(&m_coverage), &m_coverage);
  m_coverageFrame->setNote(tr("dotted: an even split"));
  auto* figures = new DataTable(tr("All figures"));
  figures->setModel(&m_figures);
  figures->setStretchedColumn(1);
  figures->setShownRows(8);
  column()->addWidget(new Columns({curveFrame, m_coverageFrame}, 300));
  column()->addWidget(tableCard(tr("All figures"), figures));

  m_ablationTable = new DataTable(tr("What each part contributes"));
  m_ablationTable->setModel(&m_ablation);
  m_ablationCard = tableCard(tr("What each part contributes"), m_ablationTable);
  column()->addWidget(m_ablationCard);
  column()->addStretch(1);
  setFocusProxy(m_heatmap);
}

QWidget* ReviewStep::makeTiles() {
  m_perplexity = new FigureTile(tr("Perplexity"));
  m_divergence = new FigureTile(tr("KL divergence"));
  m_agreement = new FigureTile(tr("Same top token"));
  m_size = new FigureTile(tr("Size"));
  m_time = new FigureTile(tr("Time"));
  return new Columns({m_perplexity, m_divergence, m_agreement, m_size, m_time}, 150);
}

void ReviewStep::fillTiles() {
  const quant::Report& report = *m_report;
  if (report.quality) {
    const quant::QualityReport& q = *report.quality;
    QString range = tr("%1 to %2").arg(precise(q.ppl_before), precise(q.ppl_after));
    if (q.ppl_ratio_low && q.ppl_ratio_high) {
      range += tr("; 95 %: %1 … %2")
                   .arg(signedPercent(*q.ppl_ratio_low - 1), signedPercent(*q.ppl_ratio_high - 1));
    }
    m_perplexity->set(signedPercent(q.ppl_ratio - 1), range,
                      tr("Change of the perplexity on text that calibration did not use, with its "
                         "paired 95 % interval"));
    m_divergence->set(
        format::number(q.kld_mean),
        q.kld_low && q.kld_high
            ? tr("95 %: %1 … %2").arg(format::number(*q.kld_low), format::number(*q.kld_high))
            : QString(),
        tr("Mean KL divergence of the 8-bit model from the 16-bit model, nats per token"));
    m_agreement->set(
        format::percent(q.top1_agreement), tr("of %1 tokens").arg(format::count(q.tokens)),
        tr("Share of tokens for which both models find the same next token likeliest"));
    m_recipe->setText(QString::fromStdString(q.recipe));
  } else {
    for (FigureTile* tile : {m_perplexity, m_divergence, m_agreement}) {
      tile->set(format::unknown(), tr("not measured"), {});
    }
    m_recipe->setText({});
  }
  m_recipe->setVisible(!m_recipe->text().isEmpty());
  m_size->set(format::bytes(static_cast<double>(report.bytes_after)),
              report.bytes_before > 0
                  ? tr("of %1 (%2)")
                        .arg(format::bytes(static_cast<double>(report.bytes_before)),
                             format::percent(static_cast<double>(report.bytes_after) /
                                             static_cast<double>(report.bytes_before)))
                  : QString(),
              tr("Weight files, which are also what the model takes in memory"));
  m_time->set(
      format::duration(report.seconds),
      tr("at most %1 of memory").arg(format::bytes(static_cast<double>(report.peak_rss_bytes))),
      tr("Time of the quantization, and the highest resident memory of the program"));
}

void ReviewStep::setReport(const std::shared_ptr<const quant::Report>& report) {
  m_report = report;
  if (report == nullptr) return;
  m_verdict->setText(QStringLiteral("%1, %2: %3")
                         .arg(QString::fromStdString(report->model_name),
                              methodTitle(report->method), runVerdict(*report)));
  fillTiles();
  m_errors.clear();
  m_errors.add(report->modules);
  m_layerErrors.clear();
  m_layerErrors.add(report->modules);
  m_coverage.clear();
  m_coverage.add(report->experts);
  m_modules.setModules(report->modules);
  m_figures.setReport(*report);
  m_ablation.setRows(report->ablation);
  m_ablationCard->setVisible(!report->ablation.empty());
  m_ablationTable->setShownRows(
      static_cast<int>(std::min<std::size_t>(report->ablation.size(), 8)));
  m_coverageFrame->setVisible(!report->experts.empty());
  showCurves(*m_curve, m_layerErrors, m_errors.rowCount());
  const quant::ModuleReport* worst = m_errors.worst();
  m_heatmapFrame->setNote(worst == nullptr ? QString()
                                           : tr("worst: %1, %2")
                                                 .arg(QString::fromStdString(worst->name),
                                                      format::percent(worst->error_final)));
  // The run itself may have said it already.
  const bool said =
      std::any_of(report->notices.begin(), report->notices.end(),
                  [](const auto& notice) { return notice.find("experts") != std::string::npos; });
  const QString warning = said ? QString() : m_coverage.warning();
  warning.isEmpty()
      ? m_warning->hide()
      : m_warning->show(Banner::Kind::kWarning, warning,
                        tr("More calibration tokens, or text of more kinds, reach them."));
  if (report->notices.empty()) {
    m_notices->hide();
  } else {
    QStringList lines;
    for (const std::string& notice : report->notices) lines << QString::fromStdString(notice);
    m_notices->show(Banner::Kind::kWarning, lines.first(), lines.mid(1).join(QLatin1Char('\n')));
  }
}

}  // namespace haq::ui
