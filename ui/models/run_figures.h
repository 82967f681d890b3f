// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <optional>
#include <vector>

#include "engine/quant/report/report.h"

namespace haq::ui {

/// One figure of a report, with what it means.
struct Figure {
  QString name, help;
  QString value;
  std::optional<double> number;  ///< to compare by; none for words
};

/// What a report says of the model as a whole: perplexity before and after, divergence, agreement,
/// sizes, errors, settings. Intervals are written out; what was not measured is a dash.
std::vector<Figure> runFigures(const quant::Report& report);

/// Five significant figures, for values whose difference matters.
QString precise(double value);

/// One sentence: what the quantization cost.
QString runVerdict(const quant::Report& report);

/// Figures of one run, or of two beside each other with their difference; rows of words that are
/// equal in both are kept, so that the settings can be read too.
class FigureTableModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  using QAbstractTableModel::QAbstractTableModel;
  void setReport(const quant::Report& report);
  void setReports(const quant::Report& a, const quant::Report& b);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  struct Line {
    Figure a;
    Figure b;
  };
  bool m_two = false;
  std::vector<Line> m_lines;
};

/// Rows of an ablation, each with its quality and its change against the row before.
class AblationTableModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  using QAbstractTableModel::QAbstractTableModel;
  void setRows(std::vector<quant::AblationRow> rows);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::vector<quant::AblationRow> m_rows;
};

}  // namespace haq::ui
