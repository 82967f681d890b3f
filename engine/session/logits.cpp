// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/logits.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"

namespace haq::session {

namespace {

/// One tensor of the file besides the logits, filled while the model runs.
struct Collected {
  std::string name;
  const char* dtype = "F32";
  std::int64_t cols = 0;
  std::vector<std::byte> bytes;

  template <typename T>
  void append(std::span<const T> values) {
    const auto raw = std::as_bytes(values);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }
};

/// Collects what the taps deliver, in the order of the file.
class Collector {
 public:
  explicit Collector(const model::ModelConfig& config) : layers_(config.layer_count()) {
    add("hidden.in", config.hidden);
    for (int i = 0; i < layers_; ++i) add(fmt::format("hidden.{}", i), config.hidden);
    add("hidden.final", config.hidden);
    routing_.resize(static_cast<std::size_t>(layers_), 0);
    for (int i = 0; i < layers_; ++i) {
      if (!config.layers[static_cast<std::size_t>(i)].moe) continue;
      routing_[static_cast<std::size_t>(i)] = tensors_.size();
      add(fmt::format("router_logits.{}", i), config.experts);
      add(fmt::format("topk_ids.{}", i), config.top_k, "I32");
      add(fmt::format("topk_weights.{}", i), config.top_k);
    }
  }

  nn::Observer observer() {
    nn::Observer taps;
    taps.hidden = [this](int layer, std::span<const float> rows, std::int64_t hidden) {
      Collected& tensor = tensors_[static_cast<std::size_t>(layer + 1)];
      tensor.cols = hidden;  // what enters the head may be narrower (OPT's project_out)
      tensor.append(rows);
    };
    taps.routed = [this](const nn::RoutedStep& step) {
      const std::size_t first = routing_[static_cast<std::size_t>(step.layer)];
      tensors_[first].append(step.router_logits);
      tensors_[first + 1].append(step.ids);
      tensors_[first + 2].append(step.weights);
    };
    return taps;
  }

  std::vector<Collected>& tensors() { return tensors_; }

 private:
  void add(std::string name, std::int64_t cols, const char* dtype = "F32") {
    tensors_.push_back({std::move(name), dtype, cols, {}});
  }

  int layers_;
  std::vector<Collected> tensors_;
  std::vector<std::size_t> routing_;
};

/// The safetensors header: 8 bytes of length, JSON, blanks up to a multiple of 8.
std::string header(std::int64_t tokens, std::int64_t vocab,
                   const std::vector<Collected>& collected) {
  nlohmann::ordered_json json;
  std::int64_t offset = 0;
  const auto add = [&](const std::string& name, const char* dtype, std::int64_t cols) {
    const std::int64_t end = offset + tokens * cols * 4;
    json[name] = {{"dtype", dtype}, {"shape", {tokens, cols}}, {"data_offsets", {offset, end}}};
    offset = end;
  };
  add("logits", "F32", vocab);
  for (const Collected& tensor : collected) add(tensor.name, tensor.dtype, tensor.cols);
  std::string text = json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string result(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    result[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  }
  return result + text;
}

}  // namespace

LogitsResult write_logits(Model& model, std::span<const std::int32_t> ids,
                          const std::filesystem::path& out, const LogitsOptions& options,
                          const ProgressCallback& progress, const CancelToken& cancel) {
  const model::ModelConfig& config = model.checkpoint().config();
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (tokens == 0) fail(ErrorCode::kInvalidArgument, "there are no ids to run");
  if (tokens > model.max_context()) {
    throw Error(
        ErrorCode::kLimit,
        fmt::format("there are {} ids, the model's context holds {}", tokens, model.max_context()),
        "use fewer ids");
  }
  std::vector<Collected> none;
  Collector collector(config);
  std::vector<Collected>& collected = options.hidden ? collector.tensors() : none;
  const nn::Observer taps = options.hidden ? collector.observer() : nn::Observer{};
  std::unique_ptr<nn::Sequence> sequence = model.decoder().new_sequence();
  sequence->set_planned_length(tokens);

  AtomicFile file(out);
  LogitsResult result;
  result.tokens = tokens;
  Hash128 digest;
  for (std::int64_t done = 0; done < tokens;) {
    if (progress) {
      progress({"computing logits", static_cast<std::uint64_t>(done),
                static_cast<std::uint64_t>(tokens), "tokens"});
    }
    nn::Segment segment;
    segment.sequence = sequence.get();
    segment.logits = nn::Segment::Logits::kAll;
    const std::int64_t count = std::min<std::int64_t>(model.prefill_chunk(), tokens - done);
    segment.ids = ids.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(count));
    const std::span<const float> rows =
        model.decoder().forward(std::span(&segment, 1), options.hidden ? &taps : nullptr, &cancel);
    // Written after the first chunk, when the widths of all taps are known.
    if (done == 0) file.write(header(tokens, config.vocab, collected));
    file.write(std::as_bytes(rows));
    digest.update(std::as_bytes(rows));
    done += count;
  }
  result.tensors.emplace_back("logits");
  for (const Collected& tensor : collected) {
    if (tensor.bytes.size() != static_cast<std::size_t>(tokens * tensor.cols * 4)) {
      fail(ErrorCode::kInternal, "{}: {} bytes collected, expected {}", tensor.name,
           tensor.bytes.size(), tokens * tensor.cols * 4);
    }
    file.write(std::span<const std::byte>(tensor.bytes));
    result.tensors.push_back(tensor.name);
  }
  file.commit();
  result.digest = digest.hex();
  return result;
}

}  // namespace haq::session
