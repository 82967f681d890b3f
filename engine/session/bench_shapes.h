// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/config.h"

namespace haq::session {

/// A matrix product of the forward pass: y [m, n] = x [m, k] Wᵀ, done `count` times.
struct GemmShape {
  std::string name;  ///< "q", "experts down" ...
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t count = 0;
  double operations() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) *
           static_cast<double>(count);
  }
};

/// The linear layers of one prefill step of `tokens` rows, equal shapes joined. Tokens are taken as
/// spread evenly over the experts. Attention, norms, routers and the head are left out: they are no
/// products of the library.
std::vector<GemmShape> prefill_shapes(const model::ModelConfig& config, std::int64_t tokens);

/// Operations (multiply and add count two) of the linear layers of a prompt read in chunks.
double prefill_operations(const model::ModelConfig& config, std::int64_t tokens, int chunk);

}  // namespace haq::session
