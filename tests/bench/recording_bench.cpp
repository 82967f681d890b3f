// SPDX-License-Identifier: GPL-3.0-or-later
// What recording costs while a model decodes: blocks of tokens with events and without, in turn, in
// one process, so that what else the machine does slows both alike. Prints one JSON object.
//   recording_bench [MODEL | synthetic:SHAPE] [seconds per block] [pairs of blocks]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/experts/telemetry/event_writer.h"
#include "engine/profile/store/store_file.h"
#include "engine/session/experts/experts.h"

namespace {

using namespace haq;
using Clock = std::chrono::steady_clock;

/// Decodes until `seconds` are over or the context is full; tokens per second.
double decode_block(session::Model& model, nn::Sequence& sequence, double seconds) {
  sequence.truncate(0);
  std::int32_t id = 1;
  std::int64_t tokens = 0;
  const auto start = Clock::now();
  double elapsed = 0;
  while (elapsed < seconds && sequence.length() < model.max_context()) {
    nn::Segment segment;
    segment.sequence = &sequence;
    segment.ids = std::span<const std::int32_t>(&id, 1);
    segment.decode = true;
    const std::span<const float> row = model.decoder().forward(std::span(&segment, 1));
    id = static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++tokens;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return static_cast<double>(tokens) / elapsed;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

int run(const std::string& what, double seconds, int pairs) {
  session::LoadOptions load;
  const std::string prefix = "synthetic:";
  if (what.starts_with(prefix)) {
    load.synthetic = what.substr(prefix.size());
    load.synthetic_quantized = true;
  } else {
    load.folder = what;
  }
  const std::shared_ptr<session::Model> model = session::Model::load(load);
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("haq-recording-bench-{}", getpid());
  std::filesystem::create_directories(folder);
  nlohmann::ordered_json json;
  {
    std::shared_ptr<experts::ExpertRuntime> runtime =
        experts::ExpertRuntime::make(model->decoder(), nullptr, {});
    model->decoder().set_expert_runner(runtime);
    profile::Recording recording;
    recording.name = "bench";
    recording.shape = runtime->shape();
    recording.source = "live";
    profile::Recorder recorder(
        profile::StoreFile::open(folder / "bench.db", profile::Database::Access::kReadWrite),
        recording);
    const std::unique_ptr<nn::Sequence> sequence = model->decoder().new_sequence();
    decode_block(*model, *sequence, seconds);
    std::vector<double> with, without, ratios;
    for (int pair = 0; pair < pairs; ++pair) {
      for (int half = 0; half < 2; ++half) {
        const bool on = (pair + half) % 2 == 0;
        runtime->set_events(on ? &recorder.ring() : nullptr);
        (on ? with : without).push_back(decode_block(*model, *sequence, seconds));
      }
      ratios.push_back(without.back() / with.back() - 1);
    }
    runtime->set_events(nullptr);
    const profile::Recorder::Summary summary = recorder.finish("{}");
    model->decoder().set_expert_runner(nullptr);
    // The middle 95 % of medians of the pairs, by the order statistics of their ranks.
    std::sort(ratios.begin(), ratios.end());
    const auto count = static_cast<double>(ratios.size());
    const double spread = 0.98 * std::sqrt(count);
    const auto at = [&](double rank) {
      return ratios[static_cast<std::size_t>(std::clamp(rank, 0.0, count - 1))];
    };
    json = {{"model", model->checkpoint().name()},
            {"tokens_per_s", {{"without", median(without)}, {"recording", median(with)}}},
            {"overhead", median(ratios)},
            {"overhead_ci95", {at(count / 2 - spread), at(count / 2 + spread)}},
            {"pairs", pairs},
            {"recorded_tokens", summary.tokens},
            {"dropped_events", summary.dropped_events},
            {"event_ns", experts::measure_event_ns()},
            {"failure", summary.failure}};
  }
  std::filesystem::remove_all(folder);
  std::printf("%s\n", json.dump(2).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : "", argc > 2 ? std::atof(argv[2]) : 0.3,
               argc > 3 ? std::atoi(argv[3]) : 40);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "recording_bench: %s\n", error.what());
    return 1;
  }
}
