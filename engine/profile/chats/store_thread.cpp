// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/store_thread.h"

namespace haq::profile {

StoreThread::StoreThread(ChatStore store, FailureCallback on_failure)
    : store_(std::move(store)), on_failure_(std::move(on_failure)), thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void StoreThread::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void StoreThread::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return jobs_.empty() && !running_job_; });
}

void StoreThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    running_job_ = true;
    lock.unlock();
    try {
      job(store_);
    } catch (const Error& error) {
      on_failure_(error);
    } catch (const std::exception& error) {
      on_failure_(Error(ErrorCode::kInternal, error.what()));
    }
    job = nullptr;  // what it captured dies here, outside the lock
    lock.lock();
    running_job_ = false;
    if (jobs_.empty()) idle_.notify_all();
  }
}

}  // namespace haq::profile
