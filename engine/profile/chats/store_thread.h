// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/profile/chats/chat_store.h"

namespace haq::profile {

/// A thread that owns the store, so that a window never waits for the disk. Jobs run one after the
/// other in the order they were posted; none is dropped, the destructor runs what is left.
class StoreThread {
 public:
  using Job = std::function<void(ChatStore&)>;
  /// Called on the store's thread when a job throws haq::Error; the jobs behind it still run.
  using FailureCallback = std::function<void(const Error&)>;

  StoreThread(ChatStore store, FailureCallback on_failure);
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  void post(Job job);  ///< thread-safe, never blocks on the disk
  void flush();        ///< waits until everything posted so far has run

 private:
  void run();
  ChatStore store_;
  FailureCallback on_failure_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Job> jobs_;
  bool running_job_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace haq::profile
