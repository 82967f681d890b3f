// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/policies.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/experts/policies/auto_policy.h"
#include "engine/experts/policies/path_policy.h"

namespace haq::experts {

void Policy::start(Residency&) {}

void StaticPolicy::start(Residency& residency) {
  for (const ExpertIndex expert : plan_) residency.admit(expert);
}

LruPolicy::LruPolicy(const ExpertShape& shape, int capacity, bool per_layer, Pins pins)
    : shape_(shape),
      capacity_(capacity),
      per_layer_(per_layer),
      pins_(std::move(pins)),
      recent_(shape.total(), per_layer ? shape.layers : 1),
      in_step_(static_cast<std::size_t>(shape.total()), -1) {}

std::string LruPolicy::name() const {
  const std::string own = per_layer_ ? "lru-layer" : "lru";
  return pins_.count() > 0 ? "plan+" + own : own;
}

bool LruPolicy::room(int list, int layer, const Residency& residency) const {
  if (!per_layer_) return !residency.full();
  return residency.used_in_layer(list) - pins_.in_layer(layer) <
         layer_quota(shape_, capacity_ - pins_.count(), layer);
}

void LruPolicy::end_step(const Step& step, Residency& residency) {
  ++step_;
  const int list = per_layer_ ? step.layer : 0;
  const ExpertIndex base = shape_.index(step.layer, 0);
  for (const std::uint16_t number : step.experts) {
    in_step_[static_cast<std::size_t>(base + number)] = step_;
  }
  for (const std::uint16_t number : step.experts) {
    const ExpertIndex expert = base + number;
    if (pins_.has(expert)) continue;
    if (residency.contains(expert)) {
      recent_.touch(list, expert);
      continue;
    }
    if (room(list, step.layer, residency)) {
      residency.admit(expert);
      recent_.push_front(list, expert);
      continue;
    }
    ExpertIndex victim = recent_.back(list);
    while (victim >= 0 && in_step_[static_cast<std::size_t>(victim)] == step_) {
      victim = recent_.more_recent(victim);
    }
    if (victim < 0) continue;
    residency.replace(victim, expert);
    recent_.remove(victim);
    recent_.push_front(list, expert);
  }
}

EmaPolicy::EmaPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options,
                     Pins pins)
    : shape_(shape),
      capacity_(capacity),
      options_(options),
      pins_(std::move(pins)),
      scores_(static_cast<std::size_t>(shape.total()), 0),
      worth_(static_cast<std::size_t>(shape.layers), 1) {}

void EmaPolicy::add_uses(const Step& step) {
  constexpr double kLargest = 1e100;
  double& worth = worth_[static_cast<std::size_t>(step.layer)];
  worth /= std::pow(options_.decay, step.tokens);
  const std::span<double> scores(scores_.data() + shape_.index(step.layer, 0),
                                 static_cast<std::size_t>(shape_.experts));
  if (!(worth < kLargest)) {
    // A batch so long that nothing older counts any more leaves zeros.
    for (double& score : scores) score = std::isfinite(worth) ? score / worth : 0;
    worth = 1;
  }
  for (std::size_t i = 0; i < step.experts.size(); ++i) {
    scores[step.experts[i]] += worth * step.counts[i];
  }
}

ExpertIndex EmaPolicy::weakest(const Step& step, const Residency& residency) const {
  ExpertIndex weakest = -1;
  const ExpertIndex base = shape_.index(step.layer, 0);
  for (ExpertIndex expert = base; expert < base + shape_.experts; ++expert) {
    if (!residency.contains(expert) || pins_.has(expert)) continue;
    const bool lower = weakest < 0 || scores_[static_cast<std::size_t>(expert)] <
                                          scores_[static_cast<std::size_t>(weakest)];
    if (!lower) continue;
    const auto number = static_cast<std::uint16_t>(expert - base);
    const bool in_use =
        std::find(step.experts.begin(), step.experts.end(), number) != step.experts.end();
    if (!in_use) weakest = expert;
  }
  return weakest;
}

void EmaPolicy::end_step(const Step& step, Residency& residency) {
  add_uses(step);
  const int quota =
      layer_quota(shape_, capacity_ - pins_.count(), step.layer) + pins_.in_layer(step.layer);
  if (quota == pins_.in_layer(step.layer) || options_.uploads_per_step == 0) return;
  missing_.clear();
  for (const std::uint16_t number : step.experts) {
    const ExpertIndex expert = shape_.index(step.layer, number);
    if (!residency.contains(expert)) {
      missing_.emplace_back(scores_[static_cast<std::size_t>(expert)], expert);
    }
  }
  // Equal scores keep the order of the step.
  std::stable_sort(missing_.begin(), missing_.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  int uploads = 0;
  for (const auto& [score, expert] : missing_) {
    if (uploads == options_.uploads_per_step) return;
    if (residency.used_in_layer(step.layer) < quota) {
      residency.admit(expert);
    } else {
      const ExpertIndex victim = weakest(step, residency);
      if (victim < 0) return;
      if (score <= options_.margin * scores_[static_cast<std::size_t>(victim)]) return;
      residency.replace(victim, expert);
    }
    ++uploads;
  }
}

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> kNames = {"none",      "static", "lru",      "lru-layer",
                                                  "ema",       "path",   "plan+lru", "plan+ema",
                                                  "plan+path", "auto"};
  return kNames;
}

namespace {

void check_options(const ExpertShape& shape, int capacity, const PolicyOptions& options) {
  if (!(options.decay > 0 && options.decay < 1)) {
    fail(ErrorCode::kInvalidArgument, "decay {}: expected a number between 0 and 1", options.decay);
  }
  if (!(options.margin >= 0 && std::isfinite(options.margin))) {
    fail(ErrorCode::kInvalidArgument, "margin {}: expected a number from 0 on", options.margin);
  }
  if (options.uploads_per_step < 0) {
    fail(ErrorCode::kInvalidArgument, "uploads per step {}: expected 0 or more",
         options.uploads_per_step);
  }
  if (options.plan.size() > static_cast<std::size_t>(capacity)) {
    fail(ErrorCode::kInvalidArgument, "a plan of {} experts does not fit {} slots",
         options.plan.size(), capacity);
  }
  std::vector<bool> seen(static_cast<std::size_t>(shape.total()));
  for (const ExpertIndex expert : options.plan) {
    if (expert < 0 || expert >= shape.total()) {
      fail(ErrorCode::kInvalidArgument, "plan: expert {} is outside the {} x {} experts", expert,
           shape.layers, shape.experts);
    }
    if (seen[static_cast<std::size_t>(expert)]) {
      fail(ErrorCode::kInvalidArgument, "plan: layer {} expert {} occurs twice",
           shape.layer_of(expert), shape.expert_of(expert));
    }
    seen[static_cast<std::size_t>(expert)] = true;
  }
}

}  // namespace

const char* to_string(PathGoal goal) {
  return goal == PathGoal::kHits ? "hits" : "time";
}

std::optional<PathGoal> parse_path_goal(const std::string& word) {
  for (const PathGoal goal : {PathGoal::kHits, PathGoal::kTime}) {
    if (word == to_string(goal)) return goal;
  }
  return std::nullopt;
}

std::unique_ptr<Policy> make_policy(const std::string& name, const ExpertShape& shape, int capacity,
                                    const PolicyOptions& options) {
  check_options(shape, capacity, options);
  if (name == "none") return std::make_unique<NonePolicy>();
  if (name == "static") return std::make_unique<StaticPolicy>(options.plan);
  if (name == "lru") return std::make_unique<LruPolicy>(shape, capacity, false);
  if (name == "lru-layer") return std::make_unique<LruPolicy>(shape, capacity, true);
  if (name == "ema") return std::make_unique<EmaPolicy>(shape, capacity, options);
  if (name == "path") return std::make_unique<PathPolicy>(shape, capacity, options);
  if (name == "auto") return std::make_unique<AutoPolicy>(shape, capacity, options);
  Pins pins(shape, options.plan);
  if (name == "plan+lru") {
    return std::make_unique<LruPolicy>(shape, capacity, false, std::move(pins));
  }
  if (name == "plan+ema") {
    return std::make_unique<EmaPolicy>(shape, capacity, options, std::move(pins));
  }
  if (name == "plan+path") {
    return std::make_unique<PathPolicy>(shape, capacity, options, std::move(pins));
  }
  std::string known;
  for (const std::string& each : policy_names()) known += (known.empty() ? "" : ", ") + each;
  fail(ErrorCode::kInvalidArgument, "policy \"{}\": expected one of {}", name, known);
}

}  // namespace haq::experts
