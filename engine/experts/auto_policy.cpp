// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/auto_policy.h"

#include <algorithm>
#include <cmath>

namespace haq::experts {
namespace {

constexpr double kMemory = 0.998;   ///< weight of a token's time against that of the next
constexpr int kMostForgotten = 64;  ///< tokens: a long prompt does not wipe out what was before
constexpr int kBatchesPerChoice = 8;
constexpr double kLead = 0.005;  ///< share of the recent time that a change must save

PolicyOptions ema(PolicyOptions options, double decay, double margin) {
  options.decay = decay;
  options.margin = margin;
  options.uploads_per_step = 1;
  return options;
}

}  // namespace

AutoPolicy::AutoPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options)
    : shape_(shape),
      capacity_(capacity),
      costs_(usable_costs(options.costs)),
      copy_us_(costs_.upload_us(1)),
      in_use_(static_cast<std::size_t>(shape.experts), 0) {
  PolicyOptions settings = options;
  settings.path_goal = PathGoal::kTime;
  if (!options.plan.empty()) {
    add("plan+path", "plan+path", settings);
    add("plan+ema", "plan+ema", ema(settings, 0.97, 1.5));
    add("plan+lru", "plan+lru", settings);
    add("static", "static", settings);
    settings.plan.clear();
  }
  add("path", "path", settings);
  add("ema", "ema 0.97", ema(settings, 0.97, 1.5));
  add("ema", "ema 0.9", ema(settings, 0.9, 1.5));
  add("ema", "ema 0.99", ema(settings, 0.99, 1.5));
  add("lru", "lru", settings);
  add("lru-layer", "lru-layer", settings);
  add("none", "none", settings);
}

void AutoPolicy::add(const std::string& name, const std::string& label,
                     const PolicyOptions& options) {
  Player player{label, make_policy(name, shape_, capacity_, options),
                std::make_unique<Residency>(shape_, capacity_)};
  player.policy->start(*player.residency);
  player.residency->keep_changes(true);
  players_.push_back(std::move(player));
}

void AutoPolicy::start(Residency& residency) {
  const Residency& wanted = *players_[followed_].residency;
  for (std::int32_t slot = 0; slot < wanted.capacity(); ++slot) {
    if (wanted.occupant(slot) >= 0) residency.admit(wanted.occupant(slot));
  }
}

void AutoPolicy::age(const Step& step) {
  const bool new_batch = step.layer <= last_layer_ || last_layer_ < 0;
  last_layer_ = step.layer;
  if (!new_batch) return;
  const double kept = std::pow(kMemory, std::min(step.tokens, kMostForgotten));
  for (Player& player : players_) player.recent_us *= kept;
  ++since_choice_;
}

void AutoPolicy::end_step(const Step& step, Residency& residency) {
  age(step);
  const StepLanes lanes = step_lanes(step, residency, costs_);
  for (Player& player : players_) {
    player.residency->clear_changes();
    const StepLanes own = step_lanes(step, *player.residency, costs_);
    player.policy->end_step(step, *player.residency);
    player.recent_us += own.us(static_cast<int>(player.residency->changes().size()), copy_us_);
  }
  for (const std::uint16_t expert : step.experts) in_use_[expert] = 1;
  const int copies = mirror(step, residency);
  if (!in_step_with_) catch_up(step, lanes, copies, residency);
  for (const std::uint16_t expert : step.experts) in_use_[expert] = 0;
  if (since_choice_ >= kBatchesPerChoice && step.layer == shape_.layers - 1) {
    since_choice_ = 0;
    choose(residency);
  }
}

int AutoPolicy::mirror(const Step& step, Residency& residency) {
  int copies = 0;
  for (const Residency::Change& change : players_[followed_].residency->changes()) {
    if (residency.contains(change.expert)) continue;
    // A victim may have come back within the step.
    if (!players_[followed_].residency->contains(change.expert)) continue;
    copies += take_over(change.expert, change.victim, step, residency);
  }
  return copies;
}

bool AutoPolicy::take_over(ExpertIndex expert, ExpertIndex preferred_victim, const Step& step,
                           Residency& residency) {
  const Residency& wanted = *players_[followed_].residency;
  const auto may_go = [&](ExpertIndex victim) {
    const bool in_use = shape_.layer_of(victim) == step.layer &&
                        in_use_[static_cast<std::size_t>(shape_.expert_of(victim))] != 0;
    return residency.contains(victim) && !wanted.contains(victim) && !in_use;
  };
  if (preferred_victim >= 0 && may_go(preferred_victim)) {
    residency.replace(preferred_victim, expert);
    return true;
  }
  if (!residency.full()) {
    residency.admit(expert);
    return true;
  }
  for (int i = 0; i < shape_.total(); ++i) {
    next_stale_ = next_stale_ + 1 == shape_.total() ? 0 : next_stale_ + 1;
    if (!may_go(next_stale_)) continue;
    residency.replace(next_stale_, expert);
    return true;
  }
  return false;
}

int AutoPolicy::catch_up(const Step& step, const StepLanes& lanes, int copies,
                         Residency& residency) {
  const Residency& wanted = *players_[followed_].residency;
  int taken = 0;
  // What this step missed is likely to be missed again: one copy even if the link is busy.
  for (const std::uint16_t number : step.experts) {
    const ExpertIndex expert = shape_.index(step.layer, number);
    if (taken == 1 || residency.contains(expert) || !wanted.contains(expert)) continue;
    taken += take_over(expert, -1, step, residency);
  }
  const auto idle = [&] {
    return lanes.us(copies + taken + 1, copy_us_) <= lanes.us(copies + taken, copy_us_);
  };
  for (int i = 0; i < shape_.total() && idle(); ++i) {
    next_missing_ = next_missing_ + 1 == shape_.total() ? 0 : next_missing_ + 1;
    if (!wanted.contains(next_missing_) || residency.contains(next_missing_)) continue;
    if (!take_over(next_missing_, -1, step, residency)) return taken;
    ++taken;
  }
  return taken;
}

void AutoPolicy::choose(const Residency& residency) {
  const auto missing = [&](const Player& player) {
    int count = 0;
    for (std::int32_t slot = 0; slot < capacity_; ++slot) {
      const ExpertIndex expert = player.residency->occupant(slot);
      count += expert >= 0 && !residency.contains(expert);
    }
    return count;
  };
  in_step_with_ = missing(players_[followed_]) == 0;
  const double now = players_[followed_].recent_us;
  std::size_t best = followed_;
  for (std::size_t i = 0; i < players_.size(); ++i) {
    if (players_[i].recent_us < players_[best].recent_us) best = i;
  }
  if (best == followed_) return;
  const double lead = now - players_[best].recent_us;
  if (lead <= kLead * now + missing(players_[best]) * copy_us_) return;
  followed_ = best;
  in_step_with_ = false;
}

}  // namespace haq::experts
