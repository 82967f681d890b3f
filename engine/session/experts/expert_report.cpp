// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/expert_report.h"

#include <fmt/format.h>

#include "engine/base/memory.h"

namespace haq::session {

namespace {

using Json = nlohmann::ordered_json;

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

double share(std::int64_t part, std::int64_t whole) {
  return ratio(static_cast<double>(part), static_cast<double>(whole));
}

Json per_layer(const experts::RuntimeStats& stats) {
  Json rates = Json::array();
  for (std::size_t layer = 0; layer < stats.hits_per_layer.size(); ++layer) {
    rates.push_back(share(stats.hits_per_layer[layer], stats.accesses_per_layer[layer]));
  }
  return rates;
}

double telemetry_share(const experts::RuntimeStats& stats, const ExpertFacts& facts) {
  return ratio(stats.telemetry_ns_sum / 1e9, facts.seconds);
}

}  // namespace

Json experts_json(const experts::RuntimeStats& stats, const ExpertRun& run,
                  const ExpertFacts& facts) {
  const bool timed = run.costs_known;
  Json json;
  json["device"] = run.device;
  json["device_name"] = run.device_name;
  json["emulated"] = run.emulated;
  json["policy"] = stats.policy;
  json["capacity"] = stats.capacity;
  json["experts"] = stats.shape.total();
  json["miss"] = experts::to_string(run.options.miss);
  json["batches"] = stats.batches;
  json["tokens"] = stats.tokens;
  json["steps"] = stats.steps;
  json["accesses"] = stats.accesses;
  json["hits"] = stats.hits;
  json["hit_rate"] = share(stats.hits, stats.accesses);
  json["per_layer_hit_rate"] = per_layer(stats);
  json["evictions"] = stats.evictions;
  json["uploads"] = stats.uploads;
  json["streamed"] = stats.streamed;
  json["bytes_uploaded"] = stats.bytes_uploaded;
  json["cpu_tokens"] = stats.cpu_tokens;
  json["gpu_tokens"] = stats.device_tokens;
  json["decisions"] = stats.decisions;
  json["regret_us_mean"] = ratio(stats.regret_us_sum, static_cast<double>(stats.decisions));
  json["modelled_ms_per_token"] = {
      {"mean", timed ? Json(stats.modelled_ms_per_token_mean) : Json()},
      {"std", timed ? Json(stats.modelled_ms_per_token_std) : Json()}};
  json["predicted_vs_actual"] = timed ? experts::to_json(stats.cost_report) : Json();
  json["slot_bytes"] = facts.slot_bytes;
  json["bit_identical"] = facts.bit_identical;
  json["link_gb_s"] = facts.link_gb_s > 0 ? Json(facts.link_gb_s) : Json();
  json["costs"] = timed ? Json(run.options.policy_options.costs.source) : Json();
  json["recording"] = facts.recording.empty() ? Json() : Json(facts.recording);
  if (!facts.recording_failure.empty()) json["recording_failure"] = facts.recording_failure;
  json["dropped_events"] = facts.dropped_events;
  json["telemetry_overhead"] = telemetry_share(stats, facts);
  return json;
}

std::string experts_text(const experts::RuntimeStats& stats, const ExpertRun& run,
                         const ExpertFacts& facts) {
  if (run.options.capacity == 0 && run.device == "cpu") {
    return fmt::format("experts: all on the CPU, {} uses of {} experts", stats.accesses,
                       stats.shape.total());
  }
  const char* label = run.emulated ? " (emulated)" : "";
  const double resident = 100 * share(stats.capacity, stats.shape.total());
  std::string text = fmt::format(
      "experts: {}, policy {}, {} of {} resident ({:.0f} %, {})\n"
      "  {:.1f} % of {} uses found there; {} uploads and {} copies for one step ({}), {} "
      "evictions; {} rows on the CPU, {} on the device",
      run.device_name, stats.policy, stats.capacity, stats.shape.total(), resident,
      format_bytes(static_cast<std::uint64_t>(stats.capacity) * facts.slot_bytes),
      100 * share(stats.hits, stats.accesses), stats.accesses, stats.uploads, stats.streamed,
      format_bytes(static_cast<std::uint64_t>(stats.bytes_uploaded)), stats.evictions,
      stats.cpu_tokens, stats.device_tokens);
  if (run.costs_known) {
    text += fmt::format(
        "\n  modelled time of the experts{}: {:.3f} +- {:.3f} ms a token; regret of {} choices: "
        "{:.1f} us each",
        label, stats.modelled_ms_per_token_mean, stats.modelled_ms_per_token_std, stats.decisions,
        ratio(stats.regret_us_sum, static_cast<double>(stats.decisions)));
  }
  if (!facts.recording.empty()) {
    text +=
        fmt::format("\n  recorded as {}, {} events dropped, telemetry took {:.3f} % of the time",
                    facts.recording, facts.dropped_events, 100 * telemetry_share(stats, facts));
  }
  return text;
}

}  // namespace haq::session
