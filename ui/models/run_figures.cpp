// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/run_figures.h"

#include <QCoreApplication>
#include <algorithm>
#include <cmath>

#include "ui/models/quantize_order.h"
#include "ui/shared/format.h"

namespace haq::ui {

namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("RunFigures", text);
}

/// +0.34 %
QString change(double ratio) {
  const double share = ratio - 1;
  return (share > 0 ? QStringLiteral("+") : QString()) + format::percent(share);
}

QString interval(const std::optional<double>& low, const std::optional<double>& high,
                 QString (*write)(double)) {
  if (!low || !high) return {};
  return tr(" (95 %: %1 to %2)").arg(write(*low), write(*high));
}

double meanFinal(const quant::Report& report) {
  double sum = 0;
  for (const quant::ModuleReport& module : report.modules) sum += module.error_final;
  return report.modules.empty() ? 0 : sum / static_cast<double>(report.modules.size());
}

void addQuality(std::vector<Figure>& figures, const quant::Report& report) {
  const QString help = tr("On text that calibration did not use");
  if (!report.quality) {
    for (const QString& name :
         {tr("Perplexity, 16 bit"), tr("Perplexity, 8 bit"), tr("Perplexity change"),
          tr("KL divergence"), tr("Top-1 agreement")}) {
      figures.push_back({name, help, format::unknown(), std::nullopt});
    }
    return;
  }
  const quant::QualityReport& q = *report.quality;
  figures.push_back({tr("Perplexity, 16 bit"), help, precise(q.ppl_before), q.ppl_before});
  figures.push_back({tr("Perplexity, 8 bit"), help, precise(q.ppl_after), q.ppl_after});
  figures.push_back({tr("Perplexity change"),
                     tr("Ratio of the perplexities less one, with its paired 95 % interval"),
                     change(q.ppl_ratio) + interval(q.ppl_ratio_low, q.ppl_ratio_high, &change),
                     q.ppl_ratio - 1});
  figures.push_back(
      {tr("KL divergence"), tr("Mean KL divergence from the 16-bit model, in nats per token"),
       format::number(q.kld_mean) + interval(q.kld_low, q.kld_high, &format::number), q.kld_mean});
  figures.push_back({tr("Top-1 agreement"),
                     tr("Share of tokens for which both models find the same next token likeliest"),
                     format::percent(q.top1_agreement), q.top1_agreement});
}

}  // namespace

QString precise(double value) {
  return std::isfinite(value) ? QString::number(value, 'g', 5) : format::unknown();
}

std::vector<Figure> runFigures(const quant::Report& report) {
  std::vector<Figure> figures;
  addQuality(figures, report);
  const auto bytes = [&](const QString& name, std::int64_t value, const QString& help) {
    figures.push_back(
        {name, help, format::bytes(static_cast<double>(value)), static_cast<double>(value)});
  };
  bytes(tr("Size, 16 bit"), report.bytes_before, tr("All weight files of the source"));
  bytes(tr("Size, 8 bit"), report.bytes_after, tr("All weight files of the result"));
  const double error = meanFinal(report);
  figures.push_back({tr("Mean remaining error"),
                     tr("Relative output error ‖y − ŷ‖² / ‖y‖², mean over all modules"),
                     format::percent(error), error});
  if (report.router_agreement) {
    figures.push_back({tr("Router agreement"),
                       tr("Share of calibration tokens sent to the same experts as before"),
                       format::percent(*report.router_agreement), report.router_agreement});
  }
  figures.push_back({tr("Time"), tr("Of the quantization, without measuring its quality"),
                     format::duration(report.seconds), report.seconds});
  figures.push_back({tr("Peak memory"), tr("Highest resident memory of the program"),
                     format::bytes(static_cast<double>(report.peak_rss_bytes)),
                     static_cast<double>(report.peak_rss_bytes)});
  const auto word = [&](const QString& name, const QString& value) {
    figures.push_back({name, {}, value, std::nullopt});
  };
  word(tr("Method"), methodTitle(report.method));
  word(tr("Rotation"),
       report.rotated ? tr("seed %1").arg(report.rotation_seed)
                      : tr("none") + (report.rotation_reason.empty()
                                          ? QString()
                                          : QStringLiteral(": ") +
                                                QString::fromStdString(report.rotation_reason)));
  word(tr("Quantized"), report.experts_only ? tr("experts only") : tr("experts and attention"));
  word(tr("Calibration"),
       tr("%1 tokens, seed %2").arg(format::count(report.calib_tokens)).arg(report.seed));
  return figures;
}

QString runVerdict(const quant::Report& report) {
  QString size;
  if (report.bytes_before > 0 && report.bytes_after > 0) {
    size = tr("%1 instead of %2.")
               .arg(format::bytes(static_cast<double>(report.bytes_after)),
                    format::bytes(static_cast<double>(report.bytes_before)));
  }
  if (!report.quality) return tr("%1 The loss was not measured.").arg(size).trimmed();
  const quant::QualityReport& q = *report.quality;
  const bool sure = q.ppl_ratio_low && q.ppl_ratio_high;
  QString loss;
  if (sure && *q.ppl_ratio_low <= 1 && *q.ppl_ratio_high >= 1) {
    loss =
        tr("No measurable loss: perplexity %1, and its interval holds 0.").arg(change(q.ppl_ratio));
  } else if (q.ppl_ratio <= 1) {
    loss = tr("No loss of perplexity: %1.").arg(change(q.ppl_ratio));
  } else {
    loss = tr("Perplexity rises by %1.").arg(format::percent(q.ppl_ratio - 1));
  }
  return (loss + QLatin1Char(' ') + size).trimmed();
}

void FigureTableModel::setReport(const quant::Report& report) {
  beginResetModel();
  m_two = false;
  m_lines.clear();
  for (Figure& figure : runFigures(report)) m_lines.push_back({std::move(figure), {}});
  endResetModel();
}

void FigureTableModel::setReports(const quant::Report& a, const quant::Report& b) {
  beginResetModel();
  m_two = true;
  m_lines.clear();
  std::vector<Figure> second = runFigures(b);
  for (Figure& figure : runFigures(a)) {
    const auto same = std::find_if(second.begin(), second.end(),
                                   [&](const Figure& other) { return other.name == figure.name; });
    Figure other =
        same == second.end() ? Figure{figure.name, {}, format::unknown(), std::nullopt} : *same;
    m_lines.push_back({std::move(figure), std::move(other)});
  }
  endResetModel();
}

int FigureTableModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_lines.size());
}

int FigureTableModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : m_two ? 4 : 2;
}

QVariant FigureTableModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const Line& line = m_lines[static_cast<std::size_t>(index.row())];
  if (role == Qt::ToolTipRole) return line.a.help;
  if (role != Qt::DisplayRole) return {};
  switch (index.column()) {
    case 0:
      return line.a.name;
    case 1:
      return line.a.value;
    case 2:
      return line.b.value;
    default:
      break;
  }
  if (!line.a.number || !line.b.number) {
    return line.a.value == line.b.value ? tr("same") : QString();
  }
  if (*line.a.number == *line.b.number) return tr("same");
  const double ratio = *line.b.number / *line.a.number;
  return *line.a.number > 0 && *line.b.number > 0 ? QStringLiteral("×") + format::number(ratio)
                                                  : format::unknown();
}

QVariant FigureTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant::fromValue(Qt::Alignment(Qt::AlignLeft | Qt::AlignVCenter));
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case 0:
      return tr("Figure");
    case 1:
      return m_two ? tr("A") : tr("Value");
    case 2:
      return tr("B");
    default:
      return tr("B / A");
  }
}

void AblationTableModel::setRows(std::vector<quant::AblationRow> rows) {
  beginResetModel();
  m_rows = std::move(rows);
  endResetModel();
}

int AblationTableModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int AblationTableModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : 5;
}

QVariant AblationTableModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  if (role == Qt::TextAlignmentRole && index.column() > 0) {
    return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
  }
  if (role != Qt::DisplayRole) return {};
  const quant::AblationRow& row = m_rows[static_cast<std::size_t>(index.row())];
  switch (index.column()) {
    case 0:
      return QString::fromStdString(row.name);
    case 1:
      return change(row.quality.ppl_ratio) +
             interval(row.quality.ppl_ratio_low, row.quality.ppl_ratio_high, &change);
    case 2:
      return format::number(row.quality.kld_mean);
    case 3:
      return format::percent(row.quality.top1_agreement);
    default:
      return format::duration(row.seconds);
  }
}

QVariant AblationTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant::fromValue((section > 0 ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case 0:
      return tr("Parts");
    case 1:
      return tr("Perplexity change");
    case 2:
      return tr("KL divergence");
    case 3:
      return tr("Top-1");
    default:
      return tr("Time");
  }
}

}  // namespace haq::ui
