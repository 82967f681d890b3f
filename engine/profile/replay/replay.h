// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/experts/dispatch.h"
#include "engine/experts/policies/policy.h"
#include "engine/profile/traces/trace.h"

namespace haq::profile {

/// The machine a replay models. Time of a step = max(CPU lane, uploads / link + device lane), where
/// the CPU lane computes the misses and the device lane the hits; a token's time is the sum over
/// its layers.
struct ReplayMachine {
  double memory_gb_s = 60, link_gb_s = 25;  ///< 1e9 bytes per second
  double expert_bytes = 0;
  std::optional<double> cpu_us;  ///< of one expert; else expert_bytes / memory_gb_s
  double gpu_us = 0;             ///< of one expert

  /// The same as the table that policies decide by.
  experts::CostTable costs() const;
};

/// Models every step as the live runtime does, instead of by ReplayMachine's rule: the dispatcher
/// chooses lanes by the table.
struct ReplayDispatch {
  experts::CostTable costs;
  experts::MissMode miss = experts::MissMode::kAuto;
};

struct ReplayOptions {
  std::int64_t held_out_from = 0;  ///< tokens before train and warm, later ones are counted
  ReplayMachine machine;
  std::optional<ReplayDispatch> dispatch;  ///< only replay() looks at it
  /// Counted tokens per ReplayResult::Block, 0: none are kept.
  std::int64_t block_tokens = 0;
};

/// What one policy did with one capacity, over the counted tokens.
struct ReplayResult {
  std::string policy;
  int capacity = 0;
  bool in_sample = false;  ///< trained on the tokens it was counted on
  std::int64_t accesses = 0, hits = 0, uploads = 0, evictions = 0;
  std::int64_t streamed = 0;  ///< copies for one step only; 0 without ReplayOptions::dispatch
  double hit_rate = 0;
  std::vector<double> per_layer_hit_rate;
  double per_layer_std = 0;  ///< population standard deviation between layers
  double bytes = 0;          ///< uploaded and streamed
  double ms_per_token_mean = 0, ms_per_token_std = 0;  ///< modelled; std between tokens
  double seconds = 0;                                  ///< the replay itself
  /// Sums over consecutive counted tokens, for intervals that respect what neighbours share.
  struct Block {
    std::int64_t tokens = 0, accesses = 0, hits = 0, uploads = 0;
    double ms = 0;  ///< modelled
  };
  std::vector<Block> blocks;
};

/// Drives `policy` through the steps with `capacity` slots. Throws kCancelled; kInvalidArgument
/// when nothing is left to count.
ReplayResult replay(const Steps& steps, experts::Policy& policy, int capacity,
                    const ReplayOptions& options, const CancelToken& cancel = {});

/// The optimum of a cache that is filled on demand: starts empty; after each step keeps the
/// `capacity` experts of residents and step whose next use is nearest (ties: residents, then the
/// lower index). Uploads are missing experts still kept after the step. `must_admit`: every missing
/// expert is taken in as long as a resident outside the step can make room.
ReplayResult replay_belady(const Steps& steps, int capacity, bool must_admit,
                           const ReplayOptions& options, const CancelToken& cancel = {});

/// A random set of experts: hit rate = capacity / experts.
ReplayResult uniform_expectation(const Steps& steps, int capacity, const ReplayOptions& options);

}  // namespace haq::profile
