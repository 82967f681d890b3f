// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <functional>
#include <memory>
#include <vector>

#include "engine/profile/store/quantization_runs.h"
#include "engine/quant/report/report.h"
#include "ui/models/quantize_order.h"

namespace haq::ui {

class ChatService;

/// The quantizations that were ever started here, newest first, over the rows of the user's
/// database. Writing returns at once; the disk is waited for on the store's thread.
class QuantizationRunList : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { kDate, kModel, kMethod, kState, kPerplexity, kDivergence, kSize, kTime, kColumns };
  using ReportPtr = std::shared_ptr<const quant::Report>;

  explicit QuantizationRunList(ChatService& store, QObject* parent = nullptr);

  void reload();
  /// The run that starts now; finish(), stop() and fail() are about it.
  void begin(const QuantizeOrder& order, bool resumed);
  void finish(const quant::Report& report, double seconds);
  void stop(double seconds);
  void fail(const QString& error, double seconds);
  /// Takes a run out of the list; its folder stays.
  void remove(qint64 id);
  /// Reads the report of a finished run; `problem` says why there is none.
  void loadReport(qint64 id, QObject* context,
                  std::function<void(ReportPtr report, QString problem)> done);

  const profile::QuantizationRun* run(int row) const;
  const profile::QuantizationRun* find(qint64 id) const;
  int rowOf(qint64 id) const;
  /// The newest finished run into a folder; null when there is none.
  const profile::QuantizationRun* ofTarget(const QString& target) const;
  static QuantizeOrder orderOf(const profile::QuantizationRun& run);
  /// +0.34 %, or a dash.
  static QString perplexityChange(const profile::QuantizationRun& run);
  static QString stateText(const profile::QuantizationRun& run);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 Q_SIGNALS:
  void loaded();

 private:
  struct Current {
    profile::QuantizationRun run;  ///< the id is known to the store's thread only until reload()
  };
  void close(const std::function<void(profile::QuantizationRun&)>& change);

  ChatService& m_store;
  std::vector<profile::QuantizationRun> m_runs;
  std::shared_ptr<Current> m_current;
};

}  // namespace haq::ui
