// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/imatrix.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <string_view>

#include "engine/base/error.h"
#include "engine/profile/traces/gguf.h"

namespace haq::profile {
namespace {

/// "blk.12.ffn_up_exps.weight.counts" -> 12; -1 for another name.
int expert_layer(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return -1;
  name.remove_prefix(kBlock.size());
  int layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || layer < 0) return -1;
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  for (const std::string_view part : {"gate", "up", "down", "gate_up"}) {
    if (name == fmt::format(".ffn_{}_exps.weight.counts", part)) return layer;
  }
  return -1;
}

std::vector<std::int64_t> whole_numbers(const std::vector<float>& values, const std::string& what) {
  constexpr float kMost = 1e15F;
  std::vector<std::int64_t> numbers;
  numbers.reserve(values.size());
  for (const float value : values) {
    if (!(value >= 0 && value <= kMost)) {
      fail(ErrorCode::kCorrupt, "{}: a count is {}, expected 0 to {}", what, value, kMost);
    }
    numbers.push_back(std::llround(value));
  }
  return numbers;
}

/// Tokens that a layer saw, by the counts of its router; 0 when they are not there.
std::int64_t tokens_of(const GgufFile& file, int layer, const std::string& what) {
  const std::string name = fmt::format("blk.{}.ffn_gate_inp.weight.counts", layer);
  if (!file.tensors().contains(name)) return 0;
  const std::vector<float> counts = file.values(name, 1);
  return whole_numbers(counts, fmt::format("{}: {}", what, name)).front();
}

/// How many experts each token chose, where the file lets one tell; else 0.
int top_k_of(const GgufFile& file, int layer, const std::vector<std::int64_t>& uses,
             const std::string& what) {
  const std::int64_t tokens = tokens_of(file, layer, what);
  std::int64_t sum = 0;
  for (const std::int64_t count : uses) sum += count;
  const auto most =
      static_cast<std::int64_t>(std::min<std::size_t>(uses.size(), experts::kMaxTopK));
  if (tokens == 0 || sum % tokens != 0 || sum / tokens < 1 || sum / tokens > most) return 0;
  return static_cast<int>(sum / tokens);
}

}  // namespace

ImportedRecording read_imatrix(const std::filesystem::path& path, const TraceHints& hints) {
  const std::string what = path.string();
  const GgufFile file = GgufFile::open(path);
  if (const std::string type = file.text("general.type"); type != "imatrix") {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: general.type is \"{}\", expected \"imatrix\"", what, type),
                "give an importance matrix, not a model");
  }
  std::map<int, std::vector<std::int64_t>> layers;
  ImportedRecording imported;
  for (const auto& [name, tensor] : file.tensors()) {
    const int layer = expert_layer(name);
    if (layer < 0) continue;
    const std::string place = fmt::format("{}: {}", what, name);
    auto counts = whole_numbers(file.values(name, experts::kMaxExperts), place);
    if (counts.size() == 1) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{} has one count for all experts: it was converted from the older "
                              "form, which does not hold them",
                              place),
                  "make it again from the model");
    }
    const auto [found, fresh] = layers.emplace(layer, counts);
    if (fresh || found->second == counts) continue;
    if (found->second.size() != counts.size()) {
      fail(ErrorCode::kCorrupt, "{} counts {} experts, another tensor of the layer {}", place,
           counts.size(), found->second.size());
    }
    imported.notices.push_back(
        fmt::format("{} differs from the layer's other counts; the larger ones are taken.", place));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      found->second[i] = std::max(found->second[i], counts[i]);
    }
  }
  if (layers.empty()) {
    fail(ErrorCode::kUnsupported, "{}: no counts per expert (blk.N.ffn_*_exps.weight.counts)",
         what);
  }
  if (layers.size() > experts::kMaxLayers) {
    fail(ErrorCode::kLimit, "{}: {} layers with experts, at most {} are read", what, layers.size(),
         experts::kMaxLayers);
  }
  const std::size_t experts = layers.begin()->second.size();
  experts::ExpertShape shape{static_cast<int>(layers.size()), static_cast<int>(experts),
                             top_k_of(file, layers.begin()->first, layers.begin()->second, what)};
  const auto check_hint = [&](int hint, int found, const char* field) {
    if (hint == 0 || found == 0 || hint == found) return;
    fail(ErrorCode::kInvalidArgument, "{}: {} is {} in the file, {} was given", what, field, found,
         hint);
  };
  check_hint(hints.layers, shape.layers, "layers");
  check_hint(hints.experts, shape.experts, "experts");
  check_hint(hints.top_k, shape.top_k, "top-k");
  if (shape.top_k == 0) shape.top_k = std::min(hints.top_k, shape.experts);
  if (layers.begin()->first != 0 || layers.rbegin()->first + 1 != shape.layers) {
    imported.notices.push_back(
        fmt::format("{}: layers with experts are blocks {} to {}; they are numbered from 0.", what,
                    layers.begin()->first, layers.rbegin()->first));
  }
  for (const auto& [layer, counts] : layers) {
    if (counts.size() != experts) {
      fail(ErrorCode::kCorrupt, "{}: block {} counts {} experts, block {} {}", what, layer,
           counts.size(), layers.begin()->first, experts);
    }
    imported.uses.insert(imported.uses.end(), counts.begin(), counts.end());
  }
  imported.recording.shape = shape;
  imported.recording.state = "counts";
  imported.recording.notes = "counts of an importance matrix (llama.cpp)";
  return imported;
}

void refuse_older_imatrix(const std::filesystem::path& path) {
  // int32 entries; per entry int32 length, name, int32 calls, int32 values, float32[values].
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return;
  std::ifstream file(path, std::ios::binary);
  std::int32_t entries = 0, length = 0;
  file.read(reinterpret_cast<char*>(&entries), sizeof entries);
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  constexpr std::int32_t kLongest = 256;
  if (!file || entries < 1 || length < 1 || length > kLongest) return;
  std::string name(static_cast<std::size_t>(length), '\0');
  file.read(name.data(), length);
  if (!file || !name.ends_with(".weight")) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: an importance matrix of the older form, which does not hold how "
                          "often each expert was chosen",
                          path.string()),
              "make it again with llama-imatrix --output-format gguf");
}

}  // namespace haq::profile
