// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "engine/base/progress.h"
#include "engine/device/slots.h"
#include "engine/experts/runtime/expert_store.h"

namespace haq::experts {

/// The device half of a step: experts in the slots of an arena, and such that pass through staging
/// slots. Runs beside the caller, who computes the other half meanwhile. One thread at a time.
///
/// Where every copy has arrived, the caller's thread submits the work; otherwise a thread of the
/// lane does, which waits for copies in the caller's place. More streamed experts than staging
/// slots run in rounds: while one is computed, the next is copied.
class DeviceLane {
 public:
  static constexpr int kStagingSlots = 2;  ///< one is computed with while the other is filled

  /// kOutOfMemory when the slots do not fit the device. `streaming`: with staging slots beyond
  /// `capacity`.
  DeviceLane(std::shared_ptr<device::SlotDevice> device, ExpertStore& store, int capacity,
             bool streaming);
  ~DeviceLane();
  DeviceLane(const DeviceLane&) = delete;
  DeviceLane& operator=(const DeviceLane&) = delete;

  std::size_t slot_bytes() const { return arena_->slot_bytes(); }

  /// Orders the copy of an expert into a slot of the cache. Between steps only.
  void upload(std::int32_t slot, ExpertIndex expert);

  struct Item {
    ExpertIndex expert = -1;
    std::int32_t slot = -1;                     ///< of the cache; -1: streamed
    std::span<const std::int32_t> rows, slots;  ///< as in FfnGroup
  };
  struct Work {
    device::ConstRows x;          ///< on the host
    device::Rows slots;           ///< on the host
    std::span<const Item> items;  ///< those in the cache first; valid until finish()
    const CancelToken* cancel = nullptr;
  };
  struct Times {
    double us = 0;  ///< from the submission to the last result
    /// False: the lane may have been done before it was asked.
    bool exact = true;
  };

  /// Begins. Rows of `work.slots` that belong to its items are written until finish() returns.
  void start(const Work& work);
  /// Waits and says how long the lane took. Rethrows what failed in it; the lane is usable
  /// afterwards, what its slots hold is copied again when it is needed.
  Times finish();
  /// Waits for what was started, whatever came of it. Does nothing after finish().
  void abandon() noexcept;

 private:
  /// Items [begin, end) of the work, computed by one call of the device.
  struct Round {
    std::size_t begin = 0, end = 0;
  };

  bool ready(const Work& work) const;
  void run();
  void send_rows();
  void order_streamed(std::size_t item);
  Round next_round(std::size_t begin) const;
  void submit(const Round& round);
  void collect(const Round& round);
  void ensure(std::unique_ptr<device::Buffer>& buffer, std::size_t bytes);
  void recover() noexcept;
  void work_loop();

  std::shared_ptr<device::SlotDevice> device_;
  ExpertStore& store_;
  std::int64_t hidden_;
  int capacity_;
  std::unique_ptr<device::SlotArena> arena_;
  std::vector<ExpertIndex> holds_;  // by slot: what was copied there, -1: nothing or unknown

  Work work_;
  std::size_t first_streamed_ = 0;
  std::unique_ptr<device::Buffer> input_, output_;
  std::vector<float> sent_, results_;  // on the host, beside input_ and output_
  std::vector<std::int32_t> row_at_;   // by row of x: its place in input_, -1: not sent
  std::int64_t sent_rows_ = 0;
  std::vector<std::int32_t> rows_, slots_;
  std::vector<device::FfnGroup> groups_;

  enum class State { kIdle, kSubmitted, kThreaded };
  State state_ = State::kIdle;
  std::uint64_t begin_ns_ = 0;

  // Between the caller and the lane's thread.
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  bool running_ = false, stopping_ = false;
  std::exception_ptr error_;
  double threaded_us_ = 0;
  std::thread thread_;
};

}  // namespace haq::experts
