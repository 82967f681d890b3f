// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <map>
#include <vector>

#include "engine/quant/report/report.h"

namespace haq::ui {

/// One line per layer: mean relative output error of its modules under plain rounding, after
/// smoothing, and finally. The curve of the run.
class LayerErrorsModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { kLayer, kRtn, kSmoothed, kFinal, kModules, kColumns };
  struct Line {
    int layer = 0;
    double rtn = 0, smoothed = 0, final = 0;  ///< means
    int modules = 0;
  };

  using QAbstractTableModel::QAbstractTableModel;

  void clear();
  void add(const std::vector<quant::ModuleReport>& modules);
  /// Layers of which something is known, in order.
  const std::vector<Line>& lines() const { return m_lines; }

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::vector<Line> m_lines;
};

/// Calibration tokens that the router sent to each expert (columns) of each layer (rows).
class ExpertCoverageModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum DataRole { kValueRole = Qt::UserRole, kSentenceRole };
  enum class Verdict { kSeen, kHardly, kNever };
  using QAbstractTableModel::QAbstractTableModel;

  void clear();
  void add(const std::vector<quant::ExpertReport>& experts);
  qint64 tokens(int row, int column) const;
  qint64 most(int row) const;
  double even(int row) const;  ///< tokens of each expert if all were equal
  Verdict verdict(int row, int column) const;
  int layer(int row) const;
  /// How many (layer, expert) are hardly or never seen.
  int weak() const;
  /// One sentence for a banner; empty when every expert is well seen.
  QString warning() const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::map<int, std::vector<qint64>> m_layers;
  int m_experts = 0;
};

/// All modules of a report as a table, for "worst modules" and "show as table".
class ModuleTableModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column {
    kName,
    kSmoothing,
    kRtn,
    kSmoothed,
    kFinal,
    kSnr,
    kClip,
    kTokens,
    kSeconds,
    kColumns
  };
  enum DataRole { kSortRole = Qt::UserRole };

  using QAbstractTableModel::QAbstractTableModel;
  void setModules(std::vector<quant::ModuleReport> modules);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::vector<quant::ModuleReport> m_modules;
};

}  // namespace haq::ui
