// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_heatmap_model.h"

#include <algorithm>
#include <cmath>

#include "engine/model/modules.h"
#include "ui/shared/format.h"

namespace haq::ui {

namespace {

/// Whether a role belongs to the experts, which --experts-only quantizes.
bool isExpert(const model::ModuleShape& shape) {
  return shape.expert >= 0;
}

QString place(const quant::ModuleReport& report) {
  return report.expert < 0 ? QuantizeHeatmapModel::tr("layer %1, %2")
                                 .arg(report.layer)
                                 .arg(roleTitle(report.role))
                           : QuantizeHeatmapModel::tr("layer %1, expert %2, %3")
                                 .arg(report.layer)
                                 .arg(report.expert)
                                 .arg(roleTitle(report.role));
}

}  // namespace

QString roleTitle(model::Role role) {
  using enum model::Role;
  switch (role) {
    case kQ:
      return QStringLiteral("q");
    case kK:
      return QStringLiteral("k");
    case kV:
      return QStringLiteral("v");
    case kO:
      return QStringLiteral("o");
    case kQA:
      return QStringLiteral("q a");
    case kQB:
      return QStringLiteral("q b");
    case kKvA:
      return QStringLiteral("kv a");
    case kKvB:
      return QStringLiteral("kv b");
    case kGate:
      return QStringLiteral("gate");
    case kUp:
      return QStringLiteral("up");
    case kDown:
      return QStringLiteral("down");
    case kSharedGate:
      return QStringLiteral("shared gate");
    case kSharedUp:
      return QStringLiteral("shared up");
    case kSharedDown:
      return QStringLiteral("shared down");
    default:
      return QStringLiteral("other");
  }
}

QString QuantizeHeatmapModel::measureTitle(Measure measure) {
  switch (measure) {
    case Measure::kFinal:
      return tr("Remaining error");
    case Measure::kRtn:
      return tr("Error of plain rounding");
    case Measure::kSmoothed:
      return tr("Error after smoothing");
    case Measure::kGain:
      return tr("Remaining share of the rounding error");
    case Measure::kDifference:
      break;
  }
  return tr("Error of B against A");
}

void QuantizeHeatmapModel::clear() {
  beginResetModel();
  m_layers = 0;
  m_columns.clear();
  m_cells.clear();
  endResetModel();
}

void QuantizeHeatmapModel::setShape(const model::ModelConfig& config, bool expertsOnly) {
  beginResetModel();
  m_cells.clear();
  m_columns.clear();
  m_layers = config.layer_count();
  model::for_each_module(config, [&](const model::ModuleShape& shape) {
    if (shape.layer < 0 || !model::is_quantizable(shape.role)) return;
    if (expertsOnly && config.experts > 0 && !isExpert(shape)) return;
    ensure(shape.layer, {shape.role, shape.expert});
  });
  endResetModel();
}

bool QuantizeHeatmapModel::ensure(int layer, const Column& column) {
  bool grew = false;
  if (layer >= m_layers) {
    m_layers = layer + 1;
    grew = true;
  }
  const auto at = std::lower_bound(m_columns.begin(), m_columns.end(), column);
  if (at == m_columns.end() || *at != column) {
    m_columns.insert(at, column);
    grew = true;
  }
  return grew;
}

void QuantizeHeatmapModel::add(const std::vector<quant::ModuleReport>& modules) {
  if (modules.empty()) return;
  const auto fits = [this](const quant::ModuleReport& report) {
    return report.layer < m_layers && std::binary_search(m_columns.begin(), m_columns.end(),
                                                         Column{report.role, report.expert});
  };
  const bool grows = !std::all_of(modules.begin(), modules.end(), fits);
  if (grows) beginResetModel();
  int firstRow = m_layers, lastRow = 0;
  for (const quant::ModuleReport& report : modules) {
    if (report.layer < 0) continue;
    if (grows) ensure(report.layer, {report.role, report.expert});
    m_cells[{report.layer, {report.role, report.expert}}] = {report, 0};
    firstRow = std::min(firstRow, report.layer);
    lastRow = std::max(lastRow, report.layer);
  }
  if (grows) {
    endResetModel();
  } else if (firstRow <= lastRow) {
    Q_EMIT dataChanged(index(firstRow, 0), index(lastRow, columnCount() - 1));
  }
}

void QuantizeHeatmapModel::setDifference(const quant::Report& a, const quant::Report& b) {
  beginResetModel();
  m_measure = Measure::kDifference;
  m_layers = 0;
  m_columns.clear();
  m_cells.clear();
  std::map<std::pair<int, Column>, double> others;
  for (const quant::ModuleReport& report : b.modules) {
    others[{report.layer, {report.role, report.expert}}] = report.error_final;
  }
  for (const quant::ModuleReport& report : a.modules) {
    const std::pair<int, Column> key{report.layer, {report.role, report.expert}};
    const auto other = others.find(key);
    if (other == others.end() || report.layer < 0) continue;
    ensure(report.layer, key.second);
    m_cells[key] = {report, other->second};
  }
  endResetModel();
}

void QuantizeHeatmapModel::setMeasure(Measure measure) {
  if (measure == m_measure || m_measure == Measure::kDifference) return;
  m_measure = measure;
  if (m_layers > 0 && !m_columns.empty()) {
    Q_EMIT dataChanged(index(0, 0), index(m_layers - 1, columnCount() - 1));
  }
}

std::vector<QuantizeHeatmapModel::Group> QuantizeHeatmapModel::groups() const {
  std::vector<Group> groups;
  for (int column = 0; column < columnCount(); ++column) {
    const auto& [role, expert] = m_columns[static_cast<std::size_t>(column)];
    const bool alone = expert < 0;
    const bool sameGroup = !groups.empty() && !alone &&
                           m_columns[static_cast<std::size_t>(column - 1)].first == role &&
                           m_columns[static_cast<std::size_t>(column - 1)].second >= 0;
    if (sameGroup) {
      ++groups.back().count;
    } else {
      groups.push_back({roleTitle(role), column, 1});
    }
  }
  return groups;
}

std::optional<double> QuantizeHeatmapModel::value(const QModelIndex& index) const {
  if (!index.isValid()) return std::nullopt;
  const auto found =
      m_cells.find({index.row(), m_columns[static_cast<std::size_t>(index.column())]});
  if (found == m_cells.end()) return std::nullopt;
  const quant::ModuleReport& report = found->second.report;
  const auto ratio = [](double top, double bottom) -> std::optional<double> {
    if (bottom <= 0) return std::nullopt;
    return top / bottom;
  };
  switch (m_measure) {
    case Measure::kFinal:
      return report.error_final;
    case Measure::kRtn:
      return report.error_rtn;
    case Measure::kSmoothed:
      return report.error_smooth;
    case Measure::kGain:
      return ratio(report.error_final, report.error_rtn);
    case Measure::kDifference:
      break;
  }
  const auto change = ratio(found->second.other, report.error_final);
  if (!change || *change <= 0) return std::nullopt;
  return std::log2(*change);
}

const quant::ModuleReport* QuantizeHeatmapModel::worst() const {
  const quant::ModuleReport* found = nullptr;
  for (const auto& [key, cell] : m_cells) {
    if (found == nullptr || cell.report.error_final > found->error_final) found = &cell.report;
  }
  return found;
}

int QuantizeHeatmapModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : m_layers;
}

int QuantizeHeatmapModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_columns.size());
}

QString QuantizeHeatmapModel::sentence(const Cell& cell) const {
  const quant::ModuleReport& report = cell.report;
  if (m_measure == Measure::kDifference) {
    return tr("%1: remaining error %2 in A, %3 in B")
        .arg(place(report), format::percent(report.error_final), format::percent(cell.other));
  }
  QString smoothing = tr("no smoothing");
  if (report.alpha) {
    smoothing = tr("smoothed with α = %1").arg(format::number(*report.alpha));
  } else if (report.threshold) {
    smoothing = tr("smoothed above %1").arg(format::number(*report.threshold));
  }
  return tr("%1: remaining error %2 of the output's energy (plain rounding %3), %4 dB, %5")
      .arg(place(report), format::percent(report.error_final), format::percent(report.error_rtn),
           format::number(report.snr_db), smoothing);
}

QVariant QuantizeHeatmapModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const auto found =
      m_cells.find({index.row(), m_columns[static_cast<std::size_t>(index.column())]});
  const auto number = value(index);
  switch (role) {
    case Qt::DisplayRole:
      if (!number) return format::unknown();
      if (m_measure == Measure::kDifference) {
        return QStringLiteral("×") + format::number(std::exp2(*number));
      }
      return format::percent(*number);
    case kValueRole:
      return number ? QVariant(*number) : QVariant();
    case kSentenceRole:
    case Qt::ToolTipRole:
      if (found != m_cells.end()) return sentence(found->second);
      return tr("layer %1, %2: not done yet")
          .arg(index.row())
          .arg(headerData(index.column(), Qt::Horizontal, Qt::DisplayRole).toString());
    case Qt::TextAlignmentRole:
      return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
    default:
      return {};
  }
}

QVariant QuantizeHeatmapModel::headerData(int section, Qt::Orientation orientation,
                                          int role) const {
  if (role != Qt::DisplayRole || section < 0) return {};
  if (orientation == Qt::Vertical) return section < m_layers ? QVariant(section) : QVariant();
  if (section >= columnCount()) return {};
  const auto& [kind, expert] = m_columns[static_cast<std::size_t>(section)];
  return expert < 0 ? roleTitle(kind) : QStringLiteral("%1 %2").arg(roleTitle(kind)).arg(expert);
}

}  // namespace haq::ui
