// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/progress.h"
#include "engine/base/threads.h"
#include "engine/experts/trace.h"

/// What recorded expert paths look like: how evenly experts are used, how soon they come back, what
/// one layer's choice says of the next one's.
namespace haq::profile {

struct PathStatsOptions {
  /// Thresholds of a "dead" expert (share of its layer's choices; the name and value are those that
  /// MoEWatch uses) and of a "cold" one (share of the mean load, and not dead).
  double dead_share = 0.001, cold_share = 0.1;
  int pairs = 5;           ///< strongest pairs with the next layer that are listed, per layer
  int frequent_paths = 5;  ///< most frequent paths that are listed, per run length
  /// Paths are counted on every n-th token, so that at most so many are looked at.
  std::int64_t path_tokens = 200000;
};

/// An expert and one of the next layer that tokens choose together.
struct ExpertPair {
  int expert = 0, next = 0;
  std::int64_t count = 0;  ///< tokens that chose both
  double lift = 0;         ///< times more often than if the layers chose independently
};

struct LayerStats {
  std::vector<std::int64_t> uses;  ///< by expert: tokens that chose it
  std::int64_t choices = 0;        ///< their sum
  double entropy_bits = 0;         ///< of the distribution of choices over experts
  double entropy_share = 0;        ///< of log2(experts), its maximum; 1 when there is one expert
  double max_over_mean = 0;        ///< load of the most used expert over the mean load
  double variation = 0;            ///< standard deviation of loads over their mean
  int unused = 0;                  ///< experts that were never chosen; they are dead, too
  int dead = 0, cold = 0;          ///< see PathStatsOptions
  /// Tokens from one use of an expert to its next one within a prompt; 0 where there was none.
  double reuse_p10 = 0, reuse_median = 0, reuse_p90 = 0;
  double first_use_share = 0;  ///< choices whose expert the prompt had not used before
  /// Share of a token's experts that the token before it, in the same prompt, had chosen.
  double next_token_overlap = 0;
  /// Mutual information, in bits, of an expert drawn from a token's choices here and one from its
  /// choices in the next layer, less the bias of a finite sample (Miller, 1955), not below 0.
  double next_layer_bits = 0;
  std::vector<ExpertPair> pairs;  ///< those that add most to it; empty for the last layer
};

struct FrequentPath {
  int first_layer = 0;
  std::vector<experts::ExpertIndex> experts;  ///< ascending, over all layers of the run
  std::int64_t count = 0;
};
struct RunStats {
  int run_layers = 0;
  std::int64_t tokens = 0;    ///< that were looked at
  std::int64_t distinct = 0;  ///< different paths, over all runs of so many layers
  std::int64_t repeated = 0;  ///< occurrences of paths that occur more than once
  std::int64_t total = 0;     ///< occurrences of all paths
  std::vector<FrequentPath> most_frequent;
};

struct PathStats {
  std::int64_t tokens = 0, prompts = 0;
  std::vector<LayerStats> layers;
  std::vector<RunStats> runs;  ///< of 2 and 3 layers, as far as the model has so many
};

/// `decode`: tokens of that phase alone; empty: all. Deterministic, whatever the pool's size. A
/// phase without tokens gives zeros. Throws kCancelled.
PathStats path_stats(const experts::Trace& trace, std::optional<bool> decode,
                     const PathStatsOptions& options, ThreadPool& pool,
                     const ProgressCallback& progress = {}, const CancelToken& cancel = {});

/// How much more tokens still tell: the share of all (layer, expert) that the first n tokens used,
/// and the hit rate on the second half of the tokens of the most used experts of the first n.
struct PathGrowth {
  struct Point {
    std::int64_t tokens = 0;
    double seen_share = 0;
    std::optional<double> held_out_hit_rate;  ///< absent beyond the first half
  };
  std::vector<Point> points;      ///< 1/64, 1/32 ... 1/2, 1 of all tokens
  int budget = 0;                 ///< experts of the plans behind the hit rates
  double in_sample_hit_rate = 0;  ///< of the first half's plan on the first half
};
PathGrowth path_growth(const experts::Trace& trace, int budget);

}  // namespace haq::profile
