// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/model_catalog.h"

#include <QDir>
#include <algorithm>
#include <limits>

#include "ui/models/model_scan.h"
#include "ui/models/process_facts.h"
#include "ui/shared/format.h"

namespace haq::ui {

namespace {

constexpr double kMiB = 1024.0 * 1024.0;

QString fitText(const ModelEntry& entry, qint64 budget) {
  if (!entry.problem.isEmpty()) return ModelCatalog::tr("cannot be loaded");
  if (budget < 0) return format::unknown();
  if (entry.neededBytes <= budget) return ModelCatalog::tr("fits");
  return ModelCatalog::tr("needs %1").arg(format::bytes(static_cast<double>(entry.neededBytes)));
}

}  // namespace

QString ModelEntry::shape() const {
  if (layers == 0) return format::unknown();
  if (experts == 0) return ModelCatalog::tr("%1L dense").arg(layers);
  return QStringLiteral("%1L×%2E top-%3").arg(layers).arg(experts).arg(topK);
}

QString ModelEntry::sourceText() const {
  switch (source) {
    case Source::kDemo:
      return ModelCatalog::tr("ships with the program");
    case Source::kFolder:
      return ModelCatalog::tr("your folders");
    case Source::kHubCache:
      break;
  }
  return ModelCatalog::tr("Hugging Face cache");
}

ModelCatalog::ModelCatalog(Settings& settings, QObject* parent)
    : QAbstractTableModel(parent), m_settings(settings) {
  connect(&settings, &Settings::changed, this, [this](const QString& key) {
    if (key.startsWith(QLatin1String("models.")) || key.startsWith(QLatin1String("engine."))) {
      rescan();
    }
  });
}

ModelCatalog::~ModelCatalog() {
  m_cancel.cancel();
  m_pool.waitForDone();
}

void ModelCatalog::rescan() {
  m_cancel.cancel();
  m_cancel = CancelToken();
  const quint64 scan = ++m_scan;
  const ScanRequest request{m_settings.list("models.folders"),
                            m_settings.boolean("models.scan_hub_cache"),
                            m_settings.integer("engine.prefill_chunk")};
  m_scanning = true;
  Q_EMIT scanStarted();
  m_pool.start([this, scan, request, cancel = m_cancel] {
    std::vector<ModelEntry> found;
    try {
      found = scanModels(request, cancel);
    } catch (const Error&) {
      return;  // cancelled: somebody waits for a newer scan
    }
    QMetaObject::invokeMethod(
        this,
        [this, scan, found = std::move(found)] {
          if (scan == m_scan) accept(found);
        },
        Qt::QueuedConnection);
  });
}

void ModelCatalog::accept(std::vector<ModelEntry> entries) {
  beginResetModel();
  m_entries = std::move(entries);
  const auto available = availableBytes();
  m_budget = available
                 ? *available - static_cast<qint64>(m_settings.integer("models.reserve_mib") * kMiB)
                 : -1;
  endResetModel();
  m_scanning = false;
  Q_EMIT scanFinished(static_cast<int>(m_entries.size()));
}

void ModelCatalog::addFolder(const QString& folder) {
  QStringList folders = m_settings.list("models.folders");
  const QString clean = QDir::cleanPath(folder);
  if (folders.contains(clean)) {
    rescan();
    return;
  }
  folders << clean;
  m_settings.setValue("models.folders", folders);
}

void ModelCatalog::removeFolder(const QString& folder) {
  QStringList folders = m_settings.list("models.folders");
  folders.removeAll(QDir::cleanPath(folder));
  m_settings.setValue("models.folders", folders);
}

void ModelCatalog::open(const QString& folder) {
  const quint64 question = ++m_open;
  m_pool.start([this, question, folder] {
    const auto answer = [this, question](auto&& say) {
      QMetaObject::invokeMethod(
          this,
          [this, question, say] {
            if (question == m_open) say();
          },
          Qt::QueuedConnection);
    };
    try {
      const std::filesystem::path path =
          folder.isEmpty() ? model::demo_model_dir() : std::filesystem::path(folder.toStdString());
      answer(
          [this, folder, model = model::Checkpoint::open(path)] { Q_EMIT opened(folder, model); });
    } catch (const Error& error) {
      answer([this, folder, message = QString::fromUtf8(error.what()),
              hint = QString::fromStdString(error.hint())] {
        Q_EMIT openFailed(folder, message, hint);
      });
    } catch (const std::exception& error) {
      answer([this, folder, message = QString::fromUtf8(error.what())] {
        Q_EMIT openFailed(folder, message, {});
      });
    }
  });
}

const ModelEntry* ModelCatalog::entry(int row) const {
  return row >= 0 && row < rowCount() ? &m_entries[static_cast<std::size_t>(row)] : nullptr;
}

int ModelCatalog::rowOf(const QString& folder) const {
  const auto found = std::find_if(m_entries.begin(), m_entries.end(),
                                  [&](const ModelEntry& entry) { return entry.folder == folder; });
  return found == m_entries.end() ? -1 : static_cast<int>(found - m_entries.begin());
}

int ModelCatalog::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_entries.size());
}

int ModelCatalog::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant ModelCatalog::data(const QModelIndex& index, int role) const {
  const ModelEntry* found = index.isValid() ? entry(index.row()) : nullptr;
  if (found == nullptr) return {};
  const bool described = found->layers > 0;
  switch (role) {
    case Qt::DisplayRole:
      switch (index.column()) {
        case kName:
          return found->name;
        case kFamily:
          return found->family.isEmpty() ? format::unknown() : found->family;
        case kPrecision:
          return found->precision.isEmpty() ? format::unknown() : found->precision;
        case kShape:
          return found->shape();
        case kContext:
          return described ? format::count(found->maxContext) : format::unknown();
        case kSize:
          return found->diskBytes > 0 ? format::bytes(static_cast<double>(found->diskBytes))
                                      : format::unknown();
        case kFits:
          return fitText(*found, m_budget);
        default:
          return {};
      }
    case kSortRole:
      switch (index.column()) {
        case kShape:
          return found->layers * 10000 + found->experts;
        case kContext:
          return found->maxContext;
        case kSize:
          return found->diskBytes;
        case kFits:
          return found->problem.isEmpty() ? found->neededBytes : std::numeric_limits<qint64>::max();
        default:
          return index.data(Qt::DisplayRole).toString().toLower();
      }
    case Qt::TextAlignmentRole:
      return QVariant::fromValue(index.column() == kContext || index.column() == kSize
                                     ? Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter)
                                     : Qt::Alignment(Qt::AlignLeft | Qt::AlignVCenter));
    case Qt::ToolTipRole:
      return found->problem.isEmpty() ? (found->isDemo ? found->sourceText() : found->folder)
                                      : found->problem;
    case kFolderRole:
      return found->folder;
    case kProblemRole:
      return found->problem;
    case kFitsRole:
      return found->problem.isEmpty() && (m_budget < 0 || found->neededBytes <= m_budget);
    default:
      return {};
  }
}

QVariant ModelCatalog::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant::fromValue(section == kContext || section == kSize
                                   ? Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter)
                                   : Qt::Alignment(Qt::AlignLeft | Qt::AlignVCenter));
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case kName:
      return tr("Name");
    case kFamily:
      return tr("Family");
    case kPrecision:
      return tr("Precision");
    case kShape:
      return tr("Layers × experts");
    case kContext:
      return tr("Context");
    case kSize:
      return tr("Size");
    case kFits:
      return tr("Fits?");
    default:
      return {};
  }
}

}  // namespace haq::ui
