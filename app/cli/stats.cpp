// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/traces.h"
#include "engine/experts/budget.h"
#include "engine/experts/placement/judged_plan.h"
#include "engine/experts/placement/trace_edit.h"
#include "engine/profile/statistics/path_stats.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--pairs", Kind::kInteger, "N", "5",
     "strongest pairs of experts in consecutive layers to list, per layer", "", 0, 1000},
    {"--paths", Kind::kInteger, "N", "5", "most frequent paths over 2 and 3 layers to list", "", 0,
     1000},
    {"--budget", Kind::kText, "SIZE", "25%",
     "experts of the plans that show what more tokens, or another set of prompts, would change"},
};

Json layer_json(const profile::LayerStats& layer, std::size_t number) {
  Json pairs = Json::array();
  for (const profile::ExpertPair& pair : layer.pairs) {
    pairs.push_back(
        {{"expert", pair.expert}, {"next", pair.next}, {"count", pair.count}, {"lift", pair.lift}});
  }
  return {{"layer", number},
          {"choices", layer.choices},
          {"load", layer.uses},
          {"entropy", layer.entropy_bits},
          {"entropy_share", layer.entropy_share},
          {"max_over_mean", layer.max_over_mean},
          {"variation", layer.variation},
          {"unused", layer.unused},
          {"dead", layer.dead},
          {"cold", layer.cold},
          {"reuse_distance",
           {{"p10", layer.reuse_p10},
            {"median", layer.reuse_median},
            {"p90", layer.reuse_p90},
            {"first_use_share", layer.first_use_share}}},
          {"next_token_overlap", layer.next_token_overlap},
          {"next_layer", {{"information_bits", layer.next_layer_bits}, {"pairs", pairs}}}};
}

Json stats_json(const profile::PathStats& stats, const experts::ExpertShape& shape) {
  Json json = {{"tokens", stats.tokens}, {"prompts", stats.prompts}, {"layers", Json::array()}};
  for (std::size_t i = 0; i < stats.layers.size(); ++i) {
    json["layers"].push_back(layer_json(stats.layers[i], i));
  }
  json["paths"] = Json::array();
  for (const profile::RunStats& run : stats.runs) {
    Json frequent = Json::array();
    for (const profile::FrequentPath& path : run.most_frequent) {
      Json members = Json::array();
      for (const experts::ExpertIndex e : path.experts) {
        members.push_back({shape.layer_of(e), shape.expert_of(e)});
      }
      frequent.push_back(
          {{"first_layer", path.first_layer}, {"experts", members}, {"count", path.count}});
    }
    json["paths"].push_back({{"run_layers", run.run_layers},
                             {"tokens", run.tokens},
                             {"distinct", run.distinct},
                             {"repeated", run.repeated},
                             {"total", run.total},
                             {"most_frequent", frequent}});
  }
  return json;
}

Json growth_json(const profile::PathGrowth& growth) {
  Json points = Json::array();
  for (const profile::PathGrowth::Point& point : growth.points) {
    points.push_back(
        {{"tokens", point.tokens},
         {"seen_share", point.seen_share},
         {"held_out_hit_rate", point.held_out_hit_rate ? Json(*point.held_out_hit_rate) : Json()}});
  }
  return {{"budget_experts", growth.budget},
          {"in_sample_hit_rate", growth.in_sample_hit_rate},
          {"points", points}};
}

/// How the most used experts of one set of prompts do on each set.
Json sets_json(const std::vector<NamedTrace>& sets, int budget) {
  Json rows = Json::array();
  for (const NamedTrace& set : sets) {
    const experts::Trace* own[] = {&set.trace};
    experts::PlacementOptions options;
    options.strategy = "frequency";
    options.budget = budget;
    const experts::Plan plan = experts::place(own, options);
    Json hits = Json::array();
    for (const NamedTrace& other : sets) {
      const experts::Trace* paths[] = {&other.trace};
      hits.push_back(experts::score_plan(plan, paths, 1, 1).hit_rate);
    }
    rows.push_back(
        {{"name", set.name}, {"tokens", set.trace.tokens()}, {"hit_rate_of_its_plan_on", hits}});
  }
  return rows;
}

std::string table(const std::string& title, const profile::PathStats& stats) {
  std::string text =
      fmt::format("{}: {} tokens of {} prompts\n", title, stats.tokens, stats.prompts);
  text += fmt::format("{:>5}{:>11}{:>10}{:>6}{:>6}{:>14}{:>6}{:>14}{:>17}\n", "layer", "entropy %",
                      "max/mean", "dead", "cold", "reuse median", "p90", "next token %",
                      "next layer, bits");
  for (std::size_t i = 0; i < stats.layers.size(); ++i) {
    const profile::LayerStats& l = stats.layers[i];
    text += fmt::format("{:>5}{:>11.1f}{:>10.2f}{:>6}{:>6}{:>14.0f}{:>6.0f}{:>14.1f}{:>17.3f}\n", i,
                        100 * l.entropy_share, l.max_over_mean, l.dead, l.cold, l.reuse_median,
                        l.reuse_p90, 100 * l.next_token_overlap, l.next_layer_bits);
  }
  for (const profile::RunStats& run : stats.runs) {
    text += fmt::format("paths over {} layers: {} different, {} of {} occurrences repeat one\n",
                        run.run_layers, run.distinct, run.repeated, run.total);
  }
  return text;
}

std::string growth_text(const profile::PathGrowth& growth, const experts::ExpertShape& shape) {
  std::string text = fmt::format("{:>10}{:>16}{:>34}\n", "tokens", "experts seen %",
                                 "hits % of their plan on 2nd half");
  for (const profile::PathGrowth::Point& point : growth.points) {
    text += fmt::format(
        "{:>10}{:>16.1f}{:>34}\n", point.tokens, 100 * point.seen_share,
        point.held_out_hit_rate ? fmt::format("{:.2f}", 100 * *point.held_out_hit_rate) : "-");
  }
  return text + fmt::format(
                    "a plan keeps {} of {} experts; that of the first half hits {:.2f} % of "
                    "its own half\n",
                    growth.budget, shape.total(), 100 * growth.in_sample_hit_rate);
}

int run(const Arguments& arguments) {
  const std::vector<NamedTrace> sets =
      load_traces(arguments, arguments.list("NAME"), trace_hints(arguments));
  std::vector<const experts::Trace*> parts;
  for (const NamedTrace& set : sets) parts.push_back(&set.trace);
  const experts::Trace trace = experts::join_traces(parts);
  const int budget = experts::parse_budget(arguments.text("--budget"), trace.shape.total(), 0);
  profile::PathStatsOptions options;
  options.pairs = static_cast<int>(arguments.integer("--pairs"));
  options.frequent_paths = static_cast<int>(arguments.integer("--paths"));
  ThreadPool pool(static_cast<int>(arguments.integer("--threads")));
  ProgressDisplay progress(arguments.flag("--quiet"));
  const auto count = [&](std::optional<bool> decode) {
    return profile::path_stats(trace, decode, options, pool, progress.callback(),
                               interrupt_token());
  };
  const profile::PathStats all = count({}), prefill = count(false), decode = count(true);
  const profile::PathGrowth growth = profile::path_growth(trace, budget);
  const Json rows = sets.size() > 1 ? sets_json(sets, budget) : Json::array();
  progress.clear();
  if (!arguments.flag("--json")) {
    std::string text = table("all", all);
    if (prefill.tokens > 0 && decode.tokens > 0) {
      text += "\n" + table("prefill", prefill) + "\n" + table("decode", decode);
    }
    text += "\n" + growth_text(growth, trace.shape);
    for (const Json& row : rows) {
      text += fmt::format("plan of {} hits %:", row["name"].get<std::string>());
      for (std::size_t i = 0; i < sets.size(); ++i) {
        text += fmt::format("  {} {:.2f}", sets[i].name,
                            100 * row["hit_rate_of_its_plan_on"][i].get<double>());
      }
      text += "\n";
    }
    print(text);
    return kExitDone;
  }
  Json json;
  json["recordings"] = arguments.list("NAME");
  json["experts"] = trace.shape.experts;
  json["top_k"] = trace.shape.top_k;
  json.update(stats_json(all, trace.shape));
  json["phases"] = {{"prefill", stats_json(prefill, trace.shape)},
                    {"decode", stats_json(decode, trace.shape)}};
  json["growth"] = growth_json(growth);
  json["sets"] = rows;
  print_json(json);
  return kExitDone;
}

}  // namespace

Command stats_command() {
  return {
      "stats",
      "show how recorded expert paths use the experts",
      "Per layer: load, entropy, dead (under 0.1 % of the layer's choices) and cold experts "
      "(under a tenth of the mean load), tokens until an expert is used again, overlap with the "
      "next token, what a choice says of the next layer's; frequent paths; all split into "
      "prefill and decode. It also shows how much more tokens would still change. Several "
      "recordings are read as sets of prompts: together, and the plan of each on the others.",
      {{"NAME", Kind::kText, "recordings, or files or folders of recorded paths", true, "", true}},
      {kOptions, trace_options()},
      {{"haq stats monday", "tables for one recording"},
       {"haq stats code.npy prose.npy --experts 64 --json", "two sets of prompts, as JSON"}},
      run};
}

}  // namespace haq::cli
