// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/simulate_recorded.h"

#include <limits>

#include "app/cli/console.h"
#include "app/cli/simulate_output.h"
#include "app/cli/traces.h"
#include "engine/base/json.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/store_file.h"
#include "engine/session/experts/expert_run.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

struct RecordedRun {
  profile::Recording recording;
  experts::Trace trace;
  session::ExpertRun run;
  Json live;  ///< what the run itself counted; null when it was cut off
};

RecordedRun read_run(const Arguments& arguments, const std::string& name) {
  profile::StoreFile store = profile::StoreFile::open_to_read(database_path(arguments));
  profile::Recordings recordings(store.database);
  RecordedRun found;
  found.recording = recordings.get(name);
  const std::string what = fmt::format("recording \"{}\"", name);
  const Json json = parse_ordered_json(found.recording.run_json, what);
  if (!json.contains("policy")) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} tells of no run: it comes from {}", what, found.recording.source),
                "leave --as-recorded out and say capacity and policy");
  }
  found.run = session::expert_run_from_json(json, found.recording.shape, what);
  if (json.contains("result")) found.live = json.at("result");
  found.trace = recordings.read(name, interrupt_token());
  if (!found.run.learn.empty()) {
    found.run.options.policy_options.history =
        std::make_shared<experts::Trace>(recordings.read(found.run.learn, interrupt_token()));
  }
  return found;
}

profile::ReplayOptions replay_options(const session::ExpertRun& run) {
  profile::ReplayOptions options;
  if (!run.costs_known) return options;
  const experts::CostTable& costs = run.options.policy_options.costs;
  options.dispatch = {costs, run.options.miss};
  options.machine.expert_bytes = costs.expert_bytes;
  options.machine.link_gb_s = costs.link_gb_s;
  return options;
}

/// The live figures that a replay has too.
Json live_json(const Json& live) {
  Json json = Json::object();
  for (const char* key :
       {"policy", "capacity", "accesses", "hits", "hit_rate", "per_layer_hit_rate", "uploads",
        "evictions", "bytes_uploaded", "modelled_ms_per_token", "dropped_events"}) {
    if (live.contains(key)) json[key] = live.at(key);
  }
  return json;
}

std::string live_line(const Json& live) {
  if (live.is_null()) return "the run itself was cut off before it told its figures\n";
  const Json& time = live.at("modelled_ms_per_token").at("mean");
  return fmt::format("the run itself: {} hits of {}, {} uploads{}\n", live.at("hits").dump(),
                     live.at("accesses").dump(), live.at("uploads").dump(),
                     time.is_number() ? fmt::format(", {:.4f} ms/token", time.get<double>()) : "");
}

void check_options(const Arguments& arguments) {
  for (const char* name :
       {"--capacity", "--budget", "--policy", "--path-goal", "--link", "--mem", "--expert-bytes",
        "--cpu-us", "--gpu-us", "--decay", "--margin", "--uploads-per-step", "--held-out-from"}) {
    if (arguments.given(name)) {
      throw UsageError(fmt::format("{} and --as-recorded exclude each other", name),
                       "the recording says how its run was made");
    }
  }
}

}  // namespace

int simulate_as_recorded(const Arguments& arguments) {
  check_options(arguments);
  const RecordedRun recorded = read_run(arguments, arguments.text("--trace"));
  const experts::RuntimeOptions& settings = recorded.run.options;
  const profile::Steps steps(recorded.trace);
  const profile::ReplayOptions options = replay_options(recorded.run);
  const auto run = [&](const std::string& name) {
    const auto policy = experts::make_policy(name, recorded.trace.shape, settings.capacity,
                                             settings.policy_options);
    profile::ReplayResult result =
        profile::replay(steps, *policy, settings.capacity, options, interrupt_token());
    result.policy = name;
    return result;
  };
  profile::ReplayResult optimum =
      profile::replay_belady(steps, settings.capacity, false, options, interrupt_token());
  // The optimum is one of hits: nobody dispatches for it.
  optimum.ms_per_token_mean = optimum.ms_per_token_std = std::numeric_limits<double>::quiet_NaN();
  const std::vector<profile::ReplayResult> results = {
      run(settings.policy),
      profile::uniform_expectation(steps, settings.capacity, options),
      run("lru"),
      optimum,
  };
  const bool timed = recorded.run.costs_known;
  if (!arguments.flag("--json")) {
    print_replays(results, static_cast<double>(recorded.trace.tokens()), timed);
    print(live_line(recorded.live));
    return kExitDone;
  }
  Json json;
  json["trace"] = arguments.text("--trace");
  json["layers"] = recorded.trace.shape.layers;
  json["experts"] = recorded.trace.shape.experts;
  json["top_k"] = recorded.trace.shape.top_k;
  json["tokens"] = recorded.trace.tokens();
  json["held_out_from"] = 0;
  json["notices"] = recorded.trace.notices;
  json["costs"] = settings.policy_options.costs.source;
  json["recorded"] = live_json(recorded.live);
  json["results"] = Json::array();
  for (const profile::ReplayResult& result : results) {
    json["results"].push_back(replay_json(result, timed));
  }
  print_json(json);
  return kExitDone;
}

}  // namespace haq::cli
