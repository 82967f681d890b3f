// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/device.h"

#include "engine/base/error.h"

namespace haq::device {

std::shared_ptr<const TopSearch> Device::prepare_top(std::shared_ptr<const Linear> /*linear*/) {
  return nullptr;
}

std::int64_t Device::linear_top(ConstRows /*x*/, const TopSearch& /*search*/, int /*top*/,
                                Rows /*out*/) {
  fail(ErrorCode::kInternal, "linear_top: a search of another device.");
}

}  // namespace haq::device
