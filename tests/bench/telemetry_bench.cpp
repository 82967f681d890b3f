// SPDX-License-Identifier: GPL-3.0-or-later
// What an event costs the thread that runs the model, how fast a recorder stores paths, and how
// many accesses a second a replay takes. Replays use the gpt-oss-20b paths of the shared data
// folder, where it is there, else generated ones of the same shape; the label says which.
#include <benchmark/benchmark.h>

#include <array>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/experts/telemetry/event_writer.h"
#include "engine/profile/recordings/recorder.h"
#include "engine/profile/replay/replay.h"
#include "engine/profile/traces/trace.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using experts::Event;
using experts::EventRing;
using experts::ExpertShape;

void drain(EventRing& ring) {
  static std::vector<Event> sink(4096);
  while (ring.pop(sink) != 0) {
  }
}

constexpr std::array<std::int32_t, 8> kIds{1, 2, 3, 5, 8, 13, 21, 34};

void count_events(benchmark::State& state, std::int64_t events) {
  state.SetItemsProcessed(events);
  state.counters["event"] = benchmark::Counter(
      static_cast<double>(events), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// A decoded token's layer: the clock once, its path and the step. The ring is a recording's, so
/// that events go out to memory as they do there.
void BM_DecodeEvents(benchmark::State& state) {
  EventRing ring(experts::kDefaultRingEvents);
  std::int64_t events = 0, token = 0;
  for (auto _ : state) {
    if (ring.size() + 2 > ring.capacity()) {
      state.PauseTiming();
      drain(ring);
      state.ResumeTiming();
    }
    const std::uint64_t now = experts::event_time_ns();
    events += experts::write_paths(ring, now, 0, token++, 8, kIds);
    events += experts::write_step(ring, now, 0, {});
  }
  count_events(state, events);
}

/// A layer of a prompt: one event for each of its tokens.
void BM_PrefillEvents(benchmark::State& state) {
  EventRing ring(experts::kDefaultRingEvents);
  std::vector<std::int32_t> ids;
  const auto tokens = static_cast<std::size_t>(state.range(0));
  for (std::size_t i = 0; i < tokens; ++i) ids.insert(ids.end(), kIds.begin(), kIds.end());
  std::int64_t events = 0;
  for (auto _ : state) {
    if (ring.size() + tokens + 1 > ring.capacity()) {
      state.PauseTiming();
      drain(ring);
      state.ResumeTiming();
    }
    const std::uint64_t now = experts::event_time_ns();
    events += experts::write_paths(ring, now, 0, 0, 8, ids);
    events += experts::write_step(ring, now, 0, {});
  }
  count_events(state, events);
}

void BM_FullRing(benchmark::State& state) {
  EventRing ring(2);
  for (int i = 0; i < 2; ++i) experts::write_step(ring, 0, 0, {});
  for (auto _ : state) experts::write_step(ring, 0, 0, {});
  state.SetItemsProcessed(state.iterations());
}

/// From the first event to the end of the recording, on the disk of the temporary folder.
void BM_Recorder(benchmark::State& state) {
  const ExpertShape shape{48, 128, 8};
  constexpr int kTokens = 4000;
  std::int64_t events = 0, dropped = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const test::TempDir folder;
    Recording recording;
    recording.name = "bench";
    recording.shape = shape;
    auto recorder = std::make_unique<Recorder>(
        StoreFile::open(folder.path() / "haq.db", Database::Access::kReadWrite), recording);
    EventRing& ring = recorder->ring();
    state.ResumeTiming();
    for (int token = 0; token < kTokens; ++token) {
      while (ring.size() > ring.capacity() / 4 * 3) std::this_thread::yield();
      events += experts::write_batch(ring, 0, {token, 1, 0, 1});
      for (int layer = 0; layer < shape.layers; ++layer) {
        events += experts::write_paths(ring, 0, layer, token, shape.top_k, kIds);
        events += experts::write_step(ring, 0, layer, {});
      }
    }
    dropped += recorder->finish("{}").dropped_events;
    state.PauseTiming();
    recorder.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(events);
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(kTokens) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
  state.counters["dropped"] = static_cast<double>(dropped);
}

/// Skewed choices, of which half repeat the token before.
Trace generated_paths() {
  Trace trace;
  trace.shape = {24, 32, 4};
  constexpr std::int64_t kTokens = 40'000;
  std::mt19937 random(5);
  std::vector<std::uint16_t> order(32);
  for (std::int64_t token = 0; token < kTokens; ++token) {
    for (int layer = 0; layer < trace.shape.layers; ++layer) {
      const std::size_t row = trace.ids.size();
      const std::size_t before = static_cast<std::size_t>(trace.shape.layers * trace.shape.top_k);
      if (token > 0 && random() % 2 == 0) {
        for (int i = 0; i < trace.shape.top_k; ++i)
          trace.ids.push_back(trace.ids[row + static_cast<std::size_t>(i) - before]);
        continue;
      }
      std::iota(order.begin(), order.end(), std::uint16_t{0});
      for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t reach = 4 + random() % (order.size() - 3);
        std::swap(order[i], order[i + random() % (reach - i)]);
        trace.ids.push_back(order[i]);
      }
    }
    trace.batches.push_back({token, 1, 0, true});
  }
  return trace;
}

struct Paths {
  std::string label;
  Trace trace;
  Steps steps{trace};
};

const Paths& paths() {
  static const Paths all = [] {
    const auto shared = test::shared_dir() / "data/traces/gpt-oss-20b";
    if (!test::shared_dir().empty() && std::filesystem::exists(shared)) {
      return Paths{"gpt-oss-20b", read_trace(shared)};
    }
    return Paths{"generated", generated_paths()};
  }();
  return all;
}

void count_accesses(benchmark::State& state) {
  state.SetLabel(paths().label);
  const auto accesses = static_cast<double>(paths().steps.accesses());
  state.counters["accesses/s"] = benchmark::Counter(
      accesses * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

int quarter() {
  return paths().trace.shape.total() / 4;
}

void BM_Replay(benchmark::State& state, const std::string& name) {
  experts::PolicyOptions options;
  ReplayMachine machine;
  machine.expert_bytes = 13.2e6;
  options.costs = machine.costs();
  for (auto _ : state) {
    const auto policy = experts::make_policy(name, paths().trace.shape, quarter(), options);
    benchmark::DoNotOptimize(replay(paths().steps, *policy, quarter(), {}).hits);
  }
  count_accesses(state);
}

void BM_Belady(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(replay_belady(paths().steps, quarter(), false, {}).hits);
  }
  count_accesses(state);
}

BENCHMARK(BM_DecodeEvents);
BENCHMARK(BM_PrefillEvents)->Arg(512);
BENCHMARK(BM_FullRing);
BENCHMARK(BM_Recorder)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(BM_Replay, lru, "lru")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Replay, lru_layer, "lru-layer")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Replay, ema, "ema")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Replay, path, "path")->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Belady)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace haq::profile

BENCHMARK_MAIN();
