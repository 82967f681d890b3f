// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace haq::model {

/// Output heads of this many bytes and more may get an int8 copy in which decode searches the largest
/// logits. Smaller ones stay in a processor's caches, where reading half of them spares no time.
constexpr std::int64_t kSearchedHeadBytes = std::int64_t{16} << 20;

}  // namespace haq::model
