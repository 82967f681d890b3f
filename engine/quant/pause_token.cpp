// SPDX-License-Identifier: GPL-3.0-or-later
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "engine/quant/layers/layer_pipeline.h"

namespace haq::quant {
namespace {

using Clock = std::chrono::steady_clock;

/// A CancelToken cannot wake anybody, so a paused thread looks at it this often.
constexpr std::chrono::milliseconds kCancelPoll{50};

}  // namespace

struct PauseToken::Impl {
  std::mutex mutex;
  std::condition_variable resumed;
  bool paused = false;
  int waiting = 0;           ///< threads in wait()
  Clock::time_point since;   ///< when the first of them came
  Clock::duration before{};  ///< over earlier times
};

PauseToken::PauseToken() : impl_(std::make_shared<Impl>()) {}

void PauseToken::pause() const {
  const std::lock_guard lock(impl_->mutex);
  impl_->paused = true;
}

void PauseToken::resume() const {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->paused = false;
  }
  impl_->resumed.notify_all();
}

bool PauseToken::paused() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->paused;
}

Clock::duration PauseToken::waited() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->before + (impl_->waiting > 0 ? Clock::now() - impl_->since : Clock::duration{});
}

void PauseToken::wait(const CancelToken& cancel) const {
  std::unique_lock lock(impl_->mutex);
  cancel.check();
  if (!impl_->paused) return;
  if (impl_->waiting++ == 0) impl_->since = Clock::now();
  while (impl_->paused && !cancel.cancelled()) impl_->resumed.wait_for(lock, kCancelPoll);
  if (--impl_->waiting == 0) impl_->before += Clock::now() - impl_->since;
  cancel.check();
}

}  // namespace haq::quant
