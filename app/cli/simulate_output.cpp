// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/simulate_output.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "app/cli/console.h"

namespace haq::cli {

nlohmann::ordered_json replay_json(const profile::ReplayResult& result, bool timed) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["policy"] = result.policy;
  json["capacity"] = result.capacity;
  json["accesses"] = result.accesses;
  json["hits"] = result.hits;
  json["hit_rate"] = result.hit_rate;
  json["per_layer_hit_rate"] = result.per_layer_hit_rate;
  json["per_layer_std"] = result.per_layer_std;
  json["uploads"] = result.uploads;
  json["evictions"] = result.evictions;
  // The expectation over random sets has no path, so no time.
  const bool has_time = timed && result.policy != "uniform";
  json["bytes"] = has_time ? Json(result.bytes) : Json();
  json["modelled_ms_per_token"] =
      has_time ? Json{{"mean", result.ms_per_token_mean}, {"std", result.ms_per_token_std}}
               : Json();
  json["in_sample"] = result.in_sample;
  json["seconds"] = result.seconds;
  if (!result.blocks.empty()) {
    Json& blocks = json["blocks"] = Json::array();
    for (const profile::ReplayResult::Block& block : result.blocks) {
      blocks.push_back({{"tokens", block.tokens},
                        {"accesses", block.accesses},
                        {"hits", block.hits},
                        {"uploads", block.uploads},
                        {"modelled_ms", has_time ? Json(block.ms) : Json()}});
    }
  }
  return json;
}

void print_replays(const std::vector<profile::ReplayResult>& results, double tokens, bool timed) {
  std::string text = fmt::format("{:<16}{:>9}{:>10}{:>12}{:>16}{:>14}\n", "policy", "capacity",
                                 "hits %", "layer std", "uploads/token", "ms/token");
  for (const profile::ReplayResult& r : results) {
    const bool has_time = timed && r.policy != "uniform" && std::isfinite(r.ms_per_token_mean);
    text += fmt::format("{:<16}{:>9}{:>10.2f}{:>12.4f}{:>16.2f}{:>14}{}\n", r.policy, r.capacity,
                        100 * r.hit_rate, r.per_layer_std, static_cast<double>(r.uploads) / tokens,
                        has_time ? fmt::format("{:.4f}", r.ms_per_token_mean) : "-",
                        r.in_sample ? "  (trained on the counted tokens)" : "");
  }
  print(text);
}

}  // namespace haq::cli
