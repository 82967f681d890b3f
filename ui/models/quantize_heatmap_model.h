// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "engine/model/config.h"
#include "engine/quant/report/report.h"

namespace haq::ui {

/// Layers (rows) by quantized modules (columns): what was measured of each linear layer, or how two
/// runs differ. Columns of one role stand together, experts in order.
class QuantizeHeatmapModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum class Measure {
    kFinal,       ///< remaining relative output error
    kRtn,         ///< of plain rounding
    kSmoothed,    ///< after rotation and smoothing
    kGain,        ///< final / plain rounding
    kDifference,  ///< log2 of the final error of run B over that of run A
  };
  enum DataRole {
    kValueRole = Qt::UserRole,  ///< double; invalid while not known
    kSentenceRole,              ///< the cell as a sentence for tool tip and screen reader
  };
  /// Neighbouring columns of one role.
  struct Group {
    QString title;
    int first = 0, count = 0;
  };

  using QAbstractTableModel::QAbstractTableModel;

  void clear();
  /// Makes all rows and columns that a run over this model will fill.
  void setShape(const model::ModelConfig& config, bool expertsOnly);
  /// Adds reports; rows and columns that are not there yet come with them.
  void add(const std::vector<quant::ModuleReport>& modules);
  /// Shows how B differs from A (kDifference): modules that both have.
  void setDifference(const quant::Report& a, const quant::Report& b);
  void setMeasure(Measure measure);
  Measure measure() const { return m_measure; }
  static QString measureTitle(Measure measure);

  std::vector<Group> groups() const;
  std::optional<double> value(const QModelIndex& index) const;
  int known() const { return static_cast<int>(m_cells.size()); }
  /// The module with the largest remaining error; null while nothing is known.
  const quant::ModuleReport* worst() const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  using Column = std::pair<model::Role, int>;  ///< role, expert (-1: none)
  struct Cell {
    quant::ModuleReport report;
    double other = 0;  ///< final error of run B (kDifference)
  };
  bool ensure(int layer, const Column& column);  ///< true when the table grew
  QString sentence(const Cell& cell) const;

  Measure m_measure = Measure::kFinal;
  int m_layers = 0;
  std::vector<Column> m_columns;  ///< sorted
  std::map<std::pair<int, Column>, Cell> m_cells;
};

/// Short name of a quantized role, as in the heatmap's head: "q", "gate", "shared up".
QString roleTitle(model::Role role);

}  // namespace haq::ui
