// SPDX-License-Identifier: GPL-3.0-or-later
#include <charconv>
#include <chrono>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/traces.h"
#include "engine/experts/budget.h"
#include "engine/experts/placement/judged_plan.h"
#include "engine/experts/placement/trace_edit.h"
#include "engine/model/fingerprint.h"
#include "engine/session/experts/expert_footprint.h"
#include "engine/session/session.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--model", Kind::kFolder, "MODEL", "",
     "the model that the plan is for: its shape and fingerprint are checked and written"},
    {"--shape", Kind::kText, "L,E", "",
     "layers with experts and experts of a layer, where there is no model"},
    {"--train", Kind::kText, "NAME", "",
     "recorded paths to learn from: a recording, or a file or folder", "", 0, 0, true},
    {"--held-out", Kind::kText, "NAME", "", "recorded paths that only judge the plan", "", 0, 0,
     true},
    {"--held-out-from", Kind::kInteger, "N", "0",
     "only the first N tokens of --train train, the later ones judge", "", 0, 1e15},
    {"--budget", Kind::kText, "SIZE", "",
     "experts to keep on the device: 25% of all, 96x experts, all, 0, or bytes with a unit (8GiB)"},
    {"--expert-bytes", Kind::kNumber, "N", "0",
     "bytes of an expert, for a budget in bytes without --model", "", 0, 1e15},
    {"--strategy", Kind::kChoice, "NAME", "two-stage", "how experts are chosen",
     "two-stage|frequency|frequency-layer|uniform|layer-optimum"},
    {"--stage1-share", Kind::kNumber, "X", "",
     "two-stage: share of the budget for coverage of paths; default: chosen on a validation part "
     "of --train",
     "", 0, 1},
    {"--weighting", Kind::kChoice, "WHAT", "auto",
     "two-stage: whether every token or every prompt counts the same; auto: chosen likewise",
     "auto|tokens|prompts"},
    {"--run-layers", Kind::kInteger, "N", "2",
     "a path is what a token chose in N consecutive layers", "", 1, 8},
    {"--covered-share", Kind::kNumber, "X", "0.75",
     "a path counts as covered when this share of it is resident", "", 1e-3, 1},
    {"--out", Kind::kFile, "FILE", "", "plan file to write (JSON)"},
};

/// What the plan is for.
struct Target {
  experts::ExpertShape shape;  // 0: not known
  std::string architecture, fingerprint, name;
  double expert_bytes = 0;
};

Target model_target(const Arguments& arguments) {
  const auto checkpoint = model::Checkpoint::open(arguments.text("--model"));
  const session::ExpertFootprint footprint = session::expert_footprint(checkpoint->config());
  if (footprint.shape.total() == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has no routed experts", checkpoint->name()),
                "a plan needs a Mixture-of-Experts model");
  }
  Target target{footprint.shape, checkpoint->config().architecture, "", checkpoint->name(), 0};
  // Slots hold experts in the model's own precision.
  target.expert_bytes = static_cast<double>(
      checkpoint->config().quantized ? footprint.int8_bytes : footprint.bits16_bytes);
  ProgressDisplay progress(arguments.flag("--quiet"));
  target.fingerprint =
      model::base_fingerprint_of(*checkpoint, progress.callback(), interrupt_token());
  return target;
}

int shape_number(const std::string& text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most) {
    throw UsageError(fmt::format("--shape has '{}'", text),
                     "give layers and experts of a layer, such as --shape 24,32");
  }
  return value;
}

Target shape_target(const Arguments& arguments) {
  Target target;
  target.expert_bytes = arguments.number("--expert-bytes");
  if (!arguments.given("--shape")) return target;
  const std::vector<std::string> parts = split(arguments.text("--shape"), ',');
  if (parts.size() != 2) {
    throw UsageError(fmt::format("--shape is '{}'", arguments.text("--shape")),
                     "give layers and experts of a layer, such as --shape 24,32");
  }
  target.shape.layers = shape_number(parts[0], experts::kMaxLayers);
  target.shape.experts = shape_number(parts[1], experts::kMaxExperts);
  return target;
}

/// Training and held-out paths of one shape.
struct Paths {
  std::vector<NamedTrace> train, held_out;

  static std::vector<const experts::Trace*> pointers(const std::vector<NamedTrace>& traces) {
    std::vector<const experts::Trace*> all;
    for (const NamedTrace& named : traces) all.push_back(&named.trace);
    return all;
  }
};

/// Moves what lies behind the first `tokens` tokens of the training paths to the held-out ones.
void split_off(Paths& paths, std::int64_t tokens) {
  std::vector<NamedTrace> kept;
  for (NamedTrace& named : paths.train) {
    auto [first, rest] = experts::split_trace(named.trace, tokens);
    tokens -= first.tokens();
    if (rest.tokens() > 0) {
      tokens = 0;
      paths.held_out.push_back(
          {named.name, std::move(rest), named.architecture, named.fingerprint});
    }
    if (first.tokens() > 0) {
      named.trace = std::move(first);
      kept.push_back(std::move(named));
    }
  }
  if (kept.empty() || paths.held_out.empty()) {
    throw UsageError("--held-out-from leaves nothing to train on or to judge by",
                     "use a number below the tokens of --train");
  }
  paths.train = std::move(kept);
}

Paths load_paths(const Arguments& arguments, const Target& target) {
  const profile::TraceHints hints{target.shape.layers, target.shape.experts, 0};
  std::vector<std::string> names = arguments.list("--train");
  const std::size_t train = names.size();
  for (const std::string& name : arguments.list("--held-out")) names.push_back(name);
  std::vector<NamedTrace> all = load_traces(arguments, names, hints);
  Paths paths;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!target.fingerprint.empty() && !all[i].fingerprint.empty() &&
        all[i].fingerprint != target.fingerprint) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{} is a recording of another model than {}", all[i].name, target.name),
          "record this model with 'haq profile'");
    }
    if (target.shape.top_k > 0 && all[i].trace.shape.top_k > target.shape.top_k) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} has {} experts per token, {} uses {}", all[i].name,
                              all[i].trace.shape.top_k, target.name, target.shape.top_k),
                  "name a recording of this model");
    }
    (i < train ? paths.train : paths.held_out).push_back(std::move(all[i]));
  }
  const std::int64_t border = arguments.integer("--held-out-from");
  if (border > 0) split_off(paths, border);
  return paths;
}

Json output_json(const experts::JudgedPlan& judged, const Arguments& arguments, double seconds) {
  Json json;
  json["plan"] = arguments.text("--out");
  json.update(experts::to_json(judged.plan));
  Json scores = std::move(json["scores"]);
  json.erase("scores");
  json.update(scores);
  json["seconds"] = seconds;
  return json;
}

std::string score_line(const std::string& name, const experts::PlanScore& score) {
  return fmt::format("{:<18}{:>8.2f} [{:.2f}, {:.2f}]{:>12.2f}{:>12.2f}\n", name,
                     100 * score.hit_rate, 100 * score.hit_low, 100 * score.hit_high,
                     100 * score.per_layer_std, 100 * score.path_coverage);
}

void print_plain(const experts::JudgedPlan& judged, const Arguments& arguments) {
  const experts::Plan& plan = judged.plan;
  std::string text = fmt::format("{} of {} experts, {} layers of {}\n", plan.pinned.size(),
                                 plan.shape.total(), plan.shape.layers, plan.shape.experts);
  if (plan.strategy == "two-stage") {
    text += fmt::format("stage 1: {} experts cover paths ({} weighted), stage 2: {}\n",
                        plan.scores["stage1_experts"].get<std::int64_t>(),
                        plan.scores["weighting"].get<std::string>(),
                        static_cast<std::int64_t>(plan.pinned.size()) -
                            plan.scores["stage1_experts"].get<std::int64_t>());
  }
  text += fmt::format("{:<18}{:>8} {:<16}{:>11}{:>12}\n", "", "hits %", "[95 %]", "layer std",
                      "covered %");
  text += score_line("training paths", judged.train);
  if (judged.held_out) text += score_line("held-out paths", *judged.held_out);
  for (const experts::JudgedPlan::Rival& rival : judged.compared) {
    text += score_line(fmt::format("  {}", rival.strategy), rival.score);
  }
  for (const experts::JudgedPlan::Rival& rival : judged.compared) {
    text += fmt::format("against {}: {:+.2f} points [{:+.2f}, {:+.2f}]\n", rival.strategy,
                        100 * rival.difference.mean, 100 * rival.difference.low,
                        100 * rival.difference.high);
  }
  if (!judged.held_out) {
    text += "The other strategies are judged on the training paths, too; give --held-out.\n";
  }
  print(text + fmt::format("written to {}\n", arguments.text("--out")));
}

int run(const Arguments& arguments) {
  for (const char* name : {"--train", "--budget", "--out"}) {
    if (!arguments.given(name)) {
      throw UsageError(fmt::format("{} is missing", name), "see haq plan --help");
    }
  }
  if (arguments.given("--model") && arguments.given("--shape")) {
    throw UsageError("both --model and --shape are given", "give one of them");
  }
  if (arguments.given("--model") && arguments.given("--expert-bytes")) {
    throw UsageError("--expert-bytes is given with --model", "leave it out: the model says it");
  }
  const auto start = std::chrono::steady_clock::now();
  Target target = arguments.given("--model") ? model_target(arguments) : shape_target(arguments);
  const Paths paths = load_paths(arguments, target);
  const NamedTrace& first = paths.train.front();
  experts::PlacementOptions options;
  options.budget = experts::parse_budget(arguments.text("--budget"), first.trace.shape.total(),
                                         target.expert_bytes);
  options.strategy = arguments.text("--strategy");
  if (arguments.given("--stage1-share")) options.stage1_share = arguments.number("--stage1-share");
  options.weighting = arguments.text("--weighting");
  options.run_layers = static_cast<int>(arguments.integer("--run-layers"));
  options.covered_share = arguments.number("--covered-share");

  ProgressDisplay progress(arguments.flag("--quiet"));
  experts::JudgedPlan judged =
      experts::place_and_judge(Paths::pointers(paths.train), Paths::pointers(paths.held_out),
                               options, progress.callback(), interrupt_token());
  progress.clear();
  experts::Plan& plan = judged.plan;
  plan.architecture = target.architecture.empty() ? first.architecture : target.architecture;
  plan.fingerprint = target.fingerprint.empty() ? first.fingerprint : target.fingerprint;
  if (target.shape.top_k > 0) plan.shape.top_k = target.shape.top_k;
  for (const NamedTrace& named : paths.train) plan.sources.push_back(named.name);
  experts::write_plan(plan, arguments.text("--out"));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (arguments.flag("--json")) {
    print_json(output_json(judged, arguments, seconds.count()));
  } else {
    print_plain(judged, arguments);
  }
  return kExitDone;
}

}  // namespace

Command plan_command() {
  return {"plan",
          "choose which experts stay on the device",
          "Computes a placement plan from recorded expert paths and judges it, beside the plain "
          "strategies, on paths that were held out. Two-stage placement covers the sets of experts "
          "that tokens choose in consecutive layers, then supplements the layers with the lowest "
          "expected hit rate; how the budget is split is chosen on a validation part of --train.",
          {},
          {kOptions},
          {{"haq plan --model ~/models/OLMoE-1B-7B --train monday --held-out tuesday --budget 25% "
            "--out plan.json",
            "a plan from one recording, judged by another"},
           {"haq plan --shape 24,32 --train paths.npy --held-out-from 50000 --budget 192x "
            "--out plan.json --json",
            "from a file: the first 50000 tokens train, the others judge"}},
          run};
}

}  // namespace haq::cli
