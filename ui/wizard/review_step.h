// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QSortFilterProxyModel>

#include "ui/models/run_figures.h"
#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QComboBox;

namespace haq::ui {

class ChartFrame;
class DataTable;
class HeatmapView;
class LinePlot;

/// Step 5: what was lost and where, of the run just made or of one from the list.
class ReviewStep : public StepPage {
  Q_OBJECT
 public:
  explicit ReviewStep(QWidget* parent = nullptr);

  void setReport(const std::shared_ptr<const quant::Report>& report);
  const std::shared_ptr<const quant::Report>& report() const { return m_report; }
  QString verdict() const { return m_verdict->text(); }
  DataTable& worst() { return *m_worst; }
  HeatmapView& heatmap() { return *m_heatmap; }
  QComboBox& measure() { return *m_measure; }

 private:
  QWidget* makeTiles();
  void fillTiles();

  std::shared_ptr<const quant::Report> m_report;
  QuantizeHeatmapModel m_errors;
  LayerErrorsModel m_layerErrors;
  ExpertCoverageModel m_coverage;
  ModuleTableModel m_modules;
  QSortFilterProxyModel m_sorted;
  FigureTableModel m_figures;
  AblationTableModel m_ablation;
  TextLabel* m_verdict;
  TextLabel* m_recipe;
  FigureTile *m_perplexity, *m_divergence, *m_agreement, *m_size, *m_time;
  Banner* m_warning;
  Banner* m_notices;
  HeatmapView* m_heatmap;
  ChartFrame* m_heatmapFrame;
  QComboBox* m_measure;
  LinePlot* m_curve;
  DataTable* m_worst;
  ChartFrame* m_coverageFrame;
  Card* m_ablationCard;
  DataTable* m_ablationTable;
};

}  // namespace haq::ui
