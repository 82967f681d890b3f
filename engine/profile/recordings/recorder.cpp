// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recorder.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "engine/profile/recordings/path_assembler.h"

namespace haq::profile {
namespace {

using experts::Event;

// The producer never signals, that would cost it a system call: the recorder looks four times as
// often as it drains, so that a ring that fills faster than it did before is seen in time.
constexpr std::chrono::microseconds kLook{8'333};
constexpr int kLooksPerDrain = 4;
// A transaction brings a counter of each expert up to date, whatever it adds: at every drain that
// took 2 % of two cores from a small model.
constexpr int kDrainsPerWrite = 8;
constexpr std::size_t kMostUnwritten = 1 << 14;  // tokens
constexpr std::size_t kChunk = 4096;

}  // namespace

struct Recorder::Impl {
  Impl(StoreFile opened, const Recording& recording, std::size_t ring_events)
      : store(std::move(opened)),
        recordings(store.database),
        ring(ring_events),
        assembler(recording.shape),
        events(std::min(kChunk, ring.capacity())) {
    summary.name = recording.name;
    first_run_json = recording.run_json;
    id = recordings.begin(recording);
    thread = std::thread([this] { run(); });
  }

  void run() {
    int looks = 0;
    for (;;) {
      {
        std::unique_lock lock(mutex);
        wake.wait_for(lock, kLook, [this] { return stopping; });
        if (stopping) return;
      }
      if (++looks < kLooksPerDrain && ring.size() < ring.capacity() / 2) continue;
      looks = 0;
      drain();
    }
  }

  /// Takes what the ring holds now, and no more: a producer that never rests must not keep the
  /// transaction from its end.
  void drain() {
    std::size_t left = ring.size();
    while (left > 0) {
      const std::size_t count = ring.pop(std::span(events).first(std::min(left, events.size())));
      if (count == 0) break;
      left -= count;
      const std::span<const Event> taken = std::span(events).first(count);
      if (tap) tap(taken);
      assembler.add(taken, ring.dropped());
    }
    {
      const std::lock_guard lock(mutex);
      summary.dropped_events = static_cast<std::int64_t>(ring.dropped());
    }
    if (++drains < kDrainsPerWrite && assembler.finished().size() < kMostUnwritten) return;
    write();
  }

  void write() {
    drains = 0;
    if (!failed) {
      guarded([this] {
        const std::span<const RecordedToken> tokens = assembler.finished();
        if (!tokens.empty()) recordings.append(id, tokens);
        tokens_written += static_cast<std::int64_t>(tokens.size());
        decode_written += std::count_if(tokens.begin(), tokens.end(),
                                        [](const RecordedToken& token) { return token.decode; });
        prompts_written = assembler.prompts();
      });
    }
    assembler.forget_finished();
    const std::lock_guard lock(mutex);
    summary.tokens = tokens_written;
    summary.decode_tokens = decode_written;
    summary.prompts = prompts_written;
    summary.dropped_events = static_cast<std::int64_t>(ring.dropped());
    summary.dropped_tokens = assembler.dropped_tokens();
  }

  /// A failure ends the recording, not the model.
  template <class Work>
  void guarded(const Work& work) {
    std::string reason;
    try {
      work();
      return;
    } catch (const Error& error) {
      reason = error.what();
    } catch (const std::exception& error) {
      reason = error.what();
    }
    failed = true;
    log::debug("recording " + summary.name + " ends: " + reason);
    {
      const std::lock_guard lock(mutex);
      summary.failure = reason;
    }
    try {
      recordings.finish(id, "interrupted", static_cast<std::int64_t>(ring.dropped()),
                        first_run_json);
    } catch (const std::exception& error) {
      // It stays marked as being recorded; the next program that opens the store puts that right.
      log::debug(error.what());
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    if (thread.joinable()) thread.join();
  }

  void end(const std::string& state, const std::string& run_json) {
    stop();
    drain();
    assembler.close(ring.dropped());
    write();
    ended = true;
    if (failed) return;
    guarded(
        [&] { recordings.finish(id, state, static_cast<std::int64_t>(ring.dropped()), run_json); });
  }

  StoreFile store;
  Recordings recordings;
  experts::EventRing ring;
  PathAssembler assembler;
  std::vector<Event> events;
  std::function<void(std::span<const Event>)> tap;
  std::int64_t id = 0;
  std::string first_run_json;
  // Of what is in the store; the recorder's thread, and after it the thread that ends it.
  std::int64_t tokens_written = 0, decode_written = 0, prompts_written = 0;
  bool failed = false, ended = false;
  int drains = 0;  // since the last write

  std::mutex mutex;  // guards what follows
  std::condition_variable wake;
  bool stopping = false;
  Summary summary;

  std::thread thread;  // last: it uses all of the above
};

Recorder::Recorder(StoreFile store, const Recording& recording, std::size_t ring_events)
    : impl_(std::make_unique<Impl>(std::move(store), recording, ring_events)) {}

Recorder::~Recorder() {
  if (!impl_->ended) impl_->end("interrupted", impl_->first_run_json);
}

experts::EventRing& Recorder::ring() {
  return impl_->ring;
}

void Recorder::set_tap(std::function<void(std::span<const Event>)> tap) {
  impl_->tap = std::move(tap);
}

Recorder::Summary Recorder::finish(const std::string& run_json) {
  if (!impl_->ended) impl_->end("done", run_json);
  return so_far();
}

Recorder::Summary Recorder::so_far() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->summary;
}

}  // namespace haq::profile
