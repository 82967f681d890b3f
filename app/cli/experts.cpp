// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/experts.h"

#include <algorithm>

namespace haq::cli {

nn::Observer ExpertCounter::observer(const session::Model& model) {
  nn::Observer taps;
  const int experts = model.checkpoint().config().experts;
  if (experts == 0) return taps;
  seen_.resize(static_cast<std::size_t>(experts));
  taps.routed = [this](const nn::RoutedStep& step) {
    std::fill(seen_.begin(), seen_.end(), false);
    for (const std::int32_t id : step.ids) {
      const auto i = static_cast<std::size_t>(id);
      if (!seen_[i]) ++accesses_;
      seen_[i] = true;
    }
    cpu_tokens_ += static_cast<std::int64_t>(step.ids.size());
    ++steps_;
  };
  return taps;
}

nlohmann::ordered_json ExpertCounter::json(session::Model& model) const {
  const device::DeviceInfo info = model.decoder().device().info();
  return {{"device", info.kind},
          {"emulated", info.emulated},
          {"steps", steps_},
          {"accesses", accesses_},
          {"cpu_tokens", cpu_tokens_}};
}

}  // namespace haq::cli
