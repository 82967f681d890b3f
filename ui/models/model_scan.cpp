// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/model_scan.h"

#include <algorithm>

#include "engine/model/discovery.h"

namespace haq::ui {

namespace {

ModelEntry::Source fromEngine(model::FoundModel::Source source) {
  switch (source) {
    case model::FoundModel::Source::kDemo:
      return ModelEntry::Source::kDemo;
    case model::FoundModel::Source::kHuggingFaceCache:
      return ModelEntry::Source::kHubCache;
    case model::FoundModel::Source::kFolder:
      break;
  }
  return ModelEntry::Source::kFolder;
}

/// Opens the folder, which finds what the quick look leaves out: every tensor's presence and shape,
/// and the memory that is needed.
void measure(ModelEntry& entry, const std::filesystem::path& path, int prefillChunk) {
  try {
    const auto checkpoint = model::Checkpoint::open(path);
    const qint64 context = std::min(kUsualContext, entry.maxContext);
    entry.neededBytes = checkpoint->memory(context, false, prefillChunk).total();
  } catch (const Error& error) {
    entry.problem = QString::fromUtf8(error.what());
    entry.hint = QString::fromStdString(error.hint());
  }
}

ModelEntry describe(const model::FoundModel& found, int prefillChunk) {
  const model::ModelFacts facts = model::quick_facts(found.path);
  ModelEntry entry;
  entry.source = fromEngine(found.source);
  entry.isDemo = entry.source == ModelEntry::Source::kDemo;
  if (!entry.isDemo) entry.folder = QString::fromStdString(found.path.string());
  entry.name = QString::fromStdString(found.display_name);
  entry.family = QString::fromStdString(facts.family);
  entry.precision = QString::fromStdString(facts.precision);
  entry.layers = facts.layers;
  entry.experts = facts.experts;
  entry.topK = facts.top_k;
  entry.maxContext = facts.context;
  entry.parameters = facts.parameters;
  entry.activeParameters = facts.active_parameters;
  entry.diskBytes = facts.file_bytes;
  if (facts.supported) {
    measure(entry, found.path, prefillChunk);
  } else {
    entry.problem = QString::fromStdString(facts.reason);
    entry.hint = QString::fromStdString(facts.hint);
  }
  return entry;
}

}  // namespace

QString modelDisplayName(const QString& folder) {
  return QString::fromStdString(model::display_name(folder.toStdString()));
}

std::vector<ModelEntry> scanModels(const ScanRequest& request, const CancelToken& cancel) {
  std::vector<std::filesystem::path> folders;
  for (const QString& folder : request.folders) folders.emplace_back(folder.toStdString());
  std::vector<ModelEntry> entries;
  for (const model::FoundModel& found : model::discover(folders, {}, cancel)) {
    cancel.check();
    if (found.source == model::FoundModel::Source::kHuggingFaceCache && !request.hubCache) continue;
    entries.push_back(describe(found, request.prefillChunk));
  }
  return entries;
}

}  // namespace haq::ui
