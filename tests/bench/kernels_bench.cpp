// SPDX-License-Identifier: GPL-3.0-or-later
// Inner loops of the host device at the shapes of OLMoE-1B-7B (hidden 2048, expert width 1024, 64
// experts, top 8), beside a plain read of memory and oneDNN's own products. HAQ_BENCH_THREADS sets
// the thread count (default: all cores), HAQ_MAX_ISA limits the instruction set.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "engine/base/threads.h"
#include "engine/device/host/host_device.h"
#include "engine/device/host/roofline.h"

namespace haq::device {
namespace {

constexpr std::int64_t kHidden = 2048, kWidth = 1024;
constexpr int kExperts = 64, kTopK = 8;

int threads() {
  static const int count = [] {
    const char* value = std::getenv("HAQ_BENCH_THREADS");
    return value != nullptr ? std::max(1, std::atoi(value)) : available_cores();
  }();
  return count;
}

/// Packed copies: argument 1 of a benchmark switches them on.
std::unique_ptr<Device> make_device(bool pack) {
  HostOptions options;
  options.threads = threads();
  options.max_isa = isa_limit_from_environment();
  options.pack_budget_bytes = pack ? SIZE_MAX : 0;
  return make_host_device(options);
}

LinearWeights make_weights(DType type, std::int64_t out, std::int64_t in, unsigned seed) {
  LinearWeights w;
  const auto bytes = static_cast<std::size_t>(out * in) * size_of(type);
  auto owner = std::make_shared<std::vector<std::uint8_t>>(bytes);
  std::mt19937 random(seed);
  if (type == DType::kI8) {
    for (auto& b : *owner) b = static_cast<std::uint8_t>(random());
    w.scale.assign(static_cast<std::size_t>(out), 0.001F);
  } else if (type == DType::kBF16) {
    auto* p = reinterpret_cast<std::uint16_t*>(owner->data());
    for (std::int64_t i = 0; i < out * in; ++i) {
      p[i] = static_cast<std::uint16_t>(0x3c00U | (random() & 0x81ffU));
    }
  } else {
    auto* p = reinterpret_cast<float*>(owner->data());
    for (std::int64_t i = 0; i < out * in; ++i)
      p[i] = 0.01F * static_cast<float>(random() % 7) - 0.03F;
  }
  w.weight.dtype = type;
  w.weight.rows = out;
  w.weight.cols = in;
  w.weight.data = reinterpret_cast<const std::byte*>(owner->data());
  w.weight.owner = owner;
  return w;
}

std::vector<float> activations(std::int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& v : x) v = normal(random);
  return x;
}

LinearPath path_of(std::int64_t kind) {
  return static_cast<LinearPath>(kind);
}
DType dtype_of(LinearPath path) {
  return path == LinearPath::kInt8 ? DType::kI8 : DType::kBF16;
}
const char* name_of(LinearPath path) {
  switch (path) {
    case LinearPath::kFixedOrder:
      return "fixed-order bf16";
    case LinearPath::kLibrary16:
      return "bf16";
    case LinearPath::kInt8:
      return "int8";
  }
  return "?";
}

void plain_read(benchmark::State& state) {
  double best = 0;
  for (auto _ : state) best = std::max(best, read_bandwidth_gb_s(threads()));
  state.counters["GB/s"] = best;
}
BENCHMARK(plain_read)->Iterations(3)->Unit(benchmark::kMillisecond);

void library_gemm(benchmark::State& state) {
  const bool int8 = state.range(0) == static_cast<int>(LinearPath::kInt8);
  double best = 0;
  for (auto _ : state) {
    best = std::max(best, (int8 ? gemm_int8_gops : gemm_bf16_gflops)(state.range(1), state.range(2),
                                                                     state.range(3), threads()));
  }
  state.SetLabel(int8 ? "oneDNN int8" : "oneDNN bf16");
  state.counters["GOPS"] = best;
}
BENCHMARK(library_gemm)
    ->ArgsProduct({{1, 2}, {64, 512}, {1024}, {2048}})
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond);

/// Many layers in turn, so that the weights come from memory: range 0 path, 1 packed, 2 rows.
void linear(benchmark::State& state) {
  const LinearPath path = path_of(state.range(0));
  const std::int64_t rows = state.range(2);
  const auto device = make_device(state.range(1) != 0);
  const int layers = rows == 1 ? 48 : 8;
  std::vector<std::shared_ptr<const Linear>> linears;
  for (int i = 0; i < layers; ++i) {
    linears.push_back(device->prepare(
        make_weights(dtype_of(path), kHidden, kHidden, static_cast<unsigned>(i)), path, "bench"));
  }
  const std::vector<float> x = activations(rows * kHidden);
  std::vector<float> y(x.size());
  const auto once = [&](const Linear& l) {
    const Device::LinearCall call{&l, {y.data(), rows, kHidden, kHidden}};
    device->linear({x.data(), rows, kHidden, kHidden}, {&call, 1});
  };
  for (const auto& l : linears) once(*l);
  for (auto _ : state) {
    for (const auto& l : linears) once(*l);
  }
  const double calls = static_cast<double>(state.iterations()) * layers;
  state.SetLabel(name_of(path));
  state.counters["GB/s"] = benchmark::Counter(
      calls * static_cast<double>(linears[0]->weight_bytes()) * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GOPS"] = benchmark::Counter(
      calls * 2e-9 * static_cast<double>(rows * kHidden * kHidden), benchmark::Counter::kIsRate);
}
BENCHMARK(linear)
    ->ArgsProduct({{0, 1, 2}, {0}, {1, 2, 4, 8, 16, 64, 512}})
    ->ArgsProduct({{1, 2}, {1}, {8, 16, 64, 512}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// One sparse layer: every token goes to 8 of 64 experts, others each time. Ranges as above.
void experts(benchmark::State& state) {
  const LinearPath path = path_of(state.range(0));
  const std::int64_t tokens = state.range(2);
  const auto device = make_device(state.range(1) != 0);
  std::vector<FfnSpec> specs(kExperts);
  unsigned seed = 0;
  for (FfnSpec& s : specs) {
    s.gate = device->prepare(make_weights(dtype_of(path), kWidth, kHidden, seed++), path, "gate");
    s.up = device->prepare(make_weights(dtype_of(path), kWidth, kHidden, seed++), path, "up");
    s.down = device->prepare(make_weights(dtype_of(path), kHidden, kWidth, seed++), path, "down");
  }
  const std::vector<float> x = activations(tokens * kHidden);
  std::vector<float> y(static_cast<std::size_t>(tokens * kTopK * kHidden));
  std::mt19937 random(3);
  double bytes = 0;
  const auto once = [&] {
    std::vector<std::vector<std::int32_t>> rows(kExperts), slots(kExperts);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const auto first = random();
      for (int c = 0; c < kTopK; ++c) {
        const auto e = (first + static_cast<unsigned>(c) * 7U) % kExperts;
        rows[e].push_back(static_cast<std::int32_t>(t));
        slots[e].push_back(static_cast<std::int32_t>(t * kTopK + c));
      }
    }
    std::vector<FfnGroup> groups;
    for (std::size_t e = 0; e < kExperts; ++e) {
      if (rows[e].empty()) continue;
      groups.push_back({&specs[e], rows[e], slots[e]});
      bytes += 3.0 * static_cast<double>(specs[e].up->weight_bytes());
    }
    device->ffn({x.data(), tokens, kHidden, kHidden}, groups,
                {y.data(), tokens * kTopK, kHidden, kHidden});
  };
  for (int i = 0; i < 3; ++i) once();
  bytes = 0;
  for (auto _ : state) once();
  state.SetLabel(name_of(path));
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GOPS"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 6e-9 *
                             static_cast<double>(tokens * kTopK * kHidden * kWidth),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(experts)
    ->ArgsProduct({{0}, {0}, {1, 512}})
    ->ArgsProduct({{1, 2}, {0}, {1, 4, 64, 512}})
    ->ArgsProduct({{1, 2}, {1}, {512}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// Range 0: rows, 1: context before them, 2: key-value heads of 16.
void attention(benchmark::State& state) {
  constexpr int kHeads = 16, kDim = 128, kLayers = 4;
  const std::int64_t rows = state.range(0), context = state.range(1);
  const int kv_heads = static_cast<int>(state.range(2));
  const auto device = make_device(false);
  KvLayout layout;
  layout.layers = kLayers;
  layout.kv_heads = kv_heads;
  layout.k_dim = layout.v_dim = kDim;
  const auto cache = device->make_kv_cache(layout);
  cache->reserve(context + rows);
  const std::int64_t width = static_cast<std::int64_t>(kv_heads) * kDim;
  const std::vector<float> kv = activations((context + rows) * width);
  for (int layer = 0; layer < kLayers; ++layer) {
    device->store_kv(*cache, layer, 0, {kv.data(), context + rows, width, width},
                     {kv.data(), context + rows, width, width});
  }
  const std::vector<float> q = activations(rows * kHeads * kDim);
  std::vector<float> out(q.size());
  AttentionArgs args;
  args.q = {q.data(), rows, kHeads * kDim, kHeads * kDim};
  args.cache = cache.get();
  args.first_position = context;
  args.heads = kHeads;
  args.scale = 0.09F;
  args.out = {out.data(), rows, kHeads * kDim, kHeads * kDim};
  for (auto _ : state) {
    device->attention(args);
    args.layer = (args.layer + 1) % kLayers;
  }
  const double keys = static_cast<double>(rows) *
                      (static_cast<double>(context) + static_cast<double>(rows + 1) / 2);
  const double iterations = static_cast<double>(state.iterations());
  state.counters["GFLOPS"] =
      benchmark::Counter(iterations * 4e-9 * keys * kHeads * kDim, benchmark::Counter::kIsRate);
  state.counters["GB/s"] =
      benchmark::Counter(iterations * 4e-9 * static_cast<double>((context + rows) * width),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(attention)
    ->Args({1, 2048, 16})
    ->Args({1, 8192, 4})
    ->Args({1, 8192, 1})
    ->Args({512, 0, 16})
    ->Args({512, 1536, 16})
    ->Args({512, 1536, 4})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace haq::device

BENCHMARK_MAIN();
