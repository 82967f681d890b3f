// SPDX-License-Identifier: GPL-3.0-or-later
#include <nlohmann/json.hpp>

#include "engine/profile/recordings/recording_forms.h"

namespace haq::profile {
namespace {

/// Microseconds that a layer of a forward pass lasts in the trace. Any number would do: what is
/// recorded is an order.
constexpr std::int64_t kLayerUs = 10;

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The tokens of one forward pass.
struct Pass {
  std::int64_t number = 0, first_token = 0, tokens = 0;
  std::int32_t prompt = 0;
  bool decode = true;
  std::vector<std::uint16_t> paths;
};

class TraceWriter {
 public:
  TraceWriter(const Recording& recording, const std::filesystem::path& file)
      : shape_(recording.shape), out_(file) {
    auto& text = out_.buffer();
    text = fmt::format(
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"recording\":{},\"model\":{},\"times\":"
        "\"synthetic: {} microseconds a layer, in the order of the forward passes\"}},\n"
        "\"traceEvents\":[\n",
        quoted(recording.name), quoted(recording.model), kLayerUs);
    name_event("process_name", 0, quoted(recording.name + " (synthetic times: order only)"));
    for (int layer = 0; layer < shape_.layers; ++layer) {
      text += ",\n";
      name_event("thread_name", layer + 1, fmt::format("\"layer {}\"", layer));
      fmt::format_to(std::back_inserter(text),
                     ",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{},\"name\":\"thread_sort_index\","
                     "\"args\":{{\"sort_index\":{}}}}}",
                     layer + 1, layer);
    }
  }

  void add(const Pass& pass) {
    for (int layer = 0; layer < shape_.layers; ++layer) add_step(pass, layer);
    out_.flush_if_full();
  }

  void commit() {
    out_.buffer() += "\n]}\n";
    out_.commit();
  }

 private:
  void name_event(const char* kind, int track, const std::string& name) {
    fmt::format_to(std::back_inserter(out_.buffer()),
                   "{{\"ph\":\"M\",\"pid\":1,\"tid\":{},\"name\":\"{}\",\"args\":{{\"name\":{}}}}}",
                   track, kind, name);
  }

  /// Distinct experts of the step in order of first appearance, as a replay sees them.
  void gather(const Pass& pass, int layer) {
    const auto top_k = static_cast<std::size_t>(shape_.top_k);
    const auto width = static_cast<std::size_t>(shape_.layers) * top_k;
    seen_.assign(static_cast<std::size_t>(shape_.experts), false);
    chosen_.clear();
    for (std::int64_t token = 0; token < pass.tokens; ++token) {
      const std::uint16_t* ids = pass.paths.data() + static_cast<std::size_t>(token) * width +
                                 static_cast<std::size_t>(layer) * top_k;
      for (std::size_t rank = 0; rank < top_k; ++rank) {
        if (ids[rank] == experts::Trace::kAbsent || seen_[ids[rank]]) continue;
        seen_[ids[rank]] = true;
        chosen_.push_back(ids[rank]);
      }
    }
  }

  void add_step(const Pass& pass, int layer) {
    gather(pass, layer);
    if (chosen_.empty()) return;  // nothing recorded: no step
    auto& text = out_.buffer();
    list_.clear();
    for (const std::uint16_t expert : chosen_) {
      fmt::format_to(std::back_inserter(list_), "{}{}", list_.empty() ? "" : ",", expert);
    }
    const char* phase = pass.decode ? "decode" : "prefill";
    fmt::format_to(
        std::back_inserter(text),
        ",\n{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{},\"dur\":{},\"name\":\"{}\",\"cat\":\"{}"
        "\","
        "\"args\":{{\"pass\":{},\"prompt\":{},\"token\":{},\"tokens\":{},\"experts\":[{}]}}}}",
        layer + 1, (pass.number * shape_.layers + layer) * kLayerUs, kLayerUs, phase, phase,
        pass.number, pass.prompt, pass.first_token, pass.tokens, list_);
  }

  experts::ExpertShape shape_;
  BufferedFile out_;
  std::vector<bool> seen_;
  std::vector<std::uint16_t> chosen_;
  std::string list_;
};

}  // namespace

// Format: "Trace Event Format" (Chrome's about:tracing), which ui.perfetto.dev opens too.
void write_recording_perfetto(const Recording& recording, const NextToken& next,
                              const std::filesystem::path& file) {
  TraceWriter writer(recording, file);
  Pass pass;
  std::int64_t number = 0, batch = -1;
  RecordedToken token;
  while (next(token)) {
    if (number > 0 && token.batch != batch) {
      writer.add(pass);
      pass = {pass.number + 1, number, 0, 0, true, std::move(pass.paths)};
      pass.paths.clear();
    }
    batch = token.batch;
    pass.prompt = token.prompt;
    pass.decode = token.decode;
    pass.paths.insert(pass.paths.end(), token.path.begin(), token.path.end());
    ++pass.tokens;
    ++number;
  }
  if (number > 0) writer.add(pass);
  writer.commit();
}

}  // namespace haq::profile
