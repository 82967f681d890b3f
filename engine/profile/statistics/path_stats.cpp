// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/statistics/path_stats.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "engine/experts/policies/policy.h"
#include "engine/profile/statistics/path_runs.h"

namespace haq::profile {
namespace {

using experts::Trace;

/// Reuse distances are counted one by one up to this many tokens, longer ones together.
constexpr std::size_t kLongestDistance = 1 << 16;

double quantile(const std::vector<std::int64_t>& histogram, std::int64_t total, double q) {
  const auto wanted = static_cast<std::int64_t>(q * static_cast<double>(total - 1));
  std::int64_t below = 0;
  for (std::size_t distance = 0; distance < histogram.size(); ++distance) {
    below += histogram[distance];
    if (below > wanted) return static_cast<double>(distance);
  }
  return 0;
}

/// One layer's figures; a worker keeps the tables from layer to layer.
class LayerCount {
 public:
  LayerCount(const Trace& trace, std::span<const PhaseToken> tokens,
             const PathStatsOptions& options)
      : trace_(trace),
        tokens_(tokens),
        options_(options),
        experts_(static_cast<std::size_t>(trace.shape.experts)) {}

  LayerStats count(int layer) {
    LayerStats stats;
    stats.uses.assign(experts_, 0);
    count_uses(layer, stats);
    load(stats);
    if (layer + 1 < trace_.shape.layers) next_layer(layer, stats);
    return stats;
  }

 private:
  void count_uses(int layer, LayerStats& stats) {
    std::vector<std::int64_t> last_use(experts_, -1), prompt_of(experts_, -1);
    std::vector<std::int64_t> distances(kLongestDistance + 1, 0);
    std::int64_t reuses = 0, first_uses = 0, overlap = 0, overlap_of = 0;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const PhaseToken& token = tokens_[i];
      const bool follows = i > 0 && tokens_[i - 1].prompt == token.prompt;
      for (const std::uint16_t e : trace_.choices(token.token, layer)) {
        if (e == Trace::kAbsent) continue;
        ++stats.uses[e];
        ++stats.choices;
        const bool known = prompt_of[e] == token.prompt;
        if (known) {
          const auto distance = static_cast<std::size_t>(token.place - last_use[e]);
          ++distances[std::min(distance, kLongestDistance)];
          ++reuses;
        } else {
          ++first_uses;
        }
        if (follows) {
          ++overlap_of;
          overlap += known && last_use[e] == tokens_[i - 1].place ? 1 : 0;
        }
      }
      for (const std::uint16_t e : trace_.choices(token.token, layer)) {
        if (e == Trace::kAbsent) continue;
        last_use[e] = token.place;
        prompt_of[e] = token.prompt;
      }
    }
    if (reuses > 0) {
      stats.reuse_p10 = quantile(distances, reuses, 0.1);
      stats.reuse_median = quantile(distances, reuses, 0.5);
      stats.reuse_p90 = quantile(distances, reuses, 0.9);
    }
    if (stats.choices > 0) {
      stats.first_use_share = static_cast<double>(first_uses) / static_cast<double>(stats.choices);
    }
    if (overlap_of > 0) {
      stats.next_token_overlap = static_cast<double>(overlap) / static_cast<double>(overlap_of);
    }
  }

  void load(LayerStats& stats) const {
    if (stats.choices == 0) {
      stats.unused = stats.dead = static_cast<int>(experts_);
      return;
    }
    const auto all = static_cast<double>(stats.choices);
    const double mean = all / static_cast<double>(experts_);
    double squares = 0;
    for (const std::int64_t uses : stats.uses) {
      const auto load = static_cast<double>(uses);
      if (uses == 0) ++stats.unused;
      if (load < options_.dead_share * all) {
        ++stats.dead;
      } else if (load < options_.cold_share * mean) {
        ++stats.cold;
      }
      if (uses > 0) stats.entropy_bits -= load / all * std::log2(load / all);
      stats.max_over_mean = std::max(stats.max_over_mean, load / mean);
      squares += (load - mean) * (load - mean);
    }
    stats.entropy_share =
        experts_ > 1 ? stats.entropy_bits / std::log2(static_cast<double>(experts_)) : 1;
    stats.variation = std::sqrt(squares / static_cast<double>(experts_)) / mean;
  }

  void next_layer(int layer, LayerStats& stats) {
    together_.assign(experts_ * experts_, 0);
    std::vector<double> here(experts_, 0), next(experts_, 0);
    double all = 0;
    for (const PhaseToken& token : tokens_) {
      for (const std::uint16_t e : trace_.choices(token.token, layer)) {
        if (e == Trace::kAbsent) continue;
        for (const std::uint16_t f : trace_.choices(token.token, layer + 1)) {
          if (f != Trace::kAbsent) ++together_[e * experts_ + f];
        }
      }
    }
    for (std::size_t e = 0; e < experts_; ++e) {
      for (std::size_t f = 0; f < experts_; ++f) {
        const double count = together_[e * experts_ + f];
        here[e] += count;
        next[f] += count;
        all += count;
      }
    }
    if (all == 0) return;
    struct Strong {
      double bits;
      std::size_t cell;
    };
    std::vector<Strong> strong;
    double bits = 0;
    for (std::size_t cell = 0; cell < together_.size(); ++cell) {
      if (together_[cell] == 0) continue;
      const double count = together_[cell];
      const double part =
          count / all * std::log2(count * all / (here[cell / experts_] * next[cell % experts_]));
      bits += part;
      strong.push_back({part, cell});
    }
    const auto used = [](const std::vector<double>& sums) {
      return static_cast<double>(
          std::count_if(sums.begin(), sums.end(), [](double s) { return s > 0; }));
    };
    const double bias = (used(here) - 1) * (used(next) - 1) / (2 * std::log(2.0) * all);
    stats.next_layer_bits = std::max(0.0, bits - bias);
    const std::size_t listed =
        std::min(strong.size(), static_cast<std::size_t>(std::max(options_.pairs, 0)));
    std::partial_sort(strong.begin(), strong.begin() + static_cast<std::ptrdiff_t>(listed),
                      strong.end(), [](const Strong& a, const Strong& b) {
                        return a.bits != b.bits ? a.bits > b.bits : a.cell < b.cell;
                      });
    for (std::size_t i = 0; i < listed; ++i) {
      const std::size_t e = strong[i].cell / experts_, f = strong[i].cell % experts_;
      const double count = together_[strong[i].cell];
      stats.pairs.push_back({static_cast<int>(e), static_cast<int>(f),
                             static_cast<std::int64_t>(count), count * all / (here[e] * next[f])});
    }
  }

  const Trace& trace_;
  std::span<const PhaseToken> tokens_;
  const PathStatsOptions& options_;
  std::size_t experts_;
  std::vector<std::uint32_t> together_;  // [expert][expert of the next layer]
};

double hit_rate(const Trace& trace, const std::vector<bool>& resident, std::int64_t begin,
                std::int64_t end) {
  std::int64_t hits = 0, all = 0;
  for (std::int64_t token = begin; token < end; ++token) {
    for (int layer = 0; layer < trace.shape.layers; ++layer) {
      for (const std::uint16_t e : trace.choices(token, layer)) {
        if (e == Trace::kAbsent) continue;
        ++all;
        hits += resident[static_cast<std::size_t>(trace.shape.index(layer, e))] ? 1 : 0;
      }
    }
  }
  return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
}

}  // namespace

std::vector<PhaseToken> tokens_of_phase(const Trace& trace, std::optional<bool> decode) {
  std::vector<PhaseToken> tokens;
  for (const Trace::Batch& batch : trace.batches) {
    if (decode && *decode != batch.decode) continue;
    for (std::int64_t t = batch.first_token; t < batch.first_token + batch.tokens; ++t) {
      tokens.push_back({t, 0, batch.prompt});
    }
  }
  // Within a prompt in order, whatever other prompts ran between.
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const PhaseToken& a, const PhaseToken& b) { return a.prompt < b.prompt; });
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i - 1].prompt == tokens[i].prompt) tokens[i].place = tokens[i - 1].place + 1;
  }
  return tokens;
}

PathStats path_stats(const Trace& trace, std::optional<bool> decode,
                     const PathStatsOptions& options, ThreadPool& pool,
                     const ProgressCallback& progress, const CancelToken& cancel) {
  const std::vector<PhaseToken> tokens = tokens_of_phase(trace, decode);
  PathStats stats;
  stats.tokens = static_cast<std::int64_t>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    stats.prompts += i == 0 || tokens[i - 1].prompt != tokens[i].prompt ? 1 : 0;
  }
  stats.layers.resize(static_cast<std::size_t>(trace.shape.layers));
  std::atomic<std::uint64_t> done{0};
  pool.parallel_dynamic(trace.shape.layers, [&](std::int64_t layer, int thread) {
    cancel.check();
    LayerCount count(trace, tokens, options);
    stats.layers[static_cast<std::size_t>(layer)] = count.count(static_cast<int>(layer));
    const std::uint64_t finished = ++done;
    if (thread == 0 && progress) {
      progress({"counting choices", finished, stats.layers.size(), "layers"});
    }
  });
  for (int run = 2; run <= std::min(3, trace.shape.layers); ++run) {
    stats.runs.push_back(count_runs(trace, tokens, run, options, pool, cancel));
  }
  return stats;
}

PathGrowth path_growth(const Trace& trace, int budget) {
  PathGrowth growth;
  growth.budget = budget;
  const std::int64_t tokens = trace.tokens(), half = tokens / 2;
  std::vector<std::int64_t> uses(static_cast<std::size_t>(trace.shape.total()), 0);
  std::int64_t counted = 0;
  for (const std::int64_t part : {64, 32, 16, 8, 4, 2, 1}) {
    const std::int64_t end = tokens / part;
    if (end <= counted) continue;
    const std::vector<std::int64_t> more = experts::count_uses(trace, counted, end);
    std::transform(uses.begin(), uses.end(), more.begin(), uses.begin(), std::plus<>());
    counted = end;
    PathGrowth::Point point;
    point.tokens = end;
    point.seen_share = static_cast<double>(std::count_if(uses.begin(), uses.end(),
                                                         [](std::int64_t n) { return n > 0; })) /
                       static_cast<double>(uses.size());
    if (end <= half) {
      std::vector<bool> resident(uses.size(), false);
      for (const experts::ExpertIndex e : experts::most_used(trace.shape, uses, budget, false)) {
        resident[static_cast<std::size_t>(e)] = true;
      }
      point.held_out_hit_rate = hit_rate(trace, resident, half, tokens);
      growth.in_sample_hit_rate = hit_rate(trace, resident, 0, end);
    }
    growth.points.push_back(point);
  }
  return growth;
}

}  // namespace haq::profile
