// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/model_scan.h"

#include <QDir>
#include <QDirIterator>
#include <QFileInfo>
#include <QSet>
#include <algorithm>

namespace haq::ui {

namespace {

constexpr int kMaxDepth = 5;
constexpr std::size_t kMaxModels = 2000;

bool isModelFolder(const QString& folder) {
  return QFileInfo::exists(folder + QStringLiteral("/config.json")) &&
         !QDir(folder).entryList({QStringLiteral("*.safetensors")}, QDir::Files).isEmpty();
}

void findBelow(const QString& folder, int depth, QStringList& found, const CancelToken& cancel) {
  cancel.check();
  if (isModelFolder(folder)) {
    found << folder;
    return;
  }
  if (depth == kMaxDepth) return;
  // Links are followed only where the Hugging Face cache needs them (files), never for folders.
  const auto filter = QDir::Dirs | QDir::NoDotAndDotDot | QDir::NoSymLinks | QDir::Readable;
  for (const QString& name : QDir(folder).entryList(filter, QDir::Name)) {
    findBelow(folder + QLatin1Char('/') + name, depth + 1, found, cancel);
    if (found.size() >= static_cast<qsizetype>(kMaxModels)) return;
  }
}

QString hubCacheFolder() {
  if (qEnvironmentVariableIsSet("HF_HUB_CACHE")) return qEnvironmentVariable("HF_HUB_CACHE");
  if (qEnvironmentVariableIsSet("HF_HOME")) {
    return qEnvironmentVariable("HF_HOME") + QStringLiteral("/hub");
  }
  const QString cache =
      qEnvironmentVariable("XDG_CACHE_HOME", QDir::homePath() + QStringLiteral("/.cache"));
  return cache + QStringLiteral("/huggingface/hub");
}

/// models--ORG--NAME/snapshots/REVISION: the newest revision that holds weights.
QStringList findInHubCache(const CancelToken& cancel) {
  QStringList found;
  const QDir hub(hubCacheFolder());
  for (const QString& repository :
       hub.entryList({QStringLiteral("models--*")}, QDir::Dirs, QDir::Name)) {
    cancel.check();
    const QDir snapshots(hub.filePath(repository) + QStringLiteral("/snapshots"));
    for (const QString& revision :
         snapshots.entryList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Time)) {
      if (!isModelFolder(snapshots.filePath(revision))) continue;
      found << snapshots.filePath(revision);
      break;
    }
  }
  return found;
}

}  // namespace

QString modelDisplayName(const QString& folder) {
  const QStringList parts = folder.split(QLatin1Char('/'));
  for (const QString& part : parts) {
    if (!part.startsWith(QLatin1String("models--"))) continue;
    return part.mid(8).replace(QLatin1String("--"), QLatin1String("/"));
  }
  return QFileInfo(folder).fileName();
}

ModelEntry describeModel(const QString& folder, int prefillChunk) {
  ModelEntry entry;
  entry.folder = folder;
  entry.isDemo = folder.isEmpty();
  entry.source = entry.isDemo ? ModelEntry::Source::kDemo : ModelEntry::Source::kFolder;
  entry.name = modelDisplayName(folder);
  try {
    const std::filesystem::path path =
        entry.isDemo ? model::demo_model_dir() : std::filesystem::path(folder.toStdString());
    const QDir files(QString::fromStdString(path.string()));
    for (const QFileInfo& file :
         files.entryInfoList({QStringLiteral("*.safetensors")}, QDir::Files)) {
      entry.diskBytes += file.size();
    }
    const auto checkpoint = model::Checkpoint::open(path);
    const model::ModelConfig& config = checkpoint->config();
    const model::ParameterSummary parameters = checkpoint->parameters();
    if (entry.isDemo) entry.name = QString::fromStdString(checkpoint->name());
    entry.family = QString::fromStdString(config.model_type);
    entry.precision = QString::fromStdString(checkpoint->precision());
    entry.layers = config.layer_count();
    entry.experts = config.experts;
    entry.topK = config.top_k;
    entry.maxContext = config.max_positions;
    entry.parameters = parameters.total;
    entry.activeParameters = parameters.active;
    entry.neededBytes =
        checkpoint->memory(std::min(kUsualContext, entry.maxContext), false, prefillChunk).total();
  } catch (const Error& error) {
    entry.problem = QString::fromUtf8(error.what());
    entry.hint = QString::fromStdString(error.hint());
  } catch (const std::exception& error) {
    entry.problem = QString::fromUtf8(error.what());
  }
  return entry;
}

std::vector<ModelEntry> scanModels(const ScanRequest& request, const CancelToken& cancel) {
  std::vector<ModelEntry> entries{describeModel({}, request.prefillChunk)};
  QSet<QString> seen;
  const auto add = [&](const QStringList& folders, ModelEntry::Source source) {
    for (const QString& folder : folders) {
      cancel.check();
      const QString canonical = QFileInfo(folder).canonicalFilePath();
      if (seen.contains(canonical) || entries.size() >= kMaxModels) continue;
      seen.insert(canonical);
      ModelEntry entry = describeModel(folder, request.prefillChunk);
      entry.source = source;
      entries.push_back(std::move(entry));
    }
  };
  for (const QString& root : request.folders) {
    QStringList found;
    findBelow(root, 0, found, cancel);
    add(found, ModelEntry::Source::kFolder);
  }
  if (request.hubCache) add(findInHubCache(cancel), ModelEntry::Source::kHubCache);
  return entries;
}

}  // namespace haq::ui
