// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/ranges.h>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <optional>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/simulate_output.h"
#include "app/cli/simulate_recorded.h"
#include "app/cli/traces.h"
#include "engine/base/threads.h"
#include "engine/experts/budget.h"
#include "engine/experts/placement/plan.h"
#include "engine/experts/placement/trace_edit.h"
#include "engine/experts/placement/two_stage.h"
#include "engine/profile/replay/replay.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--trace", Kind::kText, "NAME", "",
     "recorded expert paths: a recording, or a .csv (layer,expert or route columns), an int16 .npy "
     "[tokens, layers, top_k], or a folder with experts.u8 and index.jsonl"},
    {"--plan", Kind::kFile, "FILE", "",
     "a placement plan, for static, plan+lru, plan+ema, plan+path and auto"},
    {"--as-recorded", Kind::kFlag, "", "",
     "replay a recording under the policy, capacity and costs of the run that made it"},
    {"--held-out-from", Kind::kInteger, "N", "0",
     "the first N tokens train and warm, later ones are counted", "", 0, 1e15},
    {"--capacity", Kind::kText, "N[,N...]", "", "resident experts over all layers"},
    {"--budget", Kind::kText, "SIZE", "",
     "the same as 25% of all experts, 96x experts, all, 0, or bytes with a unit (8GiB)"},
    {"--policy", Kind::kText, "P[,P...]", "all",
     "none, frequency, frequency-layer, two-stage, static, lru, lru-layer, ema, path, plan+lru, "
     "plan+ema, plan+path, auto, belady-admit, or all; uniform, lru and belady are always shown"},
    {"--path-goal", Kind::kChoice, "GOAL", "time",
     "path: hits is the best hit rate with fewer uploads than lru, time the shortest modelled time",
     "hits|time"},
    {"--link", Kind::kNumber, "GB/S", "25", "speed of the link to the device", "", 1e-3, 1e6},
    {"--mem", Kind::kNumber, "GB/S", "60", "speed of the host's memory", "", 1e-3, 1e6},
    {"--expert-bytes", Kind::kNumber, "N", "0", "bytes of an expert; needed for times and bytes",
     "", 0, 1e15},
    {"--cpu-us", Kind::kNumber, "X", "",
     "microseconds of an expert on the CPU; default: its bytes by --mem", "", 0, 1e12},
    {"--gpu-us", Kind::kNumber, "X", "0", "microseconds of an expert on the device", "", 0, 1e12},
    {"--blocks", Kind::kInteger, "N", "0",
     "with --json: also the sums of every N counted tokens, for intervals", "", 0, 1e15},
    {"--decay", Kind::kNumber, "X", "0.97", "ema: of the scores, per token and layer"},
    {"--margin", Kind::kNumber, "X", "1.5", "ema: how much better a newcomer must score"},
    {"--uploads-per-step", Kind::kInteger, "N", "1", "ema: at most so many uploads a step", "", 0,
     experts::kMaxTopK},
};

const std::vector<std::string>& known_policies() {
  static const std::vector<std::string> kKnown = {
      "uniform",   "none",        "frequency", "frequency-layer", "two-stage", "static",    "lru",
      "lru-layer", "ema",         "path",      "plan+lru",        "plan+ema",  "plan+path", "auto",
      "belady",    "belady-admit"};
  return kKnown;
}

bool needs_plan(const std::string& policy) {
  return policy == "static" || policy.starts_with("plan+");
}

/// The policies asked for and those always shown, in the order of known_policies().
/// "all" leaves out those that need a plan where there is none.
std::vector<std::string> wanted_policies(const std::string& text, bool plan) {
  const std::vector<std::string>& known = known_policies();
  std::vector<std::string> wanted = {"uniform", "lru", "belady"};
  if (text == "all") {
    wanted = known;
    if (!plan) std::erase_if(wanted, needs_plan);
    return wanted;
  }
  for (const std::string& name : split(text, ',')) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw UsageError(fmt::format("--policy names '{}'", name),
                       fmt::format("use all or some of {}", fmt::join(known, ", ")));
    }
    if (needs_plan(name) && !plan) {
      throw UsageError(fmt::format("--policy names {}, but there is no plan", name),
                       "name a plan file with --plan");
    }
    wanted.push_back(name);
  }
  std::vector<std::string> ordered;
  for (const std::string& name : known) {
    if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) ordered.push_back(name);
  }
  return ordered;
}

std::vector<int> capacities(const Arguments& arguments, const experts::ExpertShape& shape,
                            const std::optional<experts::Plan>& plan) {
  if (plan && !arguments.given("--capacity") && !arguments.given("--budget")) {
    return {plan->budget_experts};
  }
  if (arguments.given("--capacity") == arguments.given("--budget")) {
    throw UsageError("one of --capacity and --budget is needed", "give one, such as --budget 25%");
  }
  if (arguments.given("--budget")) {
    return {experts::parse_budget(arguments.text("--budget"), shape.total(),
                                  arguments.number("--expert-bytes"))};
  }
  std::vector<int> all;
  for (const std::string& text : split(arguments.text("--capacity"), ',')) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0 ||
        value > shape.total()) {
      throw UsageError(fmt::format("--capacity is '{}'", text),
                       fmt::format("use whole numbers from 0 to {}", shape.total()));
    }
    all.push_back(value);
  }
  return all;
}

struct Sweep {
  const profile::Trace& trace;
  const profile::Steps& steps;
  profile::ReplayOptions options;
  experts::PolicyOptions policy;
  std::vector<std::int64_t> uses;  ///< by expert, in the training part (none: in the whole trace)
  std::vector<experts::ExpertIndex> plan;  ///< of --plan, most valuable first
  experts::Trace training;  ///< the training part where two_stage learns from less than the whole
  std::unique_ptr<const experts::TwoStagePlacer> two_stage;  ///< refers to it or to the trace

  profile::ReplayResult run(const std::string& name, int capacity,
                            const CancelToken& cancel) const {
    if (name == "uniform") return profile::uniform_expectation(steps, capacity, options);
    if (name == "belady" || name == "belady-admit") {
      return profile::replay_belady(steps, capacity, name == "belady-admit", options, cancel);
    }
    experts::PolicyOptions settings = policy;
    std::string base = name;
    const bool in_sample = options.held_out_from == 0;
    if (name == "frequency" || name == "frequency-layer") {
      settings.plan = experts::most_used(trace.shape, uses, capacity, name == "frequency-layer");
      base = "static";
    } else if (name == "two-stage") {
      const experts::Plan placed = two_stage->plan(capacity, cancel);
      settings.plan = experts::pinned_indices(placed, capacity);
      base = "static";
    } else if (needs_plan(name) || name == "auto") {  // auto weighs the plan against its others
      settings.plan = plan;
      settings.plan.resize(std::min(plan.size(), static_cast<std::size_t>(capacity)));
    }
    const auto object = experts::make_policy(base, trace.shape, capacity, settings);
    profile::ReplayResult result = profile::replay(steps, *object, capacity, options, cancel);
    result.policy = name;
    result.in_sample = base == "static" && name != "static" && in_sample;
    return result;
  }
};

profile::ReplayOptions replay_options(const Arguments& arguments) {
  profile::ReplayOptions options;
  options.held_out_from = arguments.integer("--held-out-from");
  options.block_tokens = arguments.integer("--blocks");
  options.machine.link_gb_s = arguments.number("--link");
  options.machine.memory_gb_s = arguments.number("--mem");
  options.machine.expert_bytes = arguments.number("--expert-bytes");
  options.machine.gpu_us = arguments.number("--gpu-us");
  if (arguments.given("--cpu-us")) options.machine.cpu_us = arguments.number("--cpu-us");
  return options;
}

/// The costs that the policies decide by. Without the bytes of an expert only the proportions are
/// known, and they are all that a decision needs.
experts::CostTable costs(const profile::ReplayMachine& machine) {
  profile::ReplayMachine known = machine;
  if (known.expert_bytes <= 0) known.expert_bytes = 1e6;
  return known.costs();
}

int run(const Arguments& arguments) {
  if (!arguments.given("--trace")) {
    throw UsageError("--trace is missing", "name a file of recorded expert paths");
  }
  if (arguments.flag("--as-recorded")) return simulate_as_recorded(arguments);
  const std::vector<std::string> policies =
      wanted_policies(arguments.text("--policy"), arguments.given("--plan"));
  const NamedTrace named = load_trace(arguments, arguments.text("--trace"), trace_hints(arguments));
  const profile::Trace& trace = named.trace;
  std::optional<experts::Plan> plan;
  if (arguments.given("--plan")) {
    plan = experts::read_plan(arguments.text("--plan"));
    // A recording may hold fewer ranks than the model that the plan is for.
    experts::ExpertShape shape = trace.shape;
    shape.top_k = std::max(shape.top_k, plan->shape.top_k);
    experts::check_plan(*plan, shape, named.fingerprint, arguments.text("--plan"), named.name);
  }
  const std::vector<int> sizes = capacities(arguments, trace.shape, plan);
  const profile::Steps steps(trace);
  Sweep sweep{trace, steps, replay_options(arguments), {}, {}, {}, {}, {}};
  if (plan) sweep.plan = experts::pinned_indices(*plan, plan->budget_experts);
  if (sweep.options.held_out_from >= trace.tokens()) {
    throw UsageError(fmt::format("--held-out-from is {}", sweep.options.held_out_from),
                     fmt::format("the trace has {} tokens; leave some to count", trace.tokens()));
  }
  const std::int64_t trained = sweep.options.held_out_from;
  sweep.uses = profile::count_uses(trace, 0, trained > 0 ? trained : trace.tokens());
  sweep.policy.decay = arguments.number("--decay");
  sweep.policy.margin = arguments.number("--margin");
  sweep.policy.path_goal = experts::parse_path_goal(arguments.text("--path-goal")).value();
  sweep.policy.costs = costs(sweep.options.machine);
  sweep.policy.uploads_per_step = static_cast<int>(arguments.integer("--uploads-per-step"));

  std::vector<profile::ReplayResult> results(sizes.size() * policies.size());
  ThreadPool pool(static_cast<int>(arguments.integer("--threads")));
  ProgressDisplay progress(arguments.flag("--quiet"));
  const ProgressCallback show = progress.callback();
  if (std::find(policies.begin(), policies.end(), "two-stage") != policies.end()) {
    if (trained > 0) sweep.training = experts::split_trace(trace, trained).first;
    const experts::Trace* const learned = trained > 0 ? &sweep.training : &trace;
    experts::PlacementOptions placement;
    placement.budget = *std::max_element(sizes.begin(), sizes.end());
    sweep.two_stage = std::make_unique<experts::TwoStagePlacer>(
        std::span<const experts::Trace* const>(&learned, 1), placement, show, interrupt_token());
  }
  std::atomic<std::uint64_t> done{0};
  pool.parallel_dynamic(static_cast<std::int64_t>(results.size()), [&](std::int64_t i, int thread) {
    const auto index = static_cast<std::size_t>(i);
    results[index] = sweep.run(policies[index % policies.size()], sizes[index / policies.size()],
                               interrupt_token());
    const std::uint64_t finished = ++done;
    if (thread == 0 && show) show({"replaying", finished, results.size(), "replays"});
  });
  progress.clear();

  const bool timed = sweep.options.machine.expert_bytes > 0;
  if (!arguments.flag("--json")) {
    print_replays(results, static_cast<double>(trace.tokens() - sweep.options.held_out_from),
                  timed);
    return kExitDone;
  }
  Json json;
  json["trace"] = arguments.text("--trace");
  json["layers"] = trace.shape.layers;
  json["experts"] = trace.shape.experts;
  json["top_k"] = trace.shape.top_k;
  json["tokens"] = trace.tokens();
  json["held_out_from"] = sweep.options.held_out_from;
  json["notices"] = trace.notices;
  json["results"] = Json::array();
  for (const profile::ReplayResult& result : results) {
    json["results"].push_back(replay_json(result, timed));
  }
  print_json(json);
  return kExitDone;
}

}  // namespace

Command simulate_command() {
  return {
      "simulate",
      "replay recorded expert paths against cache policies",
      "Drives cache policies through recorded routing and reports hits, uploads and the modelled "
      "time per token, beside the expectation of a random set and Belady's optimum. Time of a "
      "layer = max(misses on the CPU, uploads over the link + hits on the device); it needs "
      "--expert-bytes.",
      {},
      {kOptions, trace_options()},
      {{"haq simulate --trace paths.npy --experts 64 --budget 25%", "every policy at one size"},
       {"haq simulate --trace route.csv --capacity 96,192,384 --held-out-from 500 "
        "--expert-bytes 3059712 --json",
        "three sizes, trained on the first 500 tokens"},
       {"haq simulate --trace evening --as-recorded", "the decisions of a recorded run once more"}},
      run};
}

}  // namespace haq::cli
