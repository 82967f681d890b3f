// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/progress.h"
#include "engine/device/slots.h"
#include "engine/experts/cost_table.h"
#include "engine/nn/decoder.h"

namespace haq::experts {

/// Measures one expert of the decoder on its own device at 1, 2, 4 ... max_tokens rows (medians of
/// several repeats over different experts, so that caches do not flatter; times never fall with
/// more tokens), and, where `device` is given, the device's compute and link: an emulated device
/// states them. Without one its lane is the host's. Stops at fewer tokens when the large numbers
/// take too long: well under two seconds on a desktop. Reports progress. kInvalidArgument for a
/// dense model or numbers outside 1 to nn::kMaxStepTokens, kOutOfMemory when the device cannot hold
/// one expert, kCancelled. The decoder's thread.
CostTable measure_costs(nn::Decoder& decoder, device::SlotDevice* device, int max_tokens,
                        const ProgressCallback& progress = {}, const CancelToken& cancel = {});

/// Collects what a run observed and fits the next run's table.
class CostRefit {
 public:
  explicit CostRefit(const CostTable& frozen);
  /// One lane of one step: the numbers of tokens of its experts, and the time they took together.
  void add_cpu(const std::vector<std::uint16_t>& tokens, double us);
  void add_device(const std::vector<std::uint16_t>& tokens, double us);
  void add_upload(double copies, double us);
  /// The frozen table scaled, knot by knot, by the median of actual / predicted of the observations
  /// near it; observations beyond 3 median absolute deviations are rejected; a knot with fewer than
  /// 16 observations keeps the ratio of its neighbours. A model of an emulated lane is never
  /// refitted.
  CostTable refitted() const;
  std::int64_t observations() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace haq::experts
