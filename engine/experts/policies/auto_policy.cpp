// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/auto_policy.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/experts/policies/path_policy.h"
#include "engine/experts/policies/policies.h"

namespace haq::experts {
namespace {

constexpr double kLatest = 0.97,
                 kMemory = 0.998;   ///< weight of a token's time against that of the next
constexpr int kMostForgotten = 64;  ///< tokens: a long prompt does not wipe out what was before
constexpr int kBatchesPerChoice = 8;
constexpr double kLead = 0.005;    ///< share of the time that a change must save
constexpr double kDeviations = 3;  ///< of the sum of batches, that a lead must exceed

struct EmaSettings {
  double decay, margin;
};
constexpr EmaSettings kEmas[] = {{0.97, 1.5}, {0.9, 1.5}, {0.99, 1.5}};
/// Of path's worth: for a link that is often idle, seldom, never.
constexpr double kDiscounts[] = {0.7, 0.9, 0.97};

}  // namespace

AutoPolicy::AutoPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options)
    : shape_(shape),
      capacity_(capacity),
      costs_(usable_costs(options.costs)),
      copy_us_(costs_.upload_us(1)),
      predictor_(learned_predictor(shape, options.history.get())),
      in_use_(static_cast<std::size_t>(shape.experts), 0) {
  const auto add_family = [&](const PolicyOptions& settings) {
    const std::string prefix = settings.plan.empty() ? "" : "plan+";
    const Pins pins(shape, settings.plan);
    for (const double discount : kDiscounts) {
      add(fmt::format("{}path, discount {}", prefix, discount),
          std::make_unique<PathPolicy>(shape, capacity, settings, pins,
                                       PathSettings{discount, predictor_}));
    }
    for (const auto& [decay, margin] : kEmas) {
      PolicyOptions ema = settings;
      ema.decay = decay;
      ema.margin = margin;
      ema.uploads_per_step = 1;
      add(fmt::format("{}ema, decay {}", prefix, decay),
          std::make_unique<EmaPolicy>(shape, capacity, ema, pins));
    }
    add(prefix + "lru", std::make_unique<LruPolicy>(shape, capacity, false, pins));
  };
  PolicyOptions settings = options;
  settings.path_goal = PathGoal::kTime;
  if (!options.plan.empty()) {
    add_family(settings);
    add("static", std::make_unique<StaticPolicy>(options.plan));
    settings.plan.clear();
  }
  add_family(settings);
  add("lru-layer", std::make_unique<LruPolicy>(shape, capacity, true));
  add("none", std::make_unique<NonePolicy>());
}

void AutoPolicy::add(const std::string& label, std::unique_ptr<Policy> policy) {
  Player player{label, std::move(policy), std::make_unique<Residency>(shape_, capacity_)};
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

void AutoPolicy::restart() {
  for (Player& player : players_) player.lead = player.squares = player.latest = 0;
  followed_us_ = 0;
  since_choice_ = 0;
}

void AutoPolicy::end_batch(int tokens, const Residency& residency) {
  const int age = std::min(tokens, kMostForgotten);
  const double kept = std::pow(kMemory, age), kept_latest = std::pow(kLatest, age);
  const double reference = players_[followed_].batch_us;
  followed_us_ = kept * followed_us_ + reference;
  for (Player& player : players_) {
    const double gained = reference - player.batch_us;
    player.lead = kept * player.lead + gained;
    player.squares = kept * kept * player.squares + gained * gained;
    player.latest = kept_latest * player.latest + gained;
    player.batch_us = 0;
  }
  // A policy that fills its slots more slowly has the lead at first: that is no merit.
  if (!filled_ && (filled_ = players_[followed_].residency->full())) restart();
  if (++since_choice_ >= kBatchesPerChoice) choose(residency);
}

void AutoPolicy::end_step(const Step& step, Residency& residency) {
  if (step.layer <= last_layer_) end_batch(last_tokens_, residency);
  last_layer_ = step.layer;
  last_tokens_ = step.tokens;
  const StepLanes lanes = step_lanes(step, residency, costs_);
  predictor_->add(step);
  for (Player& player : players_) {
    player.residency->clear_changes();
    const StepLanes own = step_lanes(step, *player.residency, costs_);
    player.policy->end_step(step, *player.residency);
    player.batch_us += own.us(static_cast<int>(player.residency->changes().size()), copy_us_);
  }
  for (const std::uint16_t expert : step.experts) in_use_[expert] = 1;
  const int copies = mirror(step, residency);
  if (!in_step_with_) catch_up(step, lanes, copies, residency);
  for (const std::uint16_t expert : step.experts) in_use_[expert] = 0;
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
  std::size_t best = followed_;
  double most = 0;
  for (std::size_t i = 0; i < players_.size(); ++i) {
    const Player& player = players_[i];
    const double sure = player.lead - kDeviations * std::sqrt(player.squares) -
                        kLead * followed_us_ - missing(player) * copy_us_;
    if (player.latest <= 0 || sure <= most) continue;
    best = i;
    most = sure;
  }
  since_choice_ = 0;
  if (best == followed_) return;
  followed_ = best;
  in_step_with_ = false;
  restart();
}

}  // namespace haq::experts
