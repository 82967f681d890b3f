// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/statistics/path_runs.h"

#include <algorithm>

namespace haq::profile {
namespace {

using experts::ExpertIndex;
using experts::Trace;

/// In the place of a rank that was not recorded; sorts behind.
constexpr ExpertIndex kNone = 0x7FFFFFFF;

bool more_frequent(const FrequentPath& a, const FrequentPath& b) {
  if (a.count != b.count) return a.count > b.count;
  if (a.first_layer != b.first_layer) return a.first_layer < b.first_layer;
  return a.experts < b.experts;
}

void keep_most_frequent(std::vector<FrequentPath>& paths, int wanted) {
  const std::size_t kept = std::min(paths.size(), static_cast<std::size_t>(std::max(wanted, 0)));
  std::partial_sort(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(kept), paths.end(),
                    more_frequent);
  paths.resize(kept);
}

/// All paths that begin with one layer.
RunStats count_run(const Trace& trace, std::span<const PhaseToken> tokens, std::int64_t stride,
                   int first_layer, int run_layers, int wanted) {
  const auto width =
      static_cast<std::size_t>(run_layers) * static_cast<std::size_t>(trace.shape.top_k);
  struct Row {
    std::uint64_t hash;
    std::uint32_t number;
  };
  std::vector<ExpertIndex> rows;
  std::vector<Row> order;
  for (std::size_t i = 0; i < tokens.size(); i += static_cast<std::size_t>(stride)) {
    const std::size_t begin = rows.size();
    for (int layer = first_layer; layer < first_layer + run_layers; ++layer) {
      for (const std::uint16_t e : trace.choices(tokens[i].token, layer)) {
        rows.push_back(e == Trace::kAbsent ? kNone : trace.shape.index(layer, e));
      }
    }
    std::sort(rows.begin() + static_cast<std::ptrdiff_t>(begin), rows.end());
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (std::size_t j = begin; j < rows.size(); ++j) {
      hash = (hash ^ static_cast<std::uint64_t>(rows[j])) * 1099511628211U;
    }
    order.push_back({hash, static_cast<std::uint32_t>(order.size())});
  }
  // The hash brings equal rows together fast; the rows themselves decide.
  const auto row = [&](const Row& r) { return rows.data() + r.number * width; };
  std::sort(order.begin(), order.end(), [&](const Row& a, const Row& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    return std::lexicographical_compare(row(a), row(a) + width, row(b), row(b) + width);
  });
  RunStats stats;
  for (std::size_t i = 0; i < order.size();) {
    const ExpertIndex* path = row(order[i]);
    std::size_t last = i;
    while (last < order.size() && std::equal(path, path + width, row(order[last]))) ++last;
    const auto count = static_cast<std::int64_t>(last - i);
    i = last;
    if (path[0] == kNone) continue;
    ++stats.distinct;
    stats.total += count;
    if (count < 2) continue;
    stats.repeated += count;
    stats.most_frequent.push_back(
        {first_layer, {path, std::find(path, path + width, kNone)}, count});
    if (stats.most_frequent.size() > 4096) keep_most_frequent(stats.most_frequent, wanted);
  }
  keep_most_frequent(stats.most_frequent, wanted);
  return stats;
}

}  // namespace

RunStats count_runs(const Trace& trace, std::span<const PhaseToken> tokens, int run_layers,
                    const PathStatsOptions& options, ThreadPool& pool, const CancelToken& cancel) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::int64_t most = std::max<std::int64_t>(options.path_tokens, 1);
  const std::int64_t stride = std::max<std::int64_t>((count + most - 1) / most, 1);
  const int runs = trace.shape.layers - run_layers + 1;
  std::vector<RunStats> parts(static_cast<std::size_t>(runs));
  pool.parallel_dynamic(runs, [&](std::int64_t first, int) {
    cancel.check();
    parts[static_cast<std::size_t>(first)] = count_run(
        trace, tokens, stride, static_cast<int>(first), run_layers, options.frequent_paths);
  });
  RunStats all;
  all.run_layers = run_layers;
  all.tokens = (count + stride - 1) / stride;
  for (RunStats& part : parts) {
    all.distinct += part.distinct;
    all.repeated += part.repeated;
    all.total += part.total;
    std::move(part.most_frequent.begin(), part.most_frequent.end(),
              std::back_inserter(all.most_frequent));
  }
  keep_most_frequent(all.most_frequent, options.frequent_paths);
  return all;
}

}  // namespace haq::profile
