// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/cost_model.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>

#include "engine/base/error.h"
#include "engine/experts/runtime/monotone.h"
#include "engine/experts/runtime/runtime.h"

namespace haq::experts {
namespace {

using Clock = std::chrono::steady_clock;
using Knots = std::vector<CostTable::Knot>;

constexpr int kTogether = 4;  // experts of one call: a lane shares its start over about as many,
constexpr std::size_t kAloneBytes = std::size_t{32} << 20;  // but large ones need no company
constexpr int kFewRows = 16;  // below, reading the weights takes the time, not computing
constexpr std::size_t kSetBytes = std::size_t{96} << 20;  // read in turn: more than caches keep
constexpr int kFewestSamples = 3, kMostSamples = 15;
constexpr double kKnotSeconds = 0.06, kLongKnotSeconds = 0.15, kLaneSeconds = 1.2;
constexpr double kLongCallUs = 5e3;  // then every second number of rows has to do

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<int> row_counts(int max_tokens) {
  std::vector<int> counts;
  for (int rows = 1; rows < max_tokens; rows *= 2) counts.push_back(rows);
  counts.push_back(max_tokens);
  return counts;
}

/// Experts of one device, run in turn in calls of `together`.
class Bench {
 public:
  Bench(device::Device& device, std::vector<const device::FfnSpec*> experts,
        const device::SlotLayout& form, int max_tokens)
      : device_(device),
        experts_(std::move(experts)),
        hidden_(form.hidden),
        together_(form.bytes() > kAloneBytes
                      ? 1
                      : std::min<int>(kTogether, static_cast<int>(experts_.size()))),
        input_(device.allocate(bytes(max_tokens))),
        output_(device.allocate(bytes(std::int64_t{max_tokens} * together_))) {
    std::vector<float> values(static_cast<std::size_t>(max_tokens * hidden_));
    std::minstd_rand random(1);
    for (float& value : values) {
      value = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
    }
    device.copy_to_device(input_->data(), values.data(), values.size() * sizeof(float));
    for (int i = 0; i < max_tokens * together_; ++i) numbers_.push_back(i);
  }

  /// One knot per row count, at most; fewer where calls are long or the lane's time is up, but
  /// never fewer than two of several.
  Knots measure(const std::vector<int>& row_counts, const std::function<void()>& between) {
    const Clock::time_point begin = Clock::now();
    Knots knots;
    for (const int rows : row_counts) {
      between();
      if (!knots.empty()) {
        const double growth = rows / knots.back().tokens;
        const double last_us = knots.back().us * together_;
        if (last_us > kLongCallUs && growth < 3 && rows != row_counts.back()) continue;
        // An untimed call and at least one timed.
        const double needed = 2e-6 * last_us * growth;
        if (knots.size() >= 2 && seconds_since(begin) + needed > kLaneSeconds) break;
      }
      knots.push_back({static_cast<double>(rows), expert_us(rows, between)});
    }
    make_monotone(knots);
    return knots;
  }

  /// Reads every expert once, so that none is still on the disk when its time is taken.
  void touch(const std::function<void()>& between) {
    for (std::size_t i = 0; i < experts_.size(); i += static_cast<std::size_t>(together_)) {
      between();
      run(1);
    }
  }

 private:
  std::size_t bytes(std::int64_t rows) const {
    return static_cast<std::size_t>(rows * hidden_) * sizeof(float);
  }

  void run(int rows) {
    const std::span<const std::int32_t> numbers(numbers_);
    const auto count = static_cast<std::size_t>(rows);
    groups_.clear();
    for (int i = 0; i < together_; ++i) {
      groups_.push_back({experts_[next_], numbers.first(count),
                         numbers.subspan(static_cast<std::size_t>(i) * count, count)});
      next_ = (next_ + 1) % experts_.size();
    }
    device_.ffn({static_cast<const float*>(input_->data()), rows, hidden_, hidden_}, groups_,
                {static_cast<float*>(output_->data()), rows * together_, hidden_, hidden_});
    device_.synchronize();
  }

  double expert_us(int rows, const std::function<void()>& between) {
    // With many rows caches matter little, but a device may pack a matrix when it first sees so
    // many: the same few experts again, the first runs untimed.
    const bool few = rows < kFewRows;
    const std::size_t start = next_;
    run(rows);
    const Clock::time_point begin = Clock::now();
    std::vector<double> samples;
    while (samples.empty() ||
           (samples.size() < kMostSamples &&
            seconds_since(begin) <
                (samples.size() < kFewestSamples ? kLongKnotSeconds : kKnotSeconds))) {
      between();
      if (!few) next_ = start;
      const Clock::time_point one = Clock::now();
      run(rows);
      samples.push_back(seconds_since(one) * 1e6 / together_);
    }
    return median(std::move(samples));
  }

  device::Device& device_;
  std::vector<const device::FfnSpec*> experts_;
  std::int64_t hidden_;
  int together_;
  std::unique_ptr<device::Buffer> input_, output_;
  std::vector<std::int32_t> numbers_;
  std::vector<device::FfnGroup> groups_;
  std::size_t next_ = 0;
};

/// The first experts of all layers, then the second ones ..., until they fill kSetBytes.
std::vector<const device::FfnSpec*> experts_to_measure(const nn::Decoder& decoder,
                                                       std::size_t expert_bytes) {
  const std::size_t wanted =
      std::max<std::size_t>(kTogether, kSetBytes / std::max<std::size_t>(expert_bytes, 1) + 1);
  std::vector<const device::FfnSpec*> chosen;
  for (std::size_t expert = 0;; ++expert) {
    const std::size_t before = chosen.size();
    for (int layer = 0; layer < decoder.config().layer_count() && chosen.size() < wanted; ++layer) {
      const std::span<const device::FfnSpec> all = decoder.experts(layer);
      if (expert < all.size()) chosen.push_back(&all[expert]);
    }
    if (chosen.size() == before) return chosen;
  }
}

/// What the link takes for a copy besides its bytes: the device's own account of a few copies.
double copy_fixed_us(const nn::Decoder& decoder, device::SlotDevice& device,
                     device::SlotArena& arena, double copy_bytes,
                     const std::function<void()>& between) {
  const std::vector<const device::FfnSpec*> sources =
      experts_to_measure(decoder, static_cast<std::size_t>(copy_bytes));
  const device::LinkCounts before = device.link();
  for (int slot = 0; slot < arena.slots(); ++slot) {
    between();
    arena.upload(slot, std::make_shared<const device::ExpertWeights>(device::expert_weights(
                           *sources[static_cast<std::size_t>(slot) % sources.size()])));
    arena.ffn(slot);
  }
  const device::LinkCounts after = device.link();
  const double copies = static_cast<double>(after.copies - before.copies);
  if (copies == 0) return 0;
  const double us = (after.busy_us - before.busy_us) / copies;
  return std::max(0.0, us - copy_bytes / (device.link_gb_s() * 1e3));
}

/// Fills in the device lane and the link.
void measure_device(const nn::Decoder& decoder, device::SlotDevice& device,
                    const std::vector<int>& counts, const std::function<void()>& between,
                    CostTable& table) {
  const device::SlotLayout layout = slot_layout_of(decoder);
  const bool modelled = device.modelled_expert_us(layout, 1) > 0;
  table.expert_bytes = static_cast<double>(device.held_form(layout).bytes());
  table.link_gb_s = device.link_gb_s();
  table.source = modelled ? "emulated" : "measured";
  const std::unique_ptr<device::SlotArena> arena =
      device.make_slots(layout, modelled ? 1 : kTogether);
  table.upload_fixed_us = copy_fixed_us(decoder, device, *arena, table.expert_bytes, between);
  if (modelled) {
    for (const int rows : counts) {
      table.device.push_back({static_cast<double>(rows), device.modelled_expert_us(layout, rows)});
    }
    return;
  }
  std::vector<const device::FfnSpec*> experts;
  for (int slot = 0; slot < arena->slots(); ++slot) experts.push_back(&arena->ffn(slot));
  table.device = Bench(device, experts, layout, counts.back()).measure(counts, between);
}

}  // namespace

CostTable measure_costs(nn::Decoder& decoder, device::SlotDevice* device, int max_tokens,
                        const ProgressCallback& progress, const CancelToken& cancel) {
  if (max_tokens < 1 || max_tokens > nn::kMaxStepTokens) {
    fail(ErrorCode::kInvalidArgument, "expert costs for {} tokens, expected 1 to {}", max_tokens,
         nn::kMaxStepTokens);
  }
  const device::SlotLayout layout = slot_layout_of(decoder);
  const std::vector<int> counts = row_counts(max_tokens);
  std::uint64_t calls = 0;
  const std::function<void()> between = [&] {
    cancel.check();
    if (progress) progress({"measuring the cost of experts", ++calls, 0, "calls"});
  };

  CostTable table;
  table.source = "measured";
  table.expert_bytes = static_cast<double>(layout.bytes());
  Bench bench(decoder.device(), experts_to_measure(decoder, layout.bytes()), layout, max_tokens);
  bench.touch(between);
  table.cpu = bench.measure(counts, between);
  if (device == nullptr) {
    table.device = table.cpu;
  } else {
    measure_device(decoder, *device, counts, between, table);
  }
  return table;
}

}  // namespace haq::experts
