// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/experts/placement/path_parts.h"
#include "engine/experts/placement/placement.h"

namespace haq::experts {
namespace {

constexpr int kDraws = 1000;

std::vector<bool> resident_set(const Plan& plan) {
  std::vector<bool> resident(static_cast<std::size_t>(plan.shape.total()), false);
  for (const Plan::Pin& pin : plan.pinned) {
    resident[static_cast<std::size_t>(plan.shape.index(pin.layer, pin.expert))] = true;
  }
  return resident;
}

void check_shape(const Plan& plan, std::span<const Trace* const> paths) {
  for (const Trace* trace : paths) {
    if (trace->shape.layers == plan.shape.layers && trace->shape.experts == plan.shape.experts) {
      continue;
    }
    fail(ErrorCode::kInvalidArgument,
         "the plan is for {} layers of {} experts, the paths have {} of {}", plan.shape.layers,
         plan.shape.experts, trace->shape.layers, trace->shape.experts);
  }
}

/// [low, high] between which 95 % of the resampled rates lie.
std::pair<double, double> interval(const std::vector<double>& hits,
                                   const std::vector<double>& accesses) {
  std::vector<double> rates;
  for (const std::vector<std::uint32_t>& draw : resamples(hits.size(), kDraws)) {
    double hit = 0, all = 0;
    for (const std::uint32_t part : draw) {
      hit += hits[part];
      all += accesses[part];
    }
    if (all > 0) rates.push_back(hit / all);
  }
  if (rates.empty()) return {0, 0};
  std::sort(rates.begin(), rates.end());
  const auto at = [&](double q) {
    return rates[static_cast<std::size_t>(q * static_cast<double>(rates.size() - 1))];
  };
  return {at(0.025), at(0.975)};
}

/// Share of the tokens' paths of `run_layers` layers that are covered.
double coverage(const std::vector<bool>& resident, std::span<const Trace* const> paths,
                int run_layers, double covered_share) {
  std::int64_t covered = 0, all = 0;
  for (const Trace* trace : paths) {
    const int layers = trace->shape.layers, run = std::min(run_layers, layers);
    std::vector<int> chosen(static_cast<std::size_t>(layers)), hits(chosen.size());
    for (std::int64_t token = 0; token < trace->tokens(); ++token) {
      for (int layer = 0; layer < layers; ++layer) {
        const auto l = static_cast<std::size_t>(layer);
        chosen[l] = hits[l] = 0;
        for (const std::uint16_t expert : trace->choices(token, layer)) {
          if (expert == Trace::kAbsent) continue;
          ++chosen[l];
          hits[l] += resident[static_cast<std::size_t>(trace->shape.index(layer, expert))] ? 1 : 0;
        }
      }
      for (std::size_t begin = 0; begin + static_cast<std::size_t>(run) <= chosen.size(); ++begin) {
        int members = 0, have = 0;
        for (std::size_t l = begin; l < begin + static_cast<std::size_t>(run); ++l) {
          members += chosen[l];
          have += hits[l];
        }
        if (members == 0) continue;
        ++all;
        covered += have >= covered_share * members - 1e-9 ? 1 : 0;
      }
    }
  }
  return all == 0 ? 0 : static_cast<double>(covered) / static_cast<double>(all);
}

}  // namespace

PlanScore score_plan(const Plan& plan, std::span<const Trace* const> paths, int run_layers,
                     double covered_share) {
  check_shape(plan, paths);
  const std::vector<bool> resident = resident_set(plan);
  const auto layers = static_cast<std::size_t>(plan.shape.layers);
  std::vector<double> layer_hits(layers, 0), layer_all(layers, 0), hits, all;
  PlanScore score;
  for (const PathPart& part : path_parts(paths)) {
    const PartAccesses accesses = count_accesses(part);
    double hit = 0;
    for (const auto& [expert, uses] : accesses.uses) {
      const auto layer = static_cast<std::size_t>(plan.shape.layer_of(expert));
      const bool here = resident[static_cast<std::size_t>(expert)];
      layer_all[layer] += static_cast<double>(uses);
      if (!here) continue;
      layer_hits[layer] += static_cast<double>(uses);
      hit += static_cast<double>(uses);
    }
    hits.push_back(hit);
    all.push_back(static_cast<double>(accesses.total));
    score.accesses += accesses.total;
    score.tokens += part.tokens;
  }
  if (score.accesses == 0) {
    fail(ErrorCode::kInvalidArgument, "a plan cannot be scored: the paths hold no choices");
  }
  double sum = 0, squares = 0, hit = 0;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const double rate = layer_all[layer] == 0 ? 0 : layer_hits[layer] / layer_all[layer];
    score.per_layer_hit_rate.push_back(rate);
    sum += rate;
    squares += rate * rate;
    hit += layer_hits[layer];
  }
  const double mean = sum / static_cast<double>(layers);
  score.per_layer_std =
      std::sqrt(std::max(0.0, squares / static_cast<double>(layers) - mean * mean));
  score.hit_rate = hit / static_cast<double>(score.accesses);
  std::tie(score.hit_low, score.hit_high) = interval(hits, all);
  score.path_coverage = coverage(resident, paths, run_layers, covered_share);
  return score;
}

PlanDifference compare_plans(const Plan& plan, const Plan& other,
                             std::span<const Trace* const> paths) {
  check_shape(plan, paths);
  check_shape(other, paths);
  const std::vector<bool> first = resident_set(plan), second = resident_set(other);
  std::vector<double> gains, all;
  double gain_sum = 0, all_sum = 0;
  for (const PathPart& part : path_parts(paths)) {
    const PartAccesses accesses = count_accesses(part);
    double gain = 0;
    for (const auto& [expert, uses] : accesses.uses) {
      const auto i = static_cast<std::size_t>(expert);
      gain += static_cast<double>(uses) * ((first[i] ? 1 : 0) - (second[i] ? 1 : 0));
    }
    gains.push_back(gain);
    all.push_back(static_cast<double>(accesses.total));
    gain_sum += gain;
    all_sum += all.back();
  }
  if (all_sum == 0) {
    fail(ErrorCode::kInvalidArgument, "plans cannot be compared: the paths hold no choices");
  }
  const auto [low, high] = interval(gains, all);
  return {gain_sum / all_sum, low, high};
}

}  // namespace haq::experts
