// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/top_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

namespace haq::device::host {
namespace {

/// `value` and a little more than its rounding to float32 takes away.
float rounded_up(double value) {
  return static_cast<float>(value * (1 + 0x1p-20)) + std::numeric_limits<float>::min();
}

/// |a|. Float64 throughout: squares of float32 values may leave its range.
double norm_of(const float* a, std::int64_t count) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int j = 0; j < 8; ++j) {
      const auto value = static_cast<double>(a[i + j]);
      sums[j] += value * value;
    }
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

/// What quantization left of x, in place.
void subtract(float* x, const std::int8_t* bytes, float scale, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] -= scale * static_cast<float>(bytes[i]);
}

}  // namespace

HostTopSearch::HostTopSearch(std::shared_ptr<const Linear> linear)
    : linear_(std::move(linear)),
      layer_(&as_host(*linear_)),
      memory_(allocate_aligned(static_cast<std::size_t>(layer_->out() * layer_->in()))),
      scale_(static_cast<std::size_t>(layer_->out())),
      error_(scale_.size()),
      norm_(scale_.size()) {}

std::size_t HostTopSearch::bytes() const {
  return static_cast<std::size_t>(layer_->out() * layer_->in()) +
         sizeof(float) * (scale_.size() + error_.size() + norm_.size());
}

bool HostTopSearch::fill(const KernelTable& kernels, std::int64_t begin, std::int64_t end,
                         float* room) {
  const std::int64_t in = layer_->in();
  auto* to = reinterpret_cast<std::int8_t*>(memory_.get());
  for (std::int64_t n = begin; n < end; ++n) {
    const std::byte* from = layer_->data() + static_cast<std::size_t>(n) * layer_->row_bytes();
    if (layer_->dtype() == DType::kBF16) {
      kernels.widen_bf16(reinterpret_cast<const std::uint16_t*>(from), in, 1, room);
    } else {
      std::memcpy(room, from, layer_->row_bytes());
    }
    const QuantizedRow row = kernels.quantize(room, in, to + n * in);
    if (!row.finite) return false;
    const double norm = norm_of(room, in);
    subtract(room, to + n * in, row.scale, in);
    const auto at = static_cast<std::size_t>(n);
    scale_[at] = row.scale;
    const double error = norm_of(room, in);
    error_[at] = rounded_up(error);
    norm_[at] = rounded_up(norm + error);
  }
  return true;
}

bool TopQuery::make(const KernelTable& kernels, const float* x, std::int64_t count, float* room) {
  std::copy_n(x, count, room);
  for (int plane = 0; plane < 2; ++plane) {
    std::int8_t* to = bytes + plane * stride;
    const QuantizedRow row = kernels.quantize(room, count, to);
    if (!row.finite) return false;
    std::fill(to + count, to + stride, std::int8_t{0});
    scale[plane] = row.scale;
    sum[plane] = row.sum;
    subtract(room, to, row.scale, count);
  }
  const double whole = norm_of(x, count);
  // An element x[i] of a row that spreads evenly over its steps costs |x| / sqrt(12) steps by the
  // norm and at most |x[i]| / 2 alone: choose from which size on it is counted alone.
  const double root = std::sqrt(static_cast<double>(count));
  const double step = root / std::sqrt(12.0);
  double best = whole * step;
  by_scale = 0;
  by_error = rounded_up(whole);
  for (const double times : {4.0, 8.0, 16.0}) {
    const double limit = whole / root * times;
    double large = 0, squares = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double size = std::fabs(static_cast<double>(x[i]));
      large += size > limit ? size : 0;
      squares += size > limit ? 0 : size * size;
    }
    const double rest = std::sqrt(squares);
    const double cost = large / 2 + rest * step;
    if (cost >= best) continue;
    best = cost;
    // Half a step, and a little for the rounding of the factor that quantize() multiplies with.
    by_scale = rounded_up(large * (0.5 + 0x1p-10));
    by_error = rounded_up(rest);
  }
  // Rounding, as a share of |x| |w|: the fixed-order sum, the estimate's conversions, and the
  // subtraction above. Each of its at most count / 32 + 16 steps is off by 2^-24; counted twice.
  const double rounding = (static_cast<double>(count) / 32 + 16) * 0x1p-23;
  by_norm = rounded_up(norm_of(room, count) + whole * rounding);
  return true;
}

void Largest::reset(int count) {
  heap_.clear();
  count_ = static_cast<std::size_t>(count);
  heap_.reserve(count_ + 1);
  floor_ = -std::numeric_limits<float>::infinity();
}

void Largest::insert(float value) {
  heap_.push_back(value);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  if (heap_.size() > count_) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  if (heap_.size() == count_) floor_ = heap_.front();
}

}  // namespace haq::device::host
