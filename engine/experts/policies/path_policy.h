// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/experts/policies/path_predictor.h"
#include "engine/experts/policies/pins.h"
#include "engine/experts/policies/policies.h"
#include "engine/experts/policies/policy.h"
#include "engine/experts/policies/use_value.h"
#include "engine/experts/policies/worth_book.h"
#include "engine/experts/policies/step_time.h"

namespace haq::experts {

/// A predictor that has learned `history` (null: nothing).
std::shared_ptr<PathPredictor> learned_predictor(const ExpertShape& shape, const Trace* history);

/// What `auto` plays in several ways.
struct PathSettings {
  double discount = 0.7;  ///< kTime: weight of a use against one a token earlier
  /// Learned by someone else from the same steps, before each end_step(); null: own one, which
  /// learns PolicyOptions::history beforehand.
  std::shared_ptr<PathPredictor> predictor;
};

/// Keeps what the paths so far promise. The worth of an expert is the number of uses that its
/// residency is expected to serve (UseValue); for the next layer's experts also the chance that the
/// running token chooses them there (PathPredictor). After each step the candidates are the step's
/// misses and the experts that the next step is likely to choose (a prefetch). The best ones take
/// the places of the least worthy residents of any layer as long as the difference pays:
///
/// - kTime: the time that the additional hits save is longer than what one more copy adds to this
///   step, max(CPU lane, link + device lane) by the cost table. So a copy is free as long as the
///   CPU lane is the longer one.
/// - kHits: the difference exceeds a price that rises and falls so that the copies stay below those
///   of LRU, which is played beside.
///
/// 2 to 6 microseconds a step for layers of 32 to 128 experts.
class PathPolicy final : public Policy {
 public:
  PathPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options, Pins pins = {},
             PathSettings settings = {});
  std::string name() const override { return pins_.count() > 0 ? "plan+path" : "path"; }
  void start(Residency& residency) override;
  void end_step(const Step& step, Residency& residency) override;

 private:
  struct Candidate {
    ExpertIndex expert = -1;
    float worth = 0;
  };

  /// The lanes of the running step; keeps the running means.
  StepLanes measure(const Step& step, const Residency& residency);
  /// Enters the worth of a layer's experts into the book; `ahead`, where not empty: their chances
  /// in the next step.
  void appraise(int layer, std::span<const float> ahead, const Residency& residency);
  /// Looks at the step's layer and the next one and lists who might come in, best first.
  void collect(const Step& step, const Residency& residency);
  bool pays(double gain, const StepLanes& lanes, int copies) const;
  /// kHits: plays LRU's step and takes note of its copies.
  void play_reference(const Step& step);
  void adjust_price(int copies);

  ExpertShape shape_;
  bool for_hits_;
  CostTable costs_;
  Pins pins_;
  WorthBook book_;
  std::shared_ptr<PathPredictor> predictor_;
  bool teaches_;  ///< the predictor
  double discount_;
  UseValue::Weights weights_;
  int steps_ = 0;  ///< since the weights were computed
  double copy_us_;
  double hit_saves_us_;  ///< in a step of one token, running mean
  std::vector<float> worth_;
  std::vector<Candidate> candidates_;
  // kHits
  std::unique_ptr<LruPolicy> reference_;
  std::unique_ptr<Residency> reference_residency_;
  double price_;          ///< uses that an additional copy must serve
  double allowance_ = 0;  ///< copies that LRU has made and this policy has not
  double most_allowed_;
};

}  // namespace haq::experts
