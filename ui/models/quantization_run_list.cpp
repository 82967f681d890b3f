// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantization_run_list.h"

#include <QFileInfo>
#include <QJsonDocument>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/model/checkpoint.h"
#include "ui/models/chat_service.h"
#include "ui/shared/format.h"

namespace haq::ui {

using profile::ChatStore;
using profile::QuantizationRun;

QuantizationRunList::QuantizationRunList(ChatService& store, QObject* parent)
    : QAbstractTableModel(parent), m_store(store) {}

void QuantizationRunList::reload() {
  auto runs = std::make_shared<std::vector<QuantizationRun>>();
  m_store.run(
      this, [runs](ChatStore& store) { *runs = store.quantization_runs().list(); },
      [this, runs] {
        beginResetModel();
        m_runs = std::move(*runs);
        endResetModel();
        Q_EMIT loaded();
      });
}

void QuantizationRunList::begin(const QuantizeOrder& order, bool resumed) {
  QuantizationRun run;
  run.started_ms = now_ms();
  run.state = "running";
  run.source =
      order.source.isEmpty() ? model::demo_model_dir().string() : order.source.toStdString();
  run.target = order.target.toStdString();
  run.method = quant::to_string(order.method);
  run.options_json = QJsonDocument(toJson(order)).toJson(QJsonDocument::Compact).toStdString();
  // A run that goes on keeps its row.
  if (resumed) {
    for (const QuantizationRun& known : m_runs) {
      if (known.target != run.target || known.state == "done") continue;
      run.id = known.id;
      run.started_ms = known.started_ms;
      run.seconds = known.seconds;
      break;
    }
  }
  m_current = std::make_shared<Current>(Current{run});
  m_store.run(
      this,
      [current = m_current](ChatStore& store) {
        if (current->run.id == 0) {
          current->run.id = store.quantization_runs().add(current->run);
        } else {
          store.quantization_runs().update(current->run);
        }
      },
      [this] { reload(); });
}

void QuantizationRunList::close(const std::function<void(QuantizationRun&)>& change) {
  if (!m_current) return;
  m_store.run(
      this,
      [current = std::exchange(m_current, nullptr), change](ChatStore& store) {
        change(current->run);
        store.quantization_runs().update(current->run);
      },
      [this] { reload(); });
}

void QuantizationRunList::finish(const quant::Report& report, double seconds) {
  close([report, seconds](QuantizationRun& run) {
    run.state = "done";
    run.finished_ms = now_ms();
    run.seconds += seconds;
    run.report_json = to_json(report).dump();
    run.bytes_before = report.bytes_before;
    run.bytes_after = report.bytes_after;
    if (!report.quality) return;
    run.ppl_before = report.quality->ppl_before;
    run.ppl_after = report.quality->ppl_after;
    run.kld_mean = report.quality->kld_mean;
  });
}

void QuantizationRunList::stop(double seconds) {
  close([seconds](QuantizationRun& run) {
    run.state = "stopped";
    run.seconds += seconds;
  });
}

void QuantizationRunList::fail(const QString& error, double seconds) {
  close([text = error.toStdString(), seconds](QuantizationRun& run) {
    run.state = "failed";
    run.error = text;
    run.seconds += seconds;
  });
}

void QuantizationRunList::remove(qint64 id) {
  m_store.run(
      this, [id](ChatStore& store) { store.quantization_runs().remove(id); }, [this] { reload(); });
}

void QuantizationRunList::loadReport(qint64 id, QObject* context,
                                     std::function<void(ReportPtr, QString)> done) {
  struct Answer {
    ReportPtr report;
    QString problem;
  };
  auto answer = std::make_shared<Answer>();
  m_store.run(
      context,
      [id, answer](ChatStore& store) {
        try {
          const QuantizationRun run = store.quantization_runs().get(id);
          if (run.report_json.empty()) {
            answer->problem = tr("This run has no report: it did not finish.");
            return;
          }
          const std::string what = "report of run " + std::to_string(id);
          answer->report = std::make_shared<const quant::Report>(
              quant::report_from_json(parse_json(run.report_json, what), what));
        } catch (const Error& error) {
          answer->problem = QString::fromUtf8(error.what());
        }
      },
      [answer, done = std::move(done)] { done(answer->report, answer->problem); });
}

const QuantizationRun* QuantizationRunList::run(int row) const {
  return row >= 0 && row < rowCount() ? &m_runs[static_cast<std::size_t>(row)] : nullptr;
}

int QuantizationRunList::rowOf(qint64 id) const {
  const auto found = std::find_if(m_runs.begin(), m_runs.end(),
                                  [id](const QuantizationRun& run) { return run.id == id; });
  return found == m_runs.end() ? -1 : static_cast<int>(found - m_runs.begin());
}

const QuantizationRun* QuantizationRunList::find(qint64 id) const {
  return run(rowOf(id));
}

const QuantizationRun* QuantizationRunList::ofTarget(const QString& target) const {
  for (const QuantizationRun& run : m_runs) {
    if (run.state == "done" && run.target == target.toStdString()) return &run;
  }
  return nullptr;
}

QuantizeOrder QuantizationRunList::orderOf(const QuantizationRun& run) {
  QuantizeOrder order =
      orderFromJson(QJsonDocument::fromJson(QByteArray::fromStdString(run.options_json)).object());
  // Runs of the command line know the folder only.
  if (order.sourceName.isEmpty()) {
    order.sourceName = QFileInfo(QString::fromStdString(run.source)).fileName();
  }
  return order;
}

QString QuantizationRunList::perplexityChange(const QuantizationRun& run) {
  if (!run.ppl_before || !run.ppl_after || *run.ppl_before <= 0) return format::unknown();
  const double change = *run.ppl_after / *run.ppl_before - 1;
  return (change > 0 ? QStringLiteral("+") : QString()) + format::percent(change);
}

QString QuantizationRunList::stateText(const QuantizationRun& run) {
  if (run.state == "done") return tr("done");
  if (run.state == "failed") return tr("failed");
  if (run.state == "stopped") return tr("stopped, can go on");
  return tr("running");
}

int QuantizationRunList::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_runs.size());
}

int QuantizationRunList::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant QuantizationRunList::data(const QModelIndex& index, int role) const {
  const QuantizationRun* found = index.isValid() ? run(index.row()) : nullptr;
  if (found == nullptr) return {};
  if (role == Qt::TextAlignmentRole && index.column() >= kPerplexity) {
    return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
  }
  if (role == Qt::ToolTipRole) {
    if (index.column() == kState && !found->error.empty()) {
      return QString::fromStdString(found->error);
    }
    return QString::fromStdString(found->target);
  }
  if (role != Qt::DisplayRole) return {};
  switch (index.column()) {
    case kDate:
      return QString::fromStdString(local_text(found->started_ms));
    case kModel:
      return orderOf(*found).sourceName;
    case kMethod: {
      const QuantizeOrder order = orderOf(*found);
      return methodTitle(order.method);
    }
    case kState:
      return stateText(*found);
    case kPerplexity:
      return perplexityChange(*found);
    case kDivergence:
      return format::orUnknown(found->kld_mean, [](double value) { return format::number(value); });
    case kSize:
      if (found->bytes_after <= 0) return format::unknown();
      return format::bytes(static_cast<double>(found->bytes_after));
    default:
      return found->seconds > 0 ? format::duration(found->seconds) : format::unknown();
  }
}

QVariant QuantizationRunList::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant::fromValue((section >= kPerplexity ? Qt::AlignRight : Qt::AlignLeft) |
                               Qt::AlignVCenter);
  }
  if (role == Qt::ToolTipRole && section == kDivergence) {
    return tr("Mean KL divergence from the 16-bit model, in nats per token");
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case kDate:
      return tr("Started");
    case kModel:
      return tr("Model");
    case kMethod:
      return tr("Method");
    case kState:
      return tr("State");
    case kPerplexity:
      return tr("Perplexity");
    case kDivergence:
      return tr("KL");
    case kSize:
      return tr("Size");
    case kTime:
      return tr("Time");
    default:
      return {};
  }
}

}  // namespace haq::ui
