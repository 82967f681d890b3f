// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/experts/placement/path_parts.h"

namespace haq::experts {

/// The distinct expert paths of recorded tokens: a path is the set of experts that a token chose in
/// a run of consecutive layers. Runs that reach beyond the first or last layer are cut there, so
/// that every layer lies in the same number of runs.
class PathSet {
 public:
  /// Weights of a token may differ per weighting; `token_weights` [weighting][part]. Of more
  /// choices than fit into kMaxMembers every n-th token is taken.
  PathSet(std::span<const PathPart> parts, int run_layers,
          std::span<const std::vector<double>> token_weights, const ProgressCallback& progress = {},
          const CancelToken& cancel = {});

  static constexpr std::int64_t kMaxMembers = std::int64_t{1} << 24;

  std::size_t size() const { return first_.size() - 1; }
  std::span<const ExpertIndex> members(std::size_t path) const {
    return {members_.data() + first_[path], first_[path + 1] - first_[path]};
  }
  double weight(int weighting, std::size_t path) const {
    return weights_[static_cast<std::size_t>(weighting)][path];
  }
  const ExpertShape& shape() const { return shape_; }
  std::int64_t tokens() const { return tokens_; }  ///< that were looked at

 private:
  void add_run(std::span<const PathPart> parts, int begin, int end, std::int64_t stride,
               std::span<const std::vector<double>> token_weights);

  ExpertShape shape_;
  std::vector<std::size_t> first_{0};
  std::vector<ExpertIndex> members_;
  std::vector<std::vector<double>> weights_;  // [weighting][path]
  std::int64_t tokens_ = 0;
};

/// Experts in the order in which greedy maximum coverage takes them, at most `count`; it ends early
/// when nothing is left to gain. A path of n experts of which j are chosen is worth
/// min(j, covered_share x n): credit in proportion to what is resident, until the path counts as
/// covered. That is a sum of concave functions of set sizes, so monotone and submodular: greedy
/// choice reaches at least 1 - 1/e of the best (Nemhauser, Wolsey, Fisher, 1978), and gains only
/// fall, so a heap of stale gains suffices (Minoux, 1978). Ties to the lower expert.
std::vector<ExpertIndex> greedy_cover(const PathSet& paths, int weighting, double covered_share,
                                      int count, const CancelToken& cancel = {});

}  // namespace haq::experts
