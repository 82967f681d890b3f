// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/experts/runtime/cost_model.h"
#include "engine/experts/runtime/monotone.h"

namespace haq::experts {
namespace {

constexpr std::size_t kFewest = 16;  // observations that a knot needs
constexpr std::size_t kKept = 4096;  // the newest of each knot
constexpr double kDeviations = 3;    // in median absolute deviations

double median(std::vector<double>& values) {
  const std::size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle),
                   values.end());
  const double high = values[middle];
  if (values.size() % 2 == 1) return high;
  return (high +
          *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle))) /
         2;
}

/// The newest ratios actual / predicted.
class Ratios {
 public:
  void add(double ratio) {
    if (values_.size() < kKept) {
      values_.push_back(ratio);
    } else {
      values_[oldest_] = ratio;
      oldest_ = (oldest_ + 1) % kKept;
    }
  }

  /// The median of what is left after outliers are rejected, again while that rejects more: wild
  /// values widen the deviation they are judged by.
  std::optional<double> typical() const {
    if (values_.size() < kFewest) return std::nullopt;
    std::vector<double> kept = values_, deviations;
    for (;;) {
      const double centre = median(kept);
      deviations.clear();
      for (const double value : kept) deviations.push_back(std::abs(value - centre));
      const double limit = kDeviations * median(deviations);
      const auto end = std::remove_if(
          kept.begin(), kept.end(), [&](double value) { return std::abs(value - centre) > limit; });
      if (end == kept.end()) return centre;
      kept.erase(end, kept.end());
    }
  }

 private:
  std::vector<double> values_;
  std::size_t oldest_ = 0;
};

/// One lane: a knot's observations are those whose time comes mostly from experts of about as many
/// tokens.
class Lane {
 public:
  explicit Lane(const std::vector<CostTable::Knot>& knots) : knots_(knots), ratios_(knots.size()) {}

  template <class Predict>
  bool add(const std::vector<std::uint16_t>& tokens, double us, const Predict& predict) {
    double predicted = 0, weighted = 0;
    for (const std::uint16_t count : tokens) {
      const double one = predict(count);
      predicted += one;
      weighted += one * count;
    }
    if (!(us > 0) || !(predicted > 0) || !std::isfinite(us)) return false;
    ratios_[nearest(weighted / predicted)].add(us / predicted);
    return true;
  }

  std::vector<CostTable::Knot> fitted() const {
    std::vector<std::optional<double>> own;
    for (const Ratios& ratios : ratios_) own.push_back(ratios.typical());
    std::vector<CostTable::Knot> result = knots_;
    for (std::size_t i = 0; i < result.size(); ++i) result[i].us *= ratio_at(own, i);
    make_monotone(result);
    return result;
  }

 private:
  static double position(double tokens) { return std::log2(std::max(tokens, 0.5)); }

  std::size_t nearest(double tokens) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < knots_.size(); ++i) {
      if (std::abs(position(knots_[i].tokens) - position(tokens)) <
          std::abs(position(knots_[best].tokens) - position(tokens))) {
        best = i;
      }
    }
    return best;
  }

  /// A knot's own ratio, else between its nearest neighbours that have one, else 1.
  double ratio_at(const std::vector<std::optional<double>>& own, std::size_t knot) const {
    if (own[knot]) return *own[knot];
    std::size_t below = knot, above = knot;
    while (below > 0 && !own[below]) --below;
    while (above + 1 < own.size() && !own[above]) ++above;
    if (!own[below] && !own[above]) return 1;
    if (!own[below]) return *own[above];
    if (!own[above]) return *own[below];
    const double low = position(knots_[below].tokens), high = position(knots_[above].tokens);
    const double share = (position(knots_[knot].tokens) - low) / (high - low);
    return *own[below] + share * (*own[above] - *own[below]);
  }

  std::vector<CostTable::Knot> knots_;
  std::vector<Ratios> ratios_;
};

}  // namespace

struct CostRefit::Impl {
  explicit Impl(const CostTable& frozen) : table(frozen), cpu(frozen.cpu), device(frozen.device) {}
  CostTable table;
  Lane cpu, device;
  Ratios uploads;
  std::int64_t observations = 0;
  bool device_is_real() const { return table.source == "measured"; }
};

CostRefit::CostRefit(const CostTable& frozen) : impl_(std::make_shared<Impl>(frozen)) {}

void CostRefit::add_cpu(const std::vector<std::uint16_t>& tokens, double us) {
  const auto predict = [this](double count) { return impl_->table.cpu_us(count); };
  impl_->observations += impl_->cpu.add(tokens, us, predict) ? 1 : 0;
}

void CostRefit::add_device(const std::vector<std::uint16_t>& tokens, double us) {
  if (!impl_->device_is_real()) return;
  const auto predict = [this](double count) { return impl_->table.device_us(count); };
  impl_->observations += impl_->device.add(tokens, us, predict) ? 1 : 0;
}

void CostRefit::add_upload(double copies, double us) {
  if (!impl_->device_is_real()) return;
  const double predicted = copies > 0 ? impl_->table.upload_us(copies) : 0;
  if (!(us > 0) || !(predicted > 0) || !std::isfinite(us)) return;
  impl_->uploads.add(us / predicted);
  ++impl_->observations;
}

CostTable CostRefit::refitted() const {
  CostTable table = impl_->table;
  table.cpu = impl_->cpu.fitted();
  if (impl_->device_is_real()) {
    table.device = impl_->device.fitted();
    if (const std::optional<double> ratio = impl_->uploads.typical()) {
      table.upload_fixed_us *= *ratio;
      table.link_gb_s /= *ratio;
    }
  }
  return table;
}

std::int64_t CostRefit::observations() const {
  return impl_->observations;
}

}  // namespace haq::experts
