// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/traces/trace_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;

void check_hint(int hint, int found, const char* field, const std::string& what) {
  if (hint == 0 || hint == found) return;
  fail(ErrorCode::kInvalidArgument, "{}: {} is {} in the file, {} was given", what, field, found,
       hint);
}

std::int64_t index_number(const nlohmann::json& line, const char* field, const std::string& what,
                          std::size_t number) {
  if (!line.is_object() || !line.contains(field) || !line[field].is_number_unsigned()) {
    fail(ErrorCode::kCorrupt, "{} line {}: expected an object with a number \"{}\"", what, number,
         field);
  }
  const auto value = line[field].get<std::uint64_t>();
  if (value > static_cast<std::uint64_t>(kMaxChoices)) {
    fail(ErrorCode::kLimit, "{} line {}: {} {} is beyond {}", what, number, field, value,
         kMaxChoices);
  }
  return static_cast<std::int64_t>(value);
}

/// Tokens per prompt, in order.
std::vector<std::int64_t> read_prompts(const fs::path& file) {
  constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  const std::string text = read_text_file(file, kMaxBytes);
  std::vector<std::int64_t> prompts;
  std::int64_t total = 0;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const nlohmann::json json = parse_json(line, fmt::format("{} line {}", file.string(), number));
    const std::int64_t tokens = index_number(json, "n_tokens", file.string(), number);
    if (json.contains("token_offset") &&
        index_number(json, "token_offset", file.string(), number) != total) {
      fail(ErrorCode::kCorrupt, "{} line {}: token_offset is not the sum of the tokens before, {}",
           file.string(), number, total);
    }
    prompts.push_back(tokens);
    total += tokens;
  }
  if (total == 0) fail(ErrorCode::kCorrupt, "{}: no prompt with tokens", file.string());
  return prompts;
}

}  // namespace

int infer_top_k(const std::vector<std::uint16_t>& ids, std::int64_t width) {
  const auto repeats = [&](std::int64_t k) {
    std::vector<std::uint16_t> row(static_cast<std::size_t>(k));
    for (auto it = ids.begin(); it + k <= ids.end(); it += k) {
      std::copy(it, it + k, row.begin());
      std::sort(row.begin(), row.end());
      if (std::adjacent_find(row.begin(), row.end()) != row.end()) return true;
    }
    return false;
  };
  for (std::int64_t k = std::min<std::int64_t>(width, experts::kMaxTopK); k > 1; --k) {
    if (width % k == 0 && !repeats(k)) return static_cast<int>(k);
  }
  return 1;
}

void finish_trace(Trace& trace, const TraceHints& hints, const std::string& what) {
  experts::ExpertShape& shape = trace.shape;
  check_hint(hints.layers, shape.layers, "layers", what);
  check_hint(hints.top_k, shape.top_k, "top-k", what);
  if (shape.layers < 1 || shape.layers > experts::kMaxLayers || shape.top_k < 1 ||
      shape.top_k > experts::kMaxTopK) {
    fail(ErrorCode::kLimit, "{}: {} layers and top-{}: expected 1 to {} and 1 to {}", what,
         shape.layers, shape.top_k, experts::kMaxLayers, experts::kMaxTopK);
  }
  int largest = -1;
  for (const std::uint16_t id : trace.ids) {
    if (id != Trace::kAbsent) largest = std::max(largest, static_cast<int>(id));
  }
  if (largest < 0) fail(ErrorCode::kCorrupt, "{}: no expert is recorded", what);
  if (shape.experts == 0) shape.experts = hints.experts;
  if (shape.experts == 0) {
    shape.experts = largest + 1;
    trace.notices.push_back(fmt::format("{} does not say how many experts a layer has; {} occur.",
                                        what, shape.experts));
  }
  check_hint(hints.experts, shape.experts, "experts", what);
  if (largest >= shape.experts || shape.experts > experts::kMaxExperts) {
    fail(ErrorCode::kCorrupt, "{}: expert {} occurs, expected 0 to {}", what, largest,
         std::min(shape.experts, experts::kMaxExperts) - 1);
  }
  if (!trace.batches.empty()) return;
  trace.batches.reserve(static_cast<std::size_t>(trace.tokens()));
  for (std::int64_t token = 0; token < trace.tokens(); ++token) {
    trace.batches.push_back({token, 1, 0, true});
  }
}

Trace read_trace_folder(const fs::path& folder, const TraceHints& hints) {
  const fs::path file = folder / "experts.u8";
  const std::vector<std::int64_t> prompts = read_prompts(folder / "index.jsonl");
  std::int64_t tokens = 0;
  for (const std::int64_t count : prompts) tokens += count;
  const auto mapping = MappedFile::open(file);
  const auto bytes = static_cast<std::int64_t>(mapping->size());
  if (bytes > kMaxChoices) {
    fail(ErrorCode::kLimit, "{}: {} bytes, at most {} are read", file.string(), bytes, kMaxChoices);
  }
  if (bytes == 0 || bytes % tokens != 0) {
    fail(ErrorCode::kCorrupt, "{}: {} bytes are no multiple of the {} tokens of index.jsonl",
         file.string(), bytes, tokens);
  }
  const std::int64_t width = bytes / tokens;
  Trace trace;
  trace.ids.reserve(mapping->size());
  for (const std::byte id : mapping->bytes()) trace.ids.push_back(static_cast<std::uint16_t>(id));
  std::int64_t top_k = hints.top_k;
  if (top_k == 0 && hints.layers != 0) top_k = width / hints.layers;
  if (top_k == 0) {
    top_k = infer_top_k(trace.ids, width);
    trace.notices.push_back(fmt::format(
        "{}: {} bytes per token were read as {} layers of top-{}, the widest reading in which no "
        "layer repeats an expert.",
        file.string(), width, width / top_k, top_k));
  }
  if (top_k == 0 || width % top_k != 0) {
    fail(ErrorCode::kInvalidArgument, "{}: {} bytes per token cannot be layers of top-{}",
         file.string(), width, top_k);
  }
  trace.shape.top_k = static_cast<int>(std::min<std::int64_t>(top_k, experts::kMaxTopK + 1));
  trace.shape.layers =
      static_cast<int>(std::min<std::int64_t>(width / top_k, experts::kMaxLayers + 1));
  trace.batches.reserve(static_cast<std::size_t>(tokens));
  std::int64_t token = 0;
  for (std::size_t prompt = 0; prompt < prompts.size(); ++prompt) {
    for (std::int64_t i = 0; i < prompts[prompt]; ++i) {
      trace.batches.push_back({token++, 1, static_cast<std::int32_t>(prompt), true});
    }
  }
  finish_trace(trace, hints, file.string());
  return trace;
}

Trace read_trace(const fs::path& path, const TraceHints& hints) {
  if (fs::is_directory(path)) return read_trace_folder(path, hints);
  const std::string extension = path.extension().string();
  if (extension == ".npy") return read_trace_npy(path, hints);
  if (extension == ".csv") return read_trace_csv(path, hints);
  if (!fs::exists(path)) fail(ErrorCode::kNotFound, "{}: no such file", path.string());
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: not a form of recorded paths that is known", path.string()),
              "Give a .csv, a .npy, or a folder with experts.u8 and index.jsonl.");
}

}  // namespace haq::profile
