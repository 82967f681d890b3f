// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/device_lane.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/error.h"
#include "engine/experts/telemetry/event_writer.h"
#include "engine/nn/expert_batches.h"

namespace haq::experts {
namespace {

double us_since(std::uint64_t begin_ns) {
  return static_cast<double>(event_time_ns() - begin_ns) / 1e3;
}

}  // namespace

DeviceLane::DeviceLane(std::shared_ptr<device::SlotDevice> device, ExpertStore& store, int capacity,
                       bool streaming)
    : device_(std::move(device)),
      store_(store),
      hidden_(store.layout().hidden),
      capacity_(capacity),
      arena_(device_->make_slots(store.layout(), capacity + (streaming ? kStagingSlots : 0))),
      holds_(static_cast<std::size_t>(capacity), -1),
      thread_([this] { work_loop(); }) {}

DeviceLane::~DeviceLane() {
  abandon();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void DeviceLane::upload(std::int32_t slot, ExpertIndex expert) {
  ExpertIndex& holds = holds_[static_cast<std::size_t>(slot)];
  holds = -1;  // should ordering fail
  arena_->upload(slot, store_.get(expert));
  holds = expert;
}

void DeviceLane::start(const Work& work) {
  work_ = work;
  const auto first = std::find_if(work.items.begin(), work.items.end(),
                                  [](const Item& item) { return item.slot < 0; });
  first_streamed_ = static_cast<std::size_t>(first - work.items.begin());
  begin_ns_ = event_time_ns();
  if (ready(work)) {
    try {
      send_rows();
      submit({0, work.items.size()});
    } catch (...) {
      recover();
      throw;
    }
    state_ = State::kSubmitted;
    return;
  }
  {
    std::lock_guard lock(mutex_);
    running_ = true;
  }
  state_ = State::kThreaded;
  wake_.notify_one();
}

/// Nothing has to be waited for, and one call does it all.
bool DeviceLane::ready(const Work& work) const {
  if (first_streamed_ < work.items.size()) return false;
  const bool arrived = std::all_of(work.items.begin(), work.items.end(), [&](const Item& item) {
    return holds_[static_cast<std::size_t>(item.slot)] == item.expert && arena_->arrived(item.slot);
  });
  return arrived && next_round(0).end == work.items.size();
}

DeviceLane::Times DeviceLane::finish() {
  const State state = std::exchange(state_, State::kIdle);
  if (state == State::kSubmitted) {
    try {
      collect({0, work_.items.size()});
    } catch (...) {
      recover();
      throw;
    }
    return {us_since(begin_ns_), false};
  }
  if (state == State::kThreaded) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return !running_; });
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    return {threaded_us_, true};
  }
  return {};
}

void DeviceLane::abandon() noexcept {
  try {
    finish();
  } catch (...) {
    // The caller is on its way out with an error of its own, and the lane has recovered.
  }
}

void DeviceLane::work_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return running_ || stopping_; });
    if (!running_) return;
    lock.unlock();
    std::exception_ptr error;
    try {
      run();
    } catch (...) {
      recover();
      error = std::current_exception();
    }
    lock.lock();
    threaded_us_ = us_since(begin_ns_);
    error_ = error;
    running_ = false;
    done_.notify_one();
  }
}

void DeviceLane::run() {
  for (const Item& item : work_.items.first(first_streamed_)) {
    if (holds_[static_cast<std::size_t>(item.slot)] != item.expert) {
      upload(item.slot, item.expert);  // lost in a failure
    }
  }
  for (int ahead = 0; ahead < kStagingSlots; ++ahead) {
    order_streamed(first_streamed_ + static_cast<std::size_t>(ahead));
  }
  send_rows();
  for (std::size_t begin = 0; begin < work_.items.size();) {
    if (work_.cancel != nullptr) work_.cancel->check();
    const Round round = next_round(begin);
    submit(round);
    collect(round);
    if (begin >= first_streamed_) order_streamed(begin + kStagingSlots);
    begin = round.end;
  }
}

/// Orders the copy of a streamed item into its staging slot; no item: does nothing.
void DeviceLane::order_streamed(std::size_t item) {
  if (item >= work_.items.size()) return;
  const auto staging = static_cast<int>((item - first_streamed_) % kStagingSlots);
  arena_->upload(capacity_ + staging, store_.get(work_.items[item].expert));
}

/// Experts of the cache in batches; a streamed one alone, so that its slot is soon free again.
DeviceLane::Round DeviceLane::next_round(std::size_t begin) const {
  if (begin >= first_streamed_) return {begin, begin + 1};
  const device::SlotLayout& layout = store_.layout();
  const double row_work = (layout.gate ? 3.0 : 2.0) * static_cast<double>(layout.hidden) *
                          static_cast<double>(layout.inner);
  Round round{begin, begin};
  for (double work = 0; round.end < first_streamed_ && work < nn::kExpertBatchWork; ++round.end) {
    work += row_work * static_cast<double>(work_.items[round.end].rows.size());
  }
  return round;
}

/// Copies the rows of x that the lane needs to the device.
void DeviceLane::send_rows() {
  const auto width = static_cast<std::size_t>(hidden_);
  row_at_.assign(static_cast<std::size_t>(work_.x.rows), -1);
  std::int32_t rows = 0;
  for (const Item& item : work_.items) {
    for (const std::int32_t row : item.rows) {
      std::int32_t& at = row_at_[static_cast<std::size_t>(row)];
      if (at < 0) at = rows++;
    }
  }
  sent_rows_ = rows;
  const std::size_t count = static_cast<std::size_t>(rows) * width;
  ensure(input_, count * sizeof(float));
  if (rows == 1 && work_.x.rows == 1) {
    device_->copy_to_device(input_->data(), work_.x.data, count * sizeof(float));
    return;
  }
  if (sent_.size() < count) sent_.resize(count);
  for (std::int64_t row = 0; row < work_.x.rows; ++row) {
    const std::int32_t at = row_at_[static_cast<std::size_t>(row)];
    if (at < 0) continue;
    std::memcpy(sent_.data() + static_cast<std::size_t>(at) * width,
                work_.x.data + row * work_.x.stride, width * sizeof(float));
  }
  device_->copy_to_device(input_->data(), sent_.data(), count * sizeof(float));
}

void DeviceLane::submit(const Round& round) {
  std::size_t count = 0;
  for (std::size_t i = round.begin; i < round.end; ++i) count += work_.items[i].rows.size();
  rows_.resize(count);
  slots_.resize(count);
  groups_.clear();
  std::size_t at = 0;
  for (std::size_t i = round.begin; i < round.end; ++i) {
    const Item& item = work_.items[i];
    const int slot = item.slot >= 0
                         ? item.slot
                         : capacity_ + static_cast<int>((i - first_streamed_) % kStagingSlots);
    const std::size_t first = at;
    for (const std::int32_t row : item.rows) {
      rows_[at] = row_at_[static_cast<std::size_t>(row)];
      slots_[at] = static_cast<std::int32_t>(at);
      ++at;
    }
    groups_.push_back({&arena_->ffn(slot), std::span(rows_).subspan(first, at - first),
                       std::span(slots_).subspan(first, at - first)});
  }
  ensure(output_, count * static_cast<std::size_t>(hidden_) * sizeof(float));
  const auto results = static_cast<std::int64_t>(count);
  device_->ffn({static_cast<const float*>(input_->data()), sent_rows_, hidden_, hidden_}, groups_,
               {static_cast<float*>(output_->data()), results, hidden_, hidden_});
}

/// Waits for a round and puts its results where they belong.
void DeviceLane::collect(const Round& round) {
  const auto width = static_cast<std::size_t>(hidden_);
  const std::size_t count = slots_.size() * width;
  if (results_.size() < count) results_.resize(count);
  device_->copy_to_host(results_.data(), output_->data(), count * sizeof(float));
  const float* result = results_.data();
  for (std::size_t i = round.begin; i < round.end; ++i) {
    for (const std::int32_t slot : work_.items[i].slots) {
      std::memcpy(work_.slots.data + slot * work_.slots.stride, result, width * sizeof(float));
      result += width;
    }
  }
}

/// Makes the buffer at least so large. Its former content is lost.
void DeviceLane::ensure(std::unique_ptr<device::Buffer>& buffer, std::size_t bytes) {
  if (buffer != nullptr && buffer->bytes() >= bytes) return;
  buffer.reset();
  buffer = device_->allocate(bytes);
}

/// After a failure: lets the device end what it was told and forgets what the slots hold.
void DeviceLane::recover() noexcept {
  try {
    device_->synchronize();
  } catch (...) {
    // The failure that is reported already, or one that follows from it.
  }
  std::fill(holds_.begin(), holds_.end(), -1);
}

}  // namespace haq::experts
