// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/host/host_linear.h"
#include "engine/device/host/kernels.h"
#include "engine/device/host/scratch.h"

/// Finding the largest outputs of a layer y = W x without reading W.
///
/// W ~ diag(s) Q with Q int8, and x ~ a p + b q with two int8 rows p and q, the second one made of
/// what the first leaves. Then |y[n] - estimate[n]| <= |x| |w[n] - s[n] Q[n]| + |x - a p - b q|
/// |s[n] Q[n]| by the Cauchy-Schwarz inequality. A few large elements of x are taken out of |x|:
/// each moves the estimate by at most s[n] / 2 of itself. Outputs whose estimate plus its bound
/// stays below the top-th largest of all estimates minus their bounds cannot be among the largest;
/// the others are computed as always. So half of the bytes of a bfloat16 matrix tell which few of
/// its rows are needed.
namespace haq::device::host {

/// The int8 copy of a layer's weights and what it leaves out, row by row. Immutable once filled.
class HostTopSearch final : public TopSearch {
 public:
  explicit HostTopSearch(std::shared_ptr<const Linear> linear);
  std::size_t bytes() const override;

  /// Fills rows [begin, end); `room` holds 2 * in() floats. False: a weight is not finite. Rows may
  /// be filled by several threads.
  bool fill(const KernelTable& kernels, std::int64_t begin, std::int64_t end, float* room);

  const HostLinear& linear() const { return *layer_; }
  const std::int8_t* weights() const { return reinterpret_cast<const std::int8_t*>(memory_.get()); }
  const float* scale() const { return scale_.data(); }
  const float* error() const { return error_.data(); }  ///< |w - s Q|, rounded up
  const float* norm() const { return norm_.data(); }    ///< |w| + |w - s Q|, rounded up

 private:
  std::shared_ptr<const Linear> linear_;
  const HostLinear* layer_;
  std::unique_ptr<std::byte, FreeDeleter> memory_;
  std::vector<float> scale_, error_, norm_;
};

/// A row of inputs as two int8 rows, and the factors of the bound of an output's estimate.
struct TopQuery {
  std::int8_t* bytes = nullptr;  ///< [2, stride], padded with zeros to a multiple of 64
  std::int64_t stride = 0;
  float scale[2] = {};
  std::int32_t sum[2] = {};
  float by_scale = 0;  ///< times s[n]: large elements
  float by_error = 0;  ///< times error[n]: all others
  float by_norm = 0;   ///< times norm[n]: what the int8 rows leave, and rounding

  /// `bytes` and `stride` are set before. False: an element is not finite.
  bool make(const KernelTable& kernels, const float* x, std::int64_t count, float* room);
};

/// The largest `count` values seen.
class Largest {
 public:
  void reset(int count);
  void add(float value) {
    if (value > floor_) insert(value);
  }
  const std::vector<float>& values() const { return heap_; }

 private:
  void insert(float value);
  std::vector<float> heap_;  ///< smallest first
  std::size_t count_ = 0;
  float floor_ = 0;  ///< values up to this one change nothing
};

}  // namespace haq::device::host
