// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace haq::session {

namespace {
constexpr std::size_t kBlock = 64;
constexpr std::size_t kEnough = 20;
}  // namespace

MeanStd mean_std(std::span<const double> values) {
  MeanStd result;
  if (values.empty()) return result;
  for (const double value : values) result.mean += value;
  result.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.std = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return result;
}

double student_t_975(std::int64_t dof) {
  static constexpr std::array<double, 10> kSmall = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                                    2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
  if (dof <= 10) return kSmall[static_cast<std::size_t>(std::max<std::int64_t>(dof, 1)) - 1];
  // Cornish-Fisher expansion about the normal quantile (Abramowitz and Stegun 26.7.5).
  const double z = 1.959963984540054, v = static_cast<double>(dof);
  const double z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
}

void ClusteredMean::add(double value) {
  values_.push_back(value);
}

void ClusteredMean::end_window() {
  const std::size_t begin = window_ends_.empty() ? 0 : window_ends_.back();
  if (values_.size() > begin) window_ends_.push_back(values_.size());
}

double ClusteredMean::sum() const {
  double total = 0;
  for (const double value : values_) total += value;
  return total;
}

double ClusteredMean::mean() const {
  return values_.empty() ? 0 : sum() / static_cast<double>(values_.size());
}

ClusteredMean::Level ClusteredMean::level() const {
  if (window_ends_.size() >= kEnough) return Level::kWindow;
  std::size_t blocks = 0, begin = 0;
  for (const std::size_t end : window_ends_) {
    blocks += (end - begin + kBlock - 1) / kBlock;
    begin = end;
  }
  return blocks >= kEnough ? Level::kBlock : Level::kValue;
}

std::vector<ClusteredMean::Cluster> ClusteredMean::clusters() const {
  const Level chosen = level();
  const std::size_t longest = chosen == Level::kWindow  ? values_.size()
                              : chosen == Level::kBlock ? kBlock
                                                        : std::size_t{1};
  std::vector<std::size_t> ends = window_ends_;
  if (ends.empty() || ends.back() < values_.size()) ends.push_back(values_.size());
  std::vector<Cluster> result;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    for (; begin < end;) {
      const std::size_t stop = std::min(end, begin + longest);
      Cluster cluster;
      for (; begin < stop; ++begin) {
        cluster.sum += values_[begin];
        ++cluster.count;
      }
      result.push_back(cluster);
    }
  }
  return result;
}

std::optional<Interval> ClusteredMean::interval95() const {
  const std::vector<Cluster> all = clusters();
  if (all.size() < 2) return std::nullopt;
  const double average = mean();
  double squares = 0;
  for (const Cluster& cluster : all) {
    const double deviation = cluster.sum - static_cast<double>(cluster.count) * average;
    squares += deviation * deviation;
  }
  const auto c = static_cast<double>(all.size());
  const double error = std::sqrt(c / (c - 1) * squares) / static_cast<double>(values_.size());
  const double half = student_t_975(static_cast<std::int64_t>(all.size()) - 1) * error;
  return Interval{average - half, average + half};
}

std::string ClusteredMean::cluster_name() const {
  switch (level()) {
    case Level::kWindow:
      return "window";
    case Level::kBlock:
      return "block of 64 ids";
    case Level::kValue:
      break;
  }
  return "id";
}

std::int64_t ClusteredMean::cluster_count() const {
  return static_cast<std::int64_t>(clusters().size());
}

}  // namespace haq::session
