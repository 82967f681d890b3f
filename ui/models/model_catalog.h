// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <QString>
#include <QStringList>
#include <QThreadPool>
#include <memory>
#include <vector>

#include "engine/base/progress.h"
#include "engine/model/checkpoint.h"
#include "ui/models/settings.h"

namespace haq::ui {

/// A model folder as the scan found it.
struct ModelEntry {
  enum class Source { kDemo, kFolder, kHubCache };

  QString folder;  ///< empty for the demo model
  QString name;
  QString family;
  QString precision;
  int layers = 0, experts = 0, topK = 0;
  qint64 maxContext = 0;
  qint64 parameters = 0, activeParameters = 0;
  qint64 diskBytes = 0;
  qint64 neededBytes = 0;  ///< memory at kUsualContext tokens (or the model's maximum, if less)
  QString problem, hint;   ///< why it cannot be loaded; empty when it can
  Source source = Source::kFolder;
  bool isDemo = false;

  QString shape() const;       ///< "6L×16E top-2"
  QString sourceText() const;  ///< for people
};

/// Context for which the table says whether a model fits.
inline constexpr qint64 kUsualContext = 4096;

/// A model opened for its details pane; immutable, cheap to ask.
using OpenedModel = std::shared_ptr<const model::Checkpoint>;

/// The models on this computer: the demo model, the user's folders, the Hugging Face cache. Folders
/// are scanned and opened on a thread of their own; the table changes on the GUI thread only.
class ModelCatalog : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { kName, kFamily, kPrecision, kShape, kContext, kSize, kFits, kColumns };
  enum DataRole { kSortRole = Qt::UserRole, kFolderRole, kProblemRole, kFitsRole };

  explicit ModelCatalog(Settings& settings, QObject* parent = nullptr);
  ~ModelCatalog() override;

  /// Scans everything anew; a scan that runs is given up.
  void rescan();
  bool scanning() const { return m_scanning; }
  /// Adds a folder to the user's list (settings), which starts a scan.
  void addFolder(const QString& folder);
  void removeFolder(const QString& folder);
  /// Opens a model on the scan thread; answered by opened() or openFailed(). Only the latest
  /// question is answered.
  void open(const QString& folder);

  const std::vector<ModelEntry>& entries() const { return m_entries; }
  const ModelEntry* entry(int row) const;
  int rowOf(const QString& folder) const;  ///< -1 when it is not listed

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 Q_SIGNALS:
  void scanStarted();
  void scanFinished(int models);
  void opened(const QString& folder, const haq::ui::OpenedModel& model);
  void openFailed(const QString& folder, const QString& message, const QString& hint);

 private:
  void accept(std::vector<ModelEntry> entries);

  Settings& m_settings;
  std::vector<ModelEntry> m_entries;
  /// Memory that models may take: what is available less the user's reserve; negative when the
  /// system does not say. As of the last scan, so that a table does not flicker.
  qint64 m_budget = -1;
  bool m_scanning = false;
  quint64 m_scan = 0;
  quint64 m_open = 0;
  CancelToken m_cancel;
  QThreadPool m_pool;
};

}  // namespace haq::ui
