// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/emulated/work_queue.h"

#include <utility>

namespace haq::device::emulated {

WorkQueue::WorkQueue() : thread_([this] { work(); }) {}

WorkQueue::~WorkQueue() {
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(tasks_);
  }
  wake_.notify_one();
  thread_.join();
}

void WorkQueue::submit(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (error_ != nullptr) return;  // left out: it may need what the failed task should have made
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

bool WorkQueue::idle() const {
  std::lock_guard lock(mutex_);
  return tasks_.empty() && !busy_ && error_ == nullptr;
}

void WorkQueue::wait() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return tasks_.empty() && !busy_; });
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

void WorkQueue::drain() noexcept {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return tasks_.empty() && !busy_; });
}

void WorkQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    busy_ = true;
    lock.unlock();
    std::exception_ptr failure;
    try {
      task();
    } catch (...) {
      failure = std::current_exception();
    }
    task = nullptr;
    lock.lock();
    busy_ = false;
    if (failure != nullptr) {
      error_ = failure;
      tasks_.clear();
    }
    if (tasks_.empty()) done_.notify_all();
  }
}

}  // namespace haq::device::emulated
