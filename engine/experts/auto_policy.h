// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/experts/policy.h"
#include "engine/experts/step_time.h"

namespace haq::experts {

/// Plays several policies beside the run, each with its own imagined residency, and follows the one
/// whose recent steps took the shortest modelled time: whatever the followed one admits is admitted
/// for real. After a change of mind the residents differ from what the followed policy believes;
/// they are taken over little by little, when an expert is used or the link is idle, and every copy
/// of it counts. A change must promise more than it costs: the other's lead over the time that
/// counts as recent has to exceed the copies that the change needs, and a share of the time itself.
///
/// Begins with plan+path or path, which do without evidence what decayed frequency does.
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
    double recent_us = 0;  ///< modelled time, older batches weigh less
  };

  void add(const std::string& name, const std::string& label, const PolicyOptions& options);
  /// Makes the followed policy's changes real; returns the copies.
  int mirror(const Step& step, Residency& residency);
  /// Takes over residents of the followed policy that are missing; returns the copies.
  int catch_up(const Step& step, const StepLanes& lanes, int copies, Residency& residency);
  /// Admits in place of a resident that the followed policy does not hold; false: there is none
  /// that may go.
  bool take_over(ExpertIndex expert, ExpertIndex preferred_victim, const Step& step,
                 Residency& residency);
  void choose(const Residency& residency);
  void age(const Step& step);

  ExpertShape shape_;
  int capacity_;
  CostTable costs_;
  double copy_us_;
  std::vector<Player> players_;
  std::size_t followed_ = 0;
  bool in_step_with_ = true;          ///< the real residents are the followed policy's
  ExpertIndex next_stale_ = 0;        ///< where the search for a victim goes on
  ExpertIndex next_missing_ = 0;      ///< where the search for a resident to take over goes on
  std::vector<std::uint8_t> in_use_;  ///< by expert of the step's layer
  int last_layer_ = -1;
  int since_choice_ = 0;  ///< batches
};

}  // namespace haq::experts
