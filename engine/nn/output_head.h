// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/device/device.h"
#include "engine/nn/weights.h"

namespace haq::nn {

/// The last layer of the forward pass. Of a decoded token mostly a few logits are wanted: those
/// that an id may be drawn from. A head that comes from memory each time is then searched instead
/// of read (Device::linear_top), as long as that reads less.
class OutputHead {
 public:
  OutputHead(std::shared_ptr<device::Device> device, LinearPtr head);

  /// Writes logits [rows, vocab] of `input` [rows, hidden]. True: all of them; false: the `top`
  /// largest and all that nearly equal the last of them, the others may be -inf. `top` 0: all.
  bool run(device::ConstRows input, int top, device::Rows logits);

  std::size_t search_bytes() const { return search_ ? search_->bytes() : 0; }
  std::int64_t searched_rows() const { return rows_; }
  /// Bytes of weights and of their copy that were read for searched_rows() rows.
  std::size_t searched_bytes() const { return bytes_; }

 private:
  bool worth_searching(device::ConstRows input, int top);

  std::shared_ptr<device::Device> device_;
  LinearPtr head_;
  std::shared_ptr<const device::TopSearch> search_;
  bool given_up_ = false;
  double share_ = 0;  ///< of the outputs that had to be computed in full, a running mean
  std::int64_t rows_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace haq::nn
