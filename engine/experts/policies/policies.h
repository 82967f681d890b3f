// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/experts/policies/pins.h"
#include "engine/experts/policies/policy.h"
#include "engine/experts/policies/recency_list.h"

/// The policies without prediction. Rules: see each class. Pinned experts (a plan's) are loaded at
/// the start and never leave; the policy manages the other slots, quotas are shares of those.
namespace haq::experts {

/// Nothing is ever resident.
class NonePolicy final : public Policy {
 public:
  std::string name() const override { return "none"; }
  void end_step(const Step&, Residency&) override {}
};

/// A plan that never changes.
class StaticPolicy final : public Policy {
 public:
  explicit StaticPolicy(std::vector<ExpertIndex> plan) : plan_(std::move(plan)) {}
  std::string name() const override { return "static"; }
  void start(Residency& residency) override;
  void end_step(const Step&, Residency&) override {}

 private:
  std::vector<ExpertIndex> plan_;
};

/// The experts of a step are touched in order: a resident one becomes the most recent, a missing
/// one takes the place of the least recent expert that is not in the step. `per_layer`: inside each
/// layer's quota.
class LruPolicy final : public Policy {
 public:
  LruPolicy(const ExpertShape& shape, int capacity, bool per_layer, Pins pins = {});
  std::string name() const override;
  void start(Residency& residency) override { pins_.admit_to(residency); }
  void end_step(const Step& step, Residency& residency) override;

 private:
  bool room(int list, int layer, const Residency& residency) const;

  ExpertShape shape_;
  int capacity_;
  bool per_layer_;
  Pins pins_;
  RecencyLists recent_;
  std::vector<std::int32_t> in_step_;  ///< by expert: number of the last step it was in
  std::int32_t step_ = 0;
};

/// Decayed frequency per layer. Scores of a layer's experts decay by a factor per token, +1 for
/// each use. A miss runs on the CPU; it is uploaded after the step when the layer's quota has a
/// free slot, or when its score exceeds margin x the lowest score of the layer's residents that are
/// not in the step; best scores first, at most uploads_per_step.
class EmaPolicy final : public Policy {
 public:
  EmaPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options, Pins pins = {});
  std::string name() const override { return pins_.count() > 0 ? "plan+ema" : "ema"; }
  void start(Residency& residency) override { pins_.admit_to(residency); }
  void end_step(const Step& step, Residency& residency) override;

 private:
  void add_uses(const Step& step);
  ExpertIndex weakest(const Step& step, const Residency& residency) const;

  ExpertShape shape_;
  int capacity_;
  PolicyOptions options_;
  Pins pins_;
  /// Instead of decaying all scores, the worth of a use grows; a layer is rescaled before it
  /// overflows. Only ratios within a layer count.
  std::vector<double> scores_;                           ///< by expert
  std::vector<double> worth_;                            ///< of one use, by layer
  std::vector<std::pair<double, ExpertIndex>> missing_;  ///< of the step
};

}  // namespace haq::experts
