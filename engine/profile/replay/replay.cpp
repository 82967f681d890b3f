// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/replay/replay.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/error.h"
#include "engine/profile/replay/replay_count.h"

namespace haq::profile {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kStepsPerCancelCheck = 1 << 16;

}  // namespace

experts::CostTable ReplayMachine::costs() const {
  return experts::CostTable::stated(cpu_us ? *cpu_us : expert_bytes / (memory_gb_s * 1e3), gpu_us,
                                    link_gb_s, expert_bytes);
}

ReplayCount::ReplayCount(const experts::ExpertShape& shape, const ReplayOptions& options)
    : costs_(options.machine.costs()),
      copy_bytes_(options.dispatch ? options.dispatch->costs.expert_bytes
                                   : options.machine.expert_bytes),
      accesses_(static_cast<std::size_t>(shape.layers), 0),
      hits_(static_cast<std::size_t>(shape.layers), 0),
      block_tokens_(options.block_tokens) {}

void ReplayCount::add(const Counted& step) {
  // A stated table: an expert's time does not depend on its number of tokens.
  const double cpu = static_cast<double>(step.accesses - step.hits) * costs_.cpu_us(1);
  const double device = static_cast<double>(step.hits) * costs_.device_us(1);
  add(step, std::max(cpu, costs_.upload_us(static_cast<double>(step.uploads)) + device));
}

void ReplayCount::add(const Counted& step, double step_us) {
  if (step.first_token != batch_) {
    batch_ = step.first_token;
    time_.begin_batch(step.tokens);
    if (block_tokens_ > 0) {
      if (blocks_.empty() || blocks_.back().tokens >= block_tokens_) blocks_.emplace_back();
      blocks_.back().tokens += step.tokens;
    }
  }
  accesses_[static_cast<std::size_t>(step.layer)] += static_cast<std::int64_t>(step.accesses);
  hits_[static_cast<std::size_t>(step.layer)] += static_cast<std::int64_t>(step.hits);
  uploads_ += step.uploads;
  streamed_ += step.streamed;
  time_.add(step_us);
  if (block_tokens_ == 0) return;
  ReplayResult::Block& block = blocks_.back();
  block.accesses += static_cast<std::int64_t>(step.accesses);
  block.hits += static_cast<std::int64_t>(step.hits);
  block.uploads += step.uploads;
  block.ms += step_us / 1e3;
}

void ReplayCount::finish(ReplayResult& result) {
  double sum = 0, squares = 0, layers = 0;
  for (std::size_t layer = 0; layer < accesses_.size(); ++layer) {
    result.accesses += accesses_[layer];
    result.hits += hits_[layer];
    const double rate = accesses_[layer] == 0 ? 0
                                              : static_cast<double>(hits_[layer]) /
                                                    static_cast<double>(accesses_[layer]);
    result.per_layer_hit_rate.push_back(rate);
    if (accesses_[layer] == 0) continue;
    sum += rate;
    squares += rate * rate;
    ++layers;
  }
  if (result.accesses == 0) {
    fail(ErrorCode::kInvalidArgument, "no recorded step is left to count behind the held-out mark");
  }
  result.hit_rate = static_cast<double>(result.hits) / static_cast<double>(result.accesses);
  result.per_layer_std =
      std::sqrt(std::max(0.0, squares / layers - (sum / layers) * (sum / layers)));
  result.uploads = uploads_;
  result.streamed = streamed_;
  result.bytes = static_cast<double>(uploads_ + streamed_) * copy_bytes_;
  result.ms_per_token_mean = time_.mean_ms();
  result.ms_per_token_std = time_.std_ms();
  result.blocks = std::move(blocks_);
}

namespace {

/// Which experts of a step are resident.
void look_up(const experts::Step& step, const experts::Residency& residency,
             std::vector<std::uint8_t>& resident) {
  resident.resize(step.experts.size());
  const experts::ExpertIndex base = residency.shape().index(step.layer, 0);
  for (std::size_t i = 0; i < resident.size(); ++i) {
    resident[i] = residency.contains(base + step.experts[i]);
  }
}

/// The steps of a replay as the live runtime would run them.
class Dispatched {
 public:
  explicit Dispatched(const ReplayDispatch& options) : options_(options) {}

  /// Returns the hits.
  std::size_t begin(const experts::Step& step, const experts::Residency& residency) {
    look_up(step, residency, before_);
    return static_cast<std::size_t>(std::count(before_.begin(), before_.end(), 1));
  }
  const experts::Dispatch& end(const experts::Step& step, const experts::Residency& residency,
                               std::int64_t uploads) {
    look_up(step, residency, after_);
    experts::dispatch(step, before_, after_, static_cast<int>(uploads), options_.costs,
                      options_.miss, true, result_);
    return result_;
  }

 private:
  const ReplayDispatch& options_;
  std::vector<std::uint8_t> before_, after_;
  experts::Dispatch result_;
};

}  // namespace

ReplayResult replay(const Steps& steps, experts::Policy& policy, int capacity,
                    const ReplayOptions& options, const CancelToken& cancel) {
  const auto begin = Clock::now();
  const experts::ExpertShape& shape = steps.shape();
  experts::Residency residency(shape, capacity);
  policy.start(residency);
  residency.reset_counts();
  ReplayCount count(shape, options);
  std::optional<Dispatched> dispatched;
  if (options.dispatch) dispatched.emplace(*options.dispatch);
  std::int64_t evictions_before = 0;
  for (std::int64_t index = 0; index < steps.count(); ++index) {
    if (index % kStepsPerCancelCheck == 0) cancel.check();
    const experts::Step step = steps.step(index);
    ReplayCount::Counted counted{step.layer, steps.first_token(index), step.tokens,
                                 step.experts.size()};
    if (dispatched) {
      counted.hits = dispatched->begin(step, residency);
    } else {
      const experts::ExpertIndex base = shape.index(step.layer, 0);
      for (const std::uint16_t expert : step.experts) {
        counted.hits += residency.contains(base + expert);
      }
    }
    const std::int64_t uploads = residency.uploads(), evictions = residency.evictions();
    policy.end_step(step, residency);
    if (counted.first_token < options.held_out_from) {
      evictions_before += residency.evictions() - evictions;
      continue;
    }
    counted.uploads = residency.uploads() - uploads;
    if (!dispatched) {
      count.add(counted);
      continue;
    }
    const experts::Dispatch& lanes = dispatched->end(step, residency, counted.uploads);
    counted.streamed = lanes.streamed;
    count.add(counted, lanes.step_us());
  }
  ReplayResult result;
  result.policy = policy.name();
  result.capacity = capacity;
  result.evictions = residency.evictions() - evictions_before;
  count.finish(result);
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return result;
}

ReplayResult uniform_expectation(const Steps& steps, int capacity, const ReplayOptions& options) {
  // Expected hits of a set drawn at random; no time is modelled, because the maximum over lanes
  // is not linear in the hits.
  ReplayCount count(steps.shape(), options);
  for (std::int64_t index = 0; index < steps.count(); ++index) {
    if (steps.first_token(index) < options.held_out_from) continue;
    const experts::Step step = steps.step(index);
    count.add({step.layer, steps.first_token(index), step.tokens, step.experts.size()});
  }
  ReplayResult result;
  count.finish(result);
  result.policy = "uniform";
  result.capacity = capacity;
  result.hit_rate = static_cast<double>(capacity) / steps.shape().total();
  result.hits = std::llround(result.hit_rate * static_cast<double>(result.accesses));
  for (double& rate : result.per_layer_hit_rate) rate = result.hit_rate;
  result.per_layer_std = 0;
  result.ms_per_token_mean = result.ms_per_token_std = 0;
  result.blocks.clear();  // they hold no hits
  return result;
}

}  // namespace haq::profile
