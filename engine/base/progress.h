// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/error.h"

namespace haq {

/// A flag that asks long work to stop. Copies share the flag. Thread-safe.
class CancelToken {
 public:
  void cancel() const noexcept { flag_->store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return flag_->load(std::memory_order_relaxed); }
  /// Throws Error kCancelled when somebody has asked to stop.
  void check() const {
    if (cancelled()) throw Error(ErrorCode::kCancelled, "cancelled");
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

/// One report of long work. `total` 0 means not known yet.
struct Progress {
  std::string stage;         ///< what is done now, for a person ("packing weights")
  std::uint64_t done = 0;    ///< in `unit`
  std::uint64_t total = 0;
  const char* unit = "";     ///< "bytes", "tokens", "layers" ...
};

/// Called from the working thread, often: must be cheap and must not throw. May be empty.
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace haq
