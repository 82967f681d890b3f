// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/replay.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/error.h"
#include "engine/profile/replay_count.h"

namespace haq::profile {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kStepsPerCancelCheck = 1 << 16;

}  // namespace

ReplayCount::ReplayCount(const experts::ExpertShape& shape, const ReplayMachine& machine)
    : machine_(machine),
      cpu_us_(machine.cpu_us ? *machine.cpu_us
                             : machine.expert_bytes / (machine.memory_gb_s * 1e3)),
      accesses_(static_cast<std::size_t>(shape.layers), 0),
      hits_(static_cast<std::size_t>(shape.layers), 0) {}

void ReplayCount::add(int layer, std::int64_t first_token, int tokens, std::size_t accesses,
                      std::size_t hits, std::int64_t uploads) {
  if (first_token != batch_) {
    end_batch();
    batch_ = first_token;
    batch_tokens_ = tokens;
  }
  accesses_[static_cast<std::size_t>(layer)] += static_cast<std::int64_t>(accesses);
  hits_[static_cast<std::size_t>(layer)] += static_cast<std::int64_t>(hits);
  uploads_ += uploads;
  const double cpu = static_cast<double>(accesses - hits) * cpu_us_;
  const double link =
      static_cast<double>(uploads) * machine_.expert_bytes / (machine_.link_gb_s * 1e3);
  batch_us_ += std::max(cpu, link + static_cast<double>(hits) * machine_.gpu_us);
}

void ReplayCount::end_batch() {
  if (batch_tokens_ > 0) {
    const double ms = batch_us_ / 1e3 / batch_tokens_;
    tokens_ += batch_tokens_;
    sum_ += ms * batch_tokens_;
    sum_of_squares_ += ms * ms * batch_tokens_;
  }
  batch_us_ = 0;
  batch_tokens_ = 0;
}

void ReplayCount::finish(ReplayResult& result) {
  end_batch();
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
  result.bytes = static_cast<double>(uploads_) * machine_.expert_bytes;
  result.ms_per_token_mean = sum_ / tokens_;
  result.ms_per_token_std = std::sqrt(std::max(
      0.0, sum_of_squares_ / tokens_ - result.ms_per_token_mean * result.ms_per_token_mean));
}

ReplayResult replay(const Steps& steps, experts::Policy& policy, int capacity,
                    const ReplayOptions& options, const CancelToken& cancel) {
  const auto begin = Clock::now();
  const experts::ExpertShape& shape = steps.shape();
  experts::Residency residency(shape, capacity);
  policy.start(residency);
  residency.reset_counts();
  ReplayCount count(shape, options.machine);
  std::int64_t evictions_before = 0;
  for (std::int64_t index = 0; index < steps.count(); ++index) {
    if (index % kStepsPerCancelCheck == 0) cancel.check();
    const experts::Step step = steps.step(index);
    const experts::ExpertIndex base = shape.index(step.layer, 0);
    std::size_t hits = 0;
    for (const std::uint16_t expert : step.experts) hits += residency.contains(base + expert);
    const std::int64_t uploads = residency.uploads(), evictions = residency.evictions();
    policy.end_step(step, residency);
    if (steps.first_token(index) < options.held_out_from) {
      evictions_before += residency.evictions() - evictions;
      continue;
    }
    count.add(step.layer, steps.first_token(index), step.tokens, step.experts.size(), hits,
              residency.uploads() - uploads);
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
  ReplayCount count(steps.shape(), options.machine);
  for (std::int64_t index = 0; index < steps.count(); ++index) {
    if (steps.first_token(index) < options.held_out_from) continue;
    const experts::Step step = steps.step(index);
    count.add(step.layer, steps.first_token(index), step.tokens, step.experts.size(), 0, 0);
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
  return result;
}

}  // namespace haq::profile
