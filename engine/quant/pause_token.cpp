// SPDX-License-Identifier: GPL-3.0-or-later
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "engine/quant/layer_pipeline.h"

namespace haq::quant {
namespace {

/// A CancelToken cannot wake anybody, so a paused thread looks at it this often.
constexpr std::chrono::milliseconds kCancelPoll{50};

}  // namespace

struct PauseToken::Impl {
  std::mutex mutex;
  std::condition_variable resumed;
  bool paused = false;
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

void PauseToken::wait(const CancelToken& cancel) const {
  std::unique_lock lock(impl_->mutex);
  cancel.check();
  while (impl_->paused) {
    impl_->resumed.wait_for(lock, kCancelPoll);
    cancel.check();
  }
}

}  // namespace haq::quant
