// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/session/session.h"

namespace haq::cli {

/// Counts what the experts of a run did. Everything runs on the CPU here.
class ExpertCounter {
 public:
  /// Taps for a model with experts; empty taps for a dense one.
  nn::Observer observer(const session::Model& model);
  /// device, emulated, accesses (distinct experts of each step), cpu_tokens (token-expert pairs).
  nlohmann::ordered_json json(session::Model& model) const;

 private:
  std::int64_t steps_ = 0, accesses_ = 0, cpu_tokens_ = 0;
  std::vector<bool> seen_;
};

}  // namespace haq::cli
