// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/source_watch.h"

#include "engine/base/error.h"

namespace haq::quant {

namespace fs = std::filesystem;

namespace {

/// Weights, configuration, tokenizer and template; not what else may lie in the folder.
bool belongs_to_model(const fs::path& file) {
  const std::string extension = file.extension().string();
  for (const char* known : {".safetensors", ".json", ".jinja", ".model", ".txt"}) {
    if (extension == known) return true;
  }
  return false;
}

}  // namespace

SourceWatch::SourceWatch(fs::path folder) : folder_(std::move(folder)), files_(look()) {}

SourceWatch::Files SourceWatch::look() const {
  Files files;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code gone;
    if (!belongs_to_model(entry->path()) || !entry->is_regular_file(gone)) continue;
    const std::uintmax_t size = entry->file_size(gone);
    const auto time = entry->last_write_time(gone);
    if (!gone) files[name] = {size, time.time_since_epoch().count()};
  }
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot be listed: {}", folder_.string(), error.message());
  }
  return files;
}

void SourceWatch::check() const {
  const Files now = look();
  const auto changed = [&](const std::string& name, const char* how) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: the file was {} while the run reads it; no model was written",
                            (folder_ / name).string(), how),
                "let nothing write to the source, then start again");
  };
  for (const auto& [name, stamp] : files_) {
    const auto found = now.find(name);
    if (found == now.end()) changed(name, "removed");
    if (found->second != stamp) changed(name, "changed");
  }
}

}  // namespace haq::quant
