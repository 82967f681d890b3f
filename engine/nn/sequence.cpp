// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/sequence.h"

#include <utility>

#include "engine/base/error.h"

namespace haq::nn {

CachedSequence::CachedSequence(std::shared_ptr<device::Device> device,
                               const device::KvLayout& layout, const void* owner)
    : device_(std::move(device)), cache_(device_->make_kv_cache(layout)), owner_(owner) {}

void CachedSequence::truncate(std::int64_t tokens) {
  if (tokens < 0 || tokens > length()) {
    fail(ErrorCode::kInvalidArgument, "cannot truncate a sequence of {} tokens to {}", length(),
         tokens);
  }
  cache_->set_length(tokens);
  ids_.resize(std::min(ids_.size(), static_cast<std::size_t>(tokens)));
  planned_length_ = 0;
}

}  // namespace haq::nn
