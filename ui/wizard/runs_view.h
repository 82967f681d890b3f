// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/models/run_figures.h"
#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QStackedWidget;

namespace haq::ui {

class ChartFrame;
class DataTable;
class HeatmapView;

/// Every quantization so far: open, continue, run again, compare two.
class RunsView : public QWidget {
  Q_OBJECT
 public:
  explicit RunsView(WizardContext& context, QWidget* parent = nullptr);

  DataTable& table() { return *m_table; }
  EmptyState& empty() { return *m_empty; }
  QPushButton& compareButton() { return *m_compare; }
  FigureTableModel& comparison() { return m_figures; }
  bool isComparing() const;
  void selectRuns(const QVector<qint64>& ids);

 Q_SIGNALS:
  void newAsked();
  void openAsked(qint64 id);
  void continueAsked(qint64 id);
  void againAsked(qint64 id);

 private:
  QWidget* makeList();
  QWidget* makeComparison();
  QVector<qint64> selected() const;
  void refresh();
  void compare();
  void showComparison(const quant::Report& a, const quant::Report& b);

  WizardContext& m_context;
  QStackedWidget* m_stack;
  DataTable* m_table;
  EmptyState* m_empty;
  QPushButton *m_open, *m_continue, *m_again, *m_compare, *m_remove;
  Banner* m_problem;
  FigureTableModel m_figures;
  QuantizeHeatmapModel m_difference;
  TextLabel* m_compared;
  DataTable* m_figureTable;
  HeatmapView* m_heatmap;
  ChartFrame* m_heatmapFrame;
};

}  // namespace haq::ui
