// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/output_head.h"

#include <array>
#include <utility>

#include "engine/base/memory.h"
#include "engine/model/head_copy.h"

namespace haq::nn {
namespace {

/// More wanted logits are not few.
constexpr int kMostWanted = 256;
/// A search that leaves so many outputs to compute on average reads more than it spares: its int8
/// copy is half of a 16-bit head, and rows in between others come slower than in order.
constexpr double kTooMany = 0.3;

}  // namespace

OutputHead::OutputHead(std::shared_ptr<device::Device> device, LinearPtr head)
    : device_(std::move(device)), head_(std::move(head)) {}

bool OutputHead::run(device::ConstRows input, int top, device::Rows logits) {
  if (!worth_searching(input, top)) {
    const std::array<device::Device::LinearCall, 1> call{{{head_.get(), logits}}};
    device_->linear(input, call);
    return true;
  }
  const std::int64_t outputs = head_->out();
  const std::int64_t computed = device_->linear_top(input, *search_, top, logits);
  const auto row_bytes = head_->weight_bytes() / static_cast<std::size_t>(outputs);
  ++rows_;
  bytes_ += search_->bytes() + static_cast<std::size_t>(computed) * row_bytes;
  constexpr double kWeight = 1.0 / 16;
  share_ += kWeight * (static_cast<double>(computed) / static_cast<double>(outputs) - share_);
  if (share_ > kTooMany) {
    given_up_ = true;
    search_.reset();
  }
  return computed == outputs;
}

/// Prepares the search when it is first of use.
bool OutputHead::worth_searching(device::ConstRows input, int top) {
  if (input.rows != 1 || top <= 0 || top > kMostWanted || given_up_) return false;
  if (search_) return true;
  const std::size_t bytes = head_->weight_bytes();
  // The copy must not push weights out of a memory that holds just them.
  const std::uint64_t available = available_memory();
  const bool small = bytes < static_cast<std::size_t>(model::kSearchedHeadBytes);
  if (small || (available != 0 && available < 2 * bytes)) {
    given_up_ = true;
    return false;
  }
  search_ = device_->prepare_top(head_);
  given_up_ = search_ == nullptr;
  return !given_up_;
}

}  // namespace haq::nn
