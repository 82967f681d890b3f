// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/two_stage.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "engine/base/error.h"
#include "engine/experts/placement/path_cover.h"
#include "engine/experts/placement/path_parts.h"

namespace haq::experts {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDraws = 400;             // resamples behind a standard error
constexpr double kSharesTried = 10;     // 0, 1/10 ... 1
constexpr double kShareUntested = 0.8;  // where there is too little to hold back

using Weights = std::vector<double>;  // of one token, by part

/// The weightings that the options leave open, by name.
std::vector<std::string> weightings(const PlacementOptions& options) {
  if (options.weighting == "auto") return {"tokens", "prompts"};
  return {options.weighting};
}

/// 1, or the mean length of a part over its own. Multiples of 2^-20, so that sums stay exact and
/// equal gains are ties.
Weights token_weights(std::span<const PathPart> parts, const std::string& weighting) {
  double tokens = 0;
  for (const PathPart& part : parts) tokens += static_cast<double>(part.tokens);
  const double mean = tokens / static_cast<double>(parts.size());
  constexpr double kUnit = 1 << 20;
  Weights weights;
  for (const PathPart& part : parts) {
    const bool even = weighting == "tokens" || part.tokens == 0;
    weights.push_back(even ? 1.0
                           : std::rint(kUnit * mean / static_cast<double>(part.tokens)) / kUnit);
  }
  return weights;
}

/// What the training part says, per weighting: the order of stage 1 and the uses of experts.
struct Knowledge {
  std::vector<std::vector<ExpertIndex>> order;
  std::vector<std::vector<double>> uses;  // by expert
  std::int64_t path_tokens = 0;
};

Knowledge learn(std::span<const PathPart> parts, std::span<const PartAccesses> accesses,
                const PlacementOptions& options, const ProgressCallback& progress,
                const CancelToken& cancel) {
  std::vector<Weights> weights;
  for (const std::string& name : weightings(options)) {
    weights.push_back(token_weights(parts, name));
  }
  const PathSet paths(parts, options.run_layers, weights, progress, cancel);
  Knowledge known;
  known.path_tokens = paths.tokens();
  for (std::size_t w = 0; w < weights.size(); ++w) {
    known.order.push_back(
        greedy_cover(paths, static_cast<int>(w), options.covered_share, options.budget, cancel));
    std::vector<double> uses(static_cast<std::size_t>(paths.shape().total()), 0);
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (const auto& [expert, count] : accesses[part].uses) {
        uses[static_cast<std::size_t>(expert)] += weights[w][part] * count;
      }
    }
    known.uses.push_back(std::move(uses));
  }
  return known;
}

/// Stage 2: the layer with the lowest expected hit rate gets its most used absent expert, until
/// `budget` are pinned.
class Supplement {
 public:
  Supplement(const ExpertShape& shape, const std::vector<double>& uses,
             std::vector<Plan::Pin>& pinned)
      : shape_(shape),
        uses_(uses),
        pinned_(pinned),
        layers_(static_cast<std::size_t>(shape.layers)) {
    std::vector<bool> resident(uses.size(), false);
    for (const Plan::Pin& pin : pinned) {
      resident[static_cast<std::size_t>(shape.index(pin.layer, pin.expert))] = true;
    }
    for (int number = 0; number < shape.layers; ++number) {
      Layer& layer = layers_[static_cast<std::size_t>(number)];
      for (ExpertIndex e = shape.index(number, 0); e < shape.index(number + 1, 0); ++e) {
        layer.all += use(e);
        if (resident[static_cast<std::size_t>(e)]) {
          layer.hits += use(e);
        } else {
          layer.absent.push_back(e);
        }
      }
      std::stable_sort(layer.absent.begin(), layer.absent.end(),
                       [&](ExpertIndex a, ExpertIndex b) { return use(a) > use(b); });
    }
  }

  void fill(int budget) {
    struct Entry {
      double rate;
      int layer;
      bool operator<(const Entry& other) const {
        return rate != other.rate ? rate > other.rate : layer > other.layer;
      }
    };
    std::priority_queue<Entry> weakest;
    const auto offer = [&](int number) {
      const Layer& layer = layers_[static_cast<std::size_t>(number)];
      // A layer that no path shows comes last: nothing is expected of it.
      const double rate = layer.all > 0 ? layer.hits / layer.all : 1.0;
      if (layer.next < layer.absent.size()) weakest.push({rate, number});
    };
    for (int number = 0; number < shape_.layers; ++number) offer(number);
    while (static_cast<int>(pinned_.size()) < budget && !weakest.empty()) {
      const int number = weakest.top().layer;
      weakest.pop();
      Layer& layer = layers_[static_cast<std::size_t>(number)];
      const ExpertIndex expert = layer.absent[layer.next++];
      layer.hits += use(expert);
      pinned_.push_back({number, shape_.expert_of(expert), 2});
      offer(number);
    }
  }

 private:
  struct Layer {
    double hits = 0, all = 0;
    std::vector<ExpertIndex> absent;  // most used first
    std::size_t next = 0;
  };
  double use(ExpertIndex e) const { return uses_[static_cast<std::size_t>(e)]; }

  ExpertShape shape_;
  const std::vector<double>& uses_;
  std::vector<Plan::Pin>& pinned_;
  std::vector<Layer> layers_;
};

std::vector<Plan::Pin> both_stages(const ExpertShape& shape, const Knowledge& known,
                                   std::size_t weighting, double share, int budget) {
  const auto first = static_cast<std::size_t>(share * budget + 1e-9);
  const std::vector<ExpertIndex>& order = known.order[weighting];
  std::vector<Plan::Pin> pinned;
  for (std::size_t i = 0; i < std::min(first, order.size()); ++i) {
    pinned.push_back({shape.layer_of(order[i]), shape.expert_of(order[i]), 1});
  }
  Supplement(shape, known.uses[weighting], pinned).fill(budget);
  return pinned;
}

/// One way to split the budget and what it does on the part held back.
struct Candidate {
  std::size_t weighting = 0;
  double share = 0;
  std::vector<double> hits;  // by part
  double hit_rate = 0, per_layer_std = 0;
};

class Validation {
 public:
  Validation(const ExpertShape& shape, std::span<const PartAccesses> parts)
      : shape_(shape), parts_(parts), draws_(resamples(parts.size(), kDraws)) {
    for (const PartAccesses& part : parts) total_ += static_cast<double>(part.total);
  }
  double total() const { return total_; }

  void measure(const std::vector<Plan::Pin>& pinned, Candidate& candidate) const {
    std::vector<bool> resident(static_cast<std::size_t>(shape_.total()), false);
    for (const Plan::Pin& pin : pinned) {
      resident[static_cast<std::size_t>(shape_.index(pin.layer, pin.expert))] = true;
    }
    const auto layers = static_cast<std::size_t>(shape_.layers);
    std::vector<double> hits(layers, 0), all(layers, 0);
    double sum = 0;
    for (const PartAccesses& part : parts_) {
      double part_hits = 0;
      for (const auto& [expert, uses] : part.uses) {
        const auto layer = static_cast<std::size_t>(shape_.layer_of(expert));
        all[layer] += uses;
        if (!resident[static_cast<std::size_t>(expert)]) continue;
        hits[layer] += uses;
        part_hits += uses;
      }
      candidate.hits.push_back(part_hits);
      sum += part_hits;
    }
    candidate.hit_rate = sum / total_;
    double mean = 0, squares = 0;
    for (std::size_t l = 0; l < layers; ++l) {
      const double rate = all[l] > 0 ? hits[l] / all[l] : 0;
      mean += rate / static_cast<double>(layers);
      squares += rate * rate / static_cast<double>(layers);
    }
    candidate.per_layer_std = std::sqrt(std::max(0.0, squares - mean * mean));
  }

  /// Standard error of the difference of two hit rates.
  double error_of_difference(const Candidate& a, const Candidate& b) const {
    double sum = 0, squares = 0;
    int counted = 0;
    for (const std::vector<std::uint32_t>& draw : draws_) {
      double difference = 0, all = 0;
      for (const std::uint32_t part : draw) {
        difference += a.hits[part] - b.hits[part];
        all += static_cast<double>(parts_[part].total);
      }
      if (all == 0) continue;
      ++counted;
      sum += difference / all;
      squares += difference / all * (difference / all);
    }
    if (counted < 2) return 0;
    const double mean = sum / counted;
    return std::sqrt(std::max(0.0, squares / counted - mean * mean));
  }

 private:
  ExpertShape shape_;
  std::span<const PartAccesses> parts_;
  std::vector<std::vector<std::uint32_t>> draws_;
  double total_ = 0;
};

/// The least spread among those that are as good as the best one, as far as the error tells.
const Candidate& choose(const std::vector<Candidate>& candidates, const Validation& validation) {
  const auto best =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const auto& a, const auto& b) { return a.hit_rate < b.hit_rate; });
  const Candidate* chosen = &*best;
  for (const Candidate& candidate : candidates) {
    const double behind = best->hit_rate - candidate.hit_rate;
    if (candidate.per_layer_std < chosen->per_layer_std &&
        behind <= validation.error_of_difference(*best, candidate)) {
      chosen = &candidate;
    }
  }
  return *chosen;
}

/// Number of parts before the last `share` of all tokens; 0 when one side would be empty.
std::size_t fitting_parts(std::span<const PathPart> parts, double share) {
  std::int64_t tokens = 0, so_far = 0;
  for (const PathPart& part : parts) tokens += part.tokens;
  std::size_t count = 0;
  while (count < parts.size() && static_cast<double>(so_far + parts[count].tokens) <=
                                     (1 - share) * static_cast<double>(tokens) + 1e-9) {
    so_far += parts[count++].tokens;
  }
  return count == parts.size() ? 0 : count;
}

std::vector<double> shares_to_try(const PlacementOptions& options) {
  if (options.stage1_share) return {*options.stage1_share};
  std::vector<double> shares;
  for (int i = 0; i <= kSharesTried; ++i) shares.push_back(1 - i / kSharesTried);
  return shares;
}

}  // namespace

struct TwoStagePlacer::Impl {
  ExpertShape shape;
  PlacementOptions options;
  std::vector<std::string> names;  // of the weightings
  std::vector<PathPart> parts;
  std::vector<PartAccesses> accesses;
  std::size_t fitting = 0;  // parts before the validation part; 0: nothing is held back
  Knowledge from_fitting, from_all;

  /// The best candidate; `tried` tells how all of them did.
  Candidate choose_split(int budget, Json& tried, const CancelToken& cancel) const {
    Candidate choice;
    choice.share = options.stage1_share.value_or(kShareUntested);
    if (fitting == 0) return choice;
    const std::span<const PartAccesses> counted(accesses);
    const Validation validation(shape, counted.subspan(fitting));
    if (validation.total() <= 0) return choice;
    std::vector<Candidate> candidates;
    tried = {{"parts", parts.size() - fitting}, {"candidates", Json::array()}};
    for (std::size_t w = 0; w < names.size(); ++w) {
      for (const double share : shares_to_try(options)) {
        cancel.check();
        Candidate candidate{w, share, {}, 0, 0};
        validation.measure(both_stages(shape, from_fitting, w, share, budget), candidate);
        tried["candidates"].push_back({{"weighting", names[w]},
                                       {"stage1_share", share},
                                       {"hit_rate", candidate.hit_rate},
                                       {"per_layer_std", candidate.per_layer_std}});
        candidates.push_back(std::move(candidate));
      }
    }
    return choose(candidates, validation);
  }
};

TwoStagePlacer::TwoStagePlacer(std::span<const Trace* const> paths, const PlacementOptions& options,
                               const ProgressCallback& progress, const CancelToken& cancel) {
  check_placement(paths, options);
  auto impl = std::make_unique<Impl>();
  impl->shape = paths.front()->shape;
  impl->options = options;
  impl->names = weightings(options);
  impl->parts = path_parts(paths);
  for (const PathPart& part : impl->parts) {
    cancel.check();
    impl->accesses.push_back(count_accesses(part));
    if (progress) {
      progress({"counting accesses", impl->accesses.size(), impl->parts.size(), "prompts"});
    }
  }
  const std::span<const PathPart> parts(impl->parts);
  const std::span<const PartAccesses> accesses(impl->accesses);
  if (!options.stage1_share || impl->names.size() > 1) {
    impl->fitting = fitting_parts(parts, options.validation);
  }
  if (impl->fitting > 0) {
    impl->from_fitting =
        learn(parts.first(impl->fitting), accesses.first(impl->fitting), options, progress, cancel);
  }
  impl->from_all = learn(parts, accesses, options, progress, cancel);
  impl_ = std::move(impl);
}

TwoStagePlacer::~TwoStagePlacer() = default;

Plan TwoStagePlacer::plan(int budget, const CancelToken& cancel) const {
  if (budget < 0 || budget > impl_->options.budget) {
    fail(ErrorCode::kInvalidArgument, "budget is {}, expected 0 to {} experts", budget,
         impl_->options.budget);
  }
  Json tried = nullptr;
  const Candidate choice = impl_->choose_split(budget, tried, cancel);
  Plan plan;
  plan.shape = impl_->shape;
  plan.budget_experts = budget;
  plan.strategy = "two-stage";
  plan.pinned = both_stages(plan.shape, impl_->from_all, choice.weighting, choice.share, budget);
  plan.scores = Json::object();
  plan.scores["stage1_share"] = choice.share;
  plan.scores["stage1_experts"] = std::count_if(plan.pinned.begin(), plan.pinned.end(),
                                                [](const auto& pin) { return pin.stage == 1; });
  plan.scores["weighting"] = impl_->names[choice.weighting];
  plan.scores["run_layers"] = impl_->options.run_layers;
  plan.scores["covered_share"] = impl_->options.covered_share;
  plan.scores["path_tokens"] = impl_->from_all.path_tokens;
  plan.scores["validation"] = tried;
  return plan;
}

}  // namespace haq::experts
