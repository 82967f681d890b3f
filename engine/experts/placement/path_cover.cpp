// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/path_cover.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

namespace haq::experts {
namespace {

/// In the place of a rank that was not recorded, so that rows have one width; sorts behind.
constexpr ExpertIndex kNone = 0x7FFFFFFF;

template <typename Visit>
void for_each_token(std::span<const PathPart> parts, std::int64_t stride, const Visit& visit) {
  std::int64_t number = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const Trace& trace = *parts[p].trace;
    for (const auto& [first, last] : parts[p].batches) {
      for (std::size_t i = first; i < last; ++i) {
        const Trace::Batch& batch = trace.batches[i];
        for (std::int64_t t = batch.first_token; t < batch.first_token + batch.tokens; ++t) {
          if (number++ % stride == 0) visit(p, trace, t);
        }
      }
    }
  }
}

}  // namespace

PathSet::PathSet(std::span<const PathPart> parts, int run_layers,
                 std::span<const std::vector<double>> token_weights,
                 const ProgressCallback& progress, const CancelToken& cancel)
    : shape_(parts.front().trace->shape), weights_(token_weights.size()) {
  const std::int64_t per_token =
      std::int64_t{shape_.layers} * shape_.top_k * std::min(run_layers, shape_.layers);
  std::int64_t tokens = 0;
  for (const PathPart& part : parts) tokens += part.tokens;
  const std::int64_t stride = (tokens * per_token + kMaxMembers - 1) / kMaxMembers;
  tokens_ = (tokens + stride - 1) / std::max<std::int64_t>(stride, 1);
  for (int begin = 1 - run_layers; begin < shape_.layers; ++begin) {
    cancel.check();
    if (progress) {
      progress({"reading expert paths", static_cast<std::uint64_t>(begin + run_layers - 1),
                static_cast<std::uint64_t>(shape_.layers + run_layers - 1), "runs of layers"});
    }
    add_run(parts, std::max(begin, 0), std::min(begin + run_layers, shape_.layers), stride,
            token_weights);
  }
}

void PathSet::add_run(std::span<const PathPart> parts, int begin, int end, std::int64_t stride,
                      std::span<const std::vector<double>> token_weights) {
  const auto width = static_cast<std::size_t>(end - begin) * static_cast<std::size_t>(shape_.top_k);
  std::vector<ExpertIndex> rows;
  std::vector<std::uint32_t> part_of;
  rows.reserve(static_cast<std::size_t>(tokens_) * width);
  part_of.reserve(static_cast<std::size_t>(tokens_));
  for_each_token(parts, stride, [&](std::size_t part, const Trace& trace, std::int64_t token) {
    const std::size_t row = rows.size();
    for (int layer = begin; layer < end; ++layer) {
      for (const std::uint16_t expert : trace.choices(token, layer)) {
        rows.push_back(expert == Trace::kAbsent ? kNone : shape_.index(layer, expert));
      }
    }
    std::sort(rows.begin() + static_cast<std::ptrdiff_t>(row), rows.end());
    part_of.push_back(static_cast<std::uint32_t>(part));
  });
  const auto row = [&](std::uint32_t i) { return rows.data() + i * width; };
  std::vector<std::uint32_t> order(part_of.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::lexicographical_compare(row(a), row(a) + width, row(b), row(b) + width);
  });
  for (std::size_t i = 0; i < order.size();) {
    const ExpertIndex* path = row(order[i]);
    std::size_t last = i;
    while (last < order.size() && std::equal(path, path + width, row(order[last]))) ++last;
    if (path[0] != kNone) {
      members_.insert(members_.end(), path, std::find(path, path + width, kNone));
      first_.push_back(members_.size());
      for (std::size_t w = 0; w < weights_.size(); ++w) {
        double sum = 0;
        for (std::size_t j = i; j < last; ++j) sum += token_weights[w][part_of[order[j]]];
        weights_[w].push_back(sum);
      }
    }
    i = last;
  }
}

namespace {

/// Greedy choice with every expert's gain kept exact: a path's members lose gain only in the one or
/// two choices that bring it to its cap, so all updates together touch each path at most twice.
class Cover {
 public:
  Cover(const PathSet& paths, int weighting, double covered_share)
      : paths_(paths),
        weighting_(weighting),
        have_(paths.size(), 0),
        gains_(static_cast<std::size_t>(paths.shape().total()), 0),
        chosen_(gains_.size(), false) {
    // Multiples of 1/256, at least one of them: with weights like those of two_stage.cpp all sums
    // are exact, so equal gains are ties.
    std::size_t longest = 0;
    for (std::size_t path = 0; path < paths.size(); ++path) {
      longest = std::max(longest, paths.members(path).size());
    }
    for (std::size_t size = 0; size <= longest; ++size) {
      caps_.push_back(std::max(1.0, std::rint(256 * covered_share * static_cast<double>(size))) /
                      256);
    }
    std::vector<std::size_t> counts(gains_.size() + 1, 0);
    for (std::size_t path = 0; path < paths.size(); ++path) {
      for (const ExpertIndex e : paths.members(path)) {
        const auto i = static_cast<std::size_t>(e);
        ++counts[i + 1];
        gains_[i] += paths.weight(weighting, path) * worth(path);
      }
    }
    std::partial_sum(counts.begin(), counts.end(), counts.begin());
    first_ = counts;
    holders_.resize(counts.back());
    for (std::size_t path = 0; path < paths.size(); ++path) {
      for (const ExpertIndex e : paths.members(path)) {
        holders_[counts[static_cast<std::size_t>(e)]++] = static_cast<std::uint32_t>(path);
      }
    }
  }

  double gain(ExpertIndex expert) const { return gains_[static_cast<std::size_t>(expert)]; }

  void choose(ExpertIndex expert) {
    const auto index = static_cast<std::size_t>(expert);
    chosen_[index] = true;
    for (std::size_t i = first_[index]; i < first_[index + 1]; ++i) {
      const std::uint32_t path = holders_[i];
      const double before = worth(path);
      ++have_[path];
      const double lost = (before - worth(path)) * paths_.weight(weighting_, path);
      if (lost <= 0) continue;
      for (const ExpertIndex e : paths_.members(path)) {
        if (!chosen_[static_cast<std::size_t>(e)]) gains_[static_cast<std::size_t>(e)] -= lost;
      }
    }
  }

 private:
  /// Credit for one more expert of a path.
  double worth(std::size_t path) const {
    return std::clamp(caps_[paths_.members(path).size()] - have_[path], 0.0, 1.0);
  }

  const PathSet& paths_;
  int weighting_;
  std::vector<double> caps_;         // by size of a path
  std::vector<std::uint16_t> have_;  // experts chosen, by path
  std::vector<double> gains_;
  std::vector<bool> chosen_;
  std::vector<std::size_t> first_;
  std::vector<std::uint32_t> holders_;  // paths by expert
};

}  // namespace

std::vector<ExpertIndex> greedy_cover(const PathSet& paths, int weighting, double covered_share,
                                      int count, const CancelToken& cancel) {
  struct Entry {
    double gain;
    ExpertIndex expert;
    bool operator<(const Entry& other) const {
      return gain != other.gain ? gain < other.gain : expert > other.expert;
    }
  };
  Cover cover(paths, weighting, covered_share);
  std::priority_queue<Entry> heap;
  for (ExpertIndex e = 0; e < paths.shape().total(); ++e) {
    heap.push({cover.gain(e), e});
  }
  std::vector<ExpertIndex> order;
  while (static_cast<int>(order.size()) < count && !heap.empty()) {
    const Entry top = heap.top();
    heap.pop();
    const double now = cover.gain(top.expert);
    if (now <= 0) continue;
    if (now != top.gain) {
      heap.push({now, top.expert});
      continue;
    }
    cancel.check();
    cover.choose(top.expert);
    order.push_back(top.expert);
  }
  return order;
}

}  // namespace haq::experts
