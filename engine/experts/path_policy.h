// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/experts/path_predictor.h"
#include "engine/experts/pins.h"
#include "engine/experts/policies.h"
#include "engine/experts/policy.h"
#include "engine/experts/step_time.h"

namespace haq::experts {

/// Keeps what the paths so far promise. After each step the candidates are the step's misses and
/// the experts that the next layer's step is expected to choose (a prefetch). The worth of an
/// expert is the number of uses that its residency is expected to serve: the chance that the next
/// step of its layer chooses it, where that is known, plus its recent use over a horizon. A
/// candidate takes the place of the least worthy expert of its layer when the difference pays:
///
/// - kTime: the time that the additional hits save is longer than what one more copy adds to this
///   step, max(CPU lane, link + device lane) by the cost table. So a copy is free as long as the
///   CPU lane is the longer one.
/// - kHits: the difference exceeds a price that rises and falls so that copies stay below those of
///   LRU, which is played beside.
class PathPolicy final : public Policy {
 public:
  PathPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options, Pins pins = {});
  std::string name() const override { return pins_.count() > 0 ? "plan+path" : "path"; }
  void start(Residency& residency) override;
  void end_step(const Step& step, Residency& residency) override;

 private:
  struct Candidate {
    ExpertIndex expert = -1;
    float worth = 0;
  };
  /// Of the running step; also updates what a hit saves.
  StepLanes measure(const Step& step, const Residency& residency);
  /// Fills worth_ of the layer's experts; `next`: with the chance that its next step uses them.
  void appraise(int layer, std::span<const float> next);
  void collect(const Step& step, int layer, const Residency& residency);
  /// The least worthy expert of the layer that may go; -1: none. Worth by appraise().
  ExpertIndex weakest(const Step& step, int layer, const Residency& residency) const;
  int quota(int layer) const;

  ExpertShape shape_;
  int capacity_;
  PolicyOptions options_;
  CostTable costs_;
  Pins pins_;
  PathPredictor predictor_;
  double upload_us_;
  double hit_saves_us_;  ///< in a step of one token, running mean
  std::vector<float> worth_;
  std::vector<Candidate> candidates_;
  // kHits
  std::unique_ptr<LruPolicy> reference_;
  std::unique_ptr<Residency> reference_residency_;
  double price_ = 0.3;
  double allowance_ = 0;  ///< copies of LRU less own ones
};

}  // namespace haq::experts
