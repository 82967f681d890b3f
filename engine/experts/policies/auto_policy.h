// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/experts/policies/path_predictor.h"
#include "engine/experts/policies/policy.h"
#include "engine/experts/policies/step_time.h"

namespace haq::experts {

/// Plays several policies beside the run (path and ema in several settings, lru, lru-layer, none;
/// with a plan the same beside it), each with its own imagined residency, and follows one: whatever
/// the followed one admits is admitted for real. After a change of mind the residents differ from
/// what the followed policy believes; they are taken over little by little, when an expert is used
/// or the link is idle, and every copy counts. A change must promise more than it costs: the lead
/// in modelled time over the batches that count as recent has to exceed the copies that the change
/// needs, what chance explains, and a small share of the time itself.
///
/// Begins with plan+path or path. 4 to 10 microseconds a step for layers of 32 to 128
/// experts.
class AutoPolicy final : public Policy {
 public:
  AutoPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options);
  std::string name() const override { return "auto"; }
  void start(Residency& residency) override;
  void end_step(const Step& step, Residency& residency) override;
  /// The policy followed now.
  const std::string& following() const { return players_[followed_].label; }

 private:
  struct Player {
    std::string label;
    std::unique_ptr<Policy> policy;
    std::unique_ptr<Residency> residency;
    double batch_us = 0;  ///< modelled time of the running batch
    /// What it was faster than the followed policy since that is followed, in microseconds; the
    /// sum of squares over batches; and the same over the latest batches. Older ones weigh less.
    double lead = 0, squares = 0, latest = 0;
  };

  void add(const std::string& label, std::unique_ptr<Policy> policy);
  /// Makes the followed policy's changes real; returns the copies.
  int mirror(const Step& step, Residency& residency);
  /// Takes over residents of the followed policy that are missing; returns the copies.
  int catch_up(const Step& step, const StepLanes& lanes, int copies, Residency& residency);
  /// Admits in place of a resident that the followed policy does not hold; false: there is none
  /// that may go.
  bool take_over(ExpertIndex expert, ExpertIndex preferred_victim, const Step& step,
                 Residency& residency);
  void choose(const Residency& residency);
  void end_batch(int tokens, const Residency& residency);
  void restart();

  ExpertShape shape_;
  int capacity_;
  CostTable costs_;
  double copy_us_;
  std::shared_ptr<PathPredictor> predictor_;  ///< of all the players of path
  std::vector<Player> players_;
  std::size_t followed_ = 0;
  bool in_step_with_ = true;          ///< the real residents are the followed policy's
  ExpertIndex next_stale_ = 0;        ///< where the search for a victim goes on
  ExpertIndex next_missing_ = 0;      ///< where the search for a resident to take over goes on
  std::vector<std::uint8_t> in_use_;  ///< by expert of the step's layer
  int last_layer_ = -1, last_tokens_ = 0;
  bool filled_ = false;     ///< the followed policy has filled its slots
  double followed_us_ = 0;  ///< of recent batches, as lead is
  int since_choice_ = 0;    ///< batches
};

}  // namespace haq::experts
