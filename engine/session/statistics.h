// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace haq::session {

struct Interval {
  double low = 0, high = 0;
};

/// Mean and sample standard deviation (n - 1; 0 for a single value).
struct MeanStd {
  double mean = 0, std = 0;
};
MeanStd mean_std(std::span<const double> values);

/// Two-sided 95 % quantile of Student's t with `dof` >= 1 degrees of freedom, to 0.1 % or better.
double student_t_975(std::int64_t dof);

/// A mean over values that come in dependent groups, with its 95 % interval.
///
/// Losses of neighbouring ids depend on each other (same window, same passage), so a standard error
/// computed per id would be too small. The values are grouped into clusters that are treated as
/// independent, and the mean is a ratio estimator over them:
///   mean = sum(s_c) / sum(n_c),  se^2 = C / (C - 1) * sum((s_c - n_c * mean)^2) / (sum n_c)^2,
/// with Student's t at C - 1 degrees of freedom (Cochran, Sampling Techniques, 3rd ed., section
/// 9A). Clusters are whole windows when there are 20 or more, else blocks of 64 consecutive values
/// of a window when those are 20 or more, else single values.
class ClusteredMean {
 public:
  void add(double value);
  /// Ends a window: the next value starts a new cluster.
  void end_window();

  std::int64_t count() const { return static_cast<std::int64_t>(values_.size()); }
  double sum() const;
  double mean() const;
  /// Absent for fewer than two values.
  std::optional<Interval> interval95() const;
  /// "window", "block of 64 ids" or "id"; what the interval took as independent.
  std::string cluster_name() const;
  std::int64_t cluster_count() const;

 private:
  struct Cluster {
    double sum = 0;
    std::int64_t count = 0;
  };
  enum class Level { kWindow, kBlock, kValue };
  Level level() const;
  std::vector<Cluster> clusters() const;

  std::vector<double> values_;
  std::vector<std::size_t> window_ends_;
};

}  // namespace haq::session
