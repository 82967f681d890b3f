// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_tables.h"

#include <algorithm>
#include <numeric>

#include "ui/shared/format.h"

namespace haq::ui {

namespace {

QVariant rightAligned() {
  return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
}

QString smoothingText(const quant::ModuleReport& module) {
  if (module.alpha) return QStringLiteral("α = ") + format::number(*module.alpha);
  if (module.threshold) return QStringLiteral("t = ") + format::number(*module.threshold);
  return ModuleTableModel::tr("none");
}

}  // namespace

void LayerErrorsModel::clear() {
  beginResetModel();
  m_lines.clear();
  endResetModel();
}

void LayerErrorsModel::add(const std::vector<quant::ModuleReport>& modules) {
  if (modules.empty()) return;
  beginResetModel();
  for (const quant::ModuleReport& module : modules) {
    auto line = std::lower_bound(m_lines.begin(), m_lines.end(), module.layer,
                                 [](const Line& at, int layer) { return at.layer < layer; });
    if (line == m_lines.end() || line->layer != module.layer) {
      line = m_lines.insert(line, Line{module.layer});
    }
    const auto mean = [n = line->modules + 1](double before, double value) {
      return before + (value - before) / n;
    };
    line->rtn = mean(line->rtn, module.error_rtn);
    line->smoothed = mean(line->smoothed, module.error_smooth);
    line->final = mean(line->final, module.error_final);
    ++line->modules;
  }
  endResetModel();
}

int LayerErrorsModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_lines.size());
}

int LayerErrorsModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant LayerErrorsModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  if (role == Qt::TextAlignmentRole) return rightAligned();
  if (role != Qt::DisplayRole) return {};
  const Line& line = m_lines[static_cast<std::size_t>(index.row())];
  switch (index.column()) {
    case kLayer:
      return line.layer;
    case kRtn:
      return format::percent(line.rtn);
    case kSmoothed:
      return format::percent(line.smoothed);
    case kFinal:
      return format::percent(line.final);
    default:
      return line.modules;
  }
}

QVariant LayerErrorsModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) return {};
  switch (section) {
    case kLayer:
      return tr("Layer");
    case kRtn:
      return tr("Plain rounding");
    case kSmoothed:
      return tr("Smoothed");
    case kFinal:
      return tr("Final");
    case kModules:
      return tr("Modules");
    default:
      return {};
  }
}

void ExpertCoverageModel::clear() {
  beginResetModel();
  m_layers.clear();
  m_experts = 0;
  endResetModel();
}

void ExpertCoverageModel::add(const std::vector<quant::ExpertReport>& experts) {
  if (experts.empty()) return;
  beginResetModel();
  for (const quant::ExpertReport& expert : experts) {
    if (expert.expert < 0) continue;
    m_experts = std::max(m_experts, expert.expert + 1);
    std::vector<qint64>& layer = m_layers[expert.layer];
    if (layer.size() <= static_cast<std::size_t>(expert.expert)) {
      layer.resize(static_cast<std::size_t>(expert.expert) + 1);
    }
    layer[static_cast<std::size_t>(expert.expert)] = expert.tokens;
  }
  endResetModel();
}

int ExpertCoverageModel::layer(int row) const {
  return std::next(m_layers.begin(), row)->first;
}

qint64 ExpertCoverageModel::tokens(int row, int column) const {
  const std::vector<qint64>& layer = std::next(m_layers.begin(), row)->second;
  return static_cast<std::size_t>(column) < layer.size() ? layer[static_cast<std::size_t>(column)]
                                                         : 0;
}

qint64 ExpertCoverageModel::most(int row) const {
  const std::vector<qint64>& layer = std::next(m_layers.begin(), row)->second;
  return layer.empty() ? 0 : *std::max_element(layer.begin(), layer.end());
}

double ExpertCoverageModel::even(int row) const {
  const std::vector<qint64>& layer = std::next(m_layers.begin(), row)->second;
  return static_cast<double>(std::accumulate(layer.begin(), layer.end(), qint64{0})) /
         std::max(1, m_experts);
}

ExpertCoverageModel::Verdict ExpertCoverageModel::verdict(int row, int column) const {
  const qint64 seen = tokens(row, column);
  if (seen == 0) return Verdict::kNever;
  return static_cast<double>(seen) < quant::kHardlySeenShare * even(row) ? Verdict::kHardly
                                                                         : Verdict::kSeen;
}

int ExpertCoverageModel::weak() const {
  int found = 0;
  for (int row = 0; row < rowCount(); ++row) {
    for (int column = 0; column < m_experts; ++column) {
      if (verdict(row, column) != Verdict::kSeen) ++found;
    }
  }
  return found;
}

QString ExpertCoverageModel::warning() const {
  int hardly = 0, never = 0;
  for (int row = 0; row < rowCount(); ++row) {
    for (int column = 0; column < m_experts; ++column) {
      const Verdict found = verdict(row, column);
      hardly += found == Verdict::kHardly ? 1 : 0;
      never += found == Verdict::kNever ? 1 : 0;
    }
  }
  if (hardly + never == 0) return {};
  return tr("%1 of %2 experts were hardly or never chosen by the calibration text (%3 never): they "
            "were calibrated on tokens meant for others.")
      .arg(hardly + never)
      .arg(rowCount() * m_experts)
      .arg(never);
}

int ExpertCoverageModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_layers.size());
}

int ExpertCoverageModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : m_experts;
}

QVariant ExpertCoverageModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const qint64 seen = tokens(index.row(), index.column());
  switch (role) {
    case Qt::DisplayRole:
      return format::count(seen);
    case kValueRole:
      return static_cast<double>(seen);
    case kSentenceRole:
    case Qt::ToolTipRole: {
      const Verdict found = verdict(index.row(), index.column());
      return tr("layer %1, expert %2: %3%4")
          .arg(layer(index.row()))
          .arg(index.column())
          .arg(format::counted(seen, tr("token"), tr("tokens")),
               found == Verdict::kNever    ? tr(", never chosen")
               : found == Verdict::kHardly ? tr(", hardly seen")
                                           : QString());
    }
    case Qt::TextAlignmentRole:
      return rightAligned();
    default:
      return {};
  }
}

QVariant ExpertCoverageModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (role != Qt::DisplayRole) return {};
  if (orientation == Qt::Horizontal) return tr("expert %1").arg(section);
  return section < rowCount() ? QVariant(tr("layer %1").arg(layer(section))) : QVariant();
}

void ModuleTableModel::setModules(std::vector<quant::ModuleReport> modules) {
  beginResetModel();
  m_modules = std::move(modules);
  endResetModel();
}

int ModuleTableModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_modules.size());
}

int ModuleTableModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant ModuleTableModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  if (role == Qt::TextAlignmentRole) {
    return index.column() <= kSmoothing ? QVariant() : rightAligned();
  }
  const quant::ModuleReport& module = m_modules[static_cast<std::size_t>(index.row())];
  if (role == Qt::ToolTipRole && index.column() == kSmoothing && !module.smoothing_reason.empty()) {
    return QString::fromStdString(module.smoothing_reason);
  }
  if (role != Qt::DisplayRole && role != kSortRole) return {};
  const auto figure = [role](double value, const QString& text) {
    return role == kSortRole ? QVariant(value) : QVariant(text);
  };
  switch (index.column()) {
    case kName:
      return QString::fromStdString(module.name);
    case kSmoothing:
      return smoothingText(module);
    case kRtn:
      return figure(module.error_rtn, format::percent(module.error_rtn));
    case kSmoothed:
      return figure(module.error_smooth, format::percent(module.error_smooth));
    case kFinal:
      return figure(module.error_final, format::percent(module.error_final));
    case kSnr:
      return figure(module.snr_db,
                    format::number(module.snr_db) + format::kThinSpace + QStringLiteral("dB"));
    case kClip:
      return figure(module.clip, format::number(module.clip));
    case kTokens:
      return figure(static_cast<double>(module.tokens), format::count(module.tokens));
    default:
      return figure(module.seconds, format::duration(module.seconds));
  }
}

QVariant ModuleTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return section <= kSmoothing
               ? QVariant::fromValue(Qt::Alignment(Qt::AlignLeft | Qt::AlignVCenter))
               : rightAligned();
  }
  if (role == Qt::ToolTipRole && (section == kRtn || section == kSmoothed || section == kFinal)) {
    return tr(
        "‖y − ŷ‖² / ‖y‖² over a sample of calibration rows, weights and activations in 8 bit");
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case kName:
      return tr("Module");
    case kSmoothing:
      return tr("Smoothing");
    case kRtn:
      return tr("Rounding");
    case kSmoothed:
      return tr("Smoothed");
    case kFinal:
      return tr("Final error");
    case kSnr:
      return tr("SNR");
    case kClip:
      return tr("Clip");
    case kTokens:
      return tr("Tokens");
    case kSeconds:
      return tr("Time");
    default:
      return {};
  }
}

}  // namespace haq::ui
