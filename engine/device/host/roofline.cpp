// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/roofline.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "engine/base/threads.h"
#include "engine/device/host/onednn.h"

namespace haq::device {
namespace {

using Clock = std::chrono::steady_clock;

/// Best seconds of several runs of body(thread) on every thread of a pool at once.
double best_seconds(int threads, int passes, const std::function<void(int)>& body) {
  ThreadPool pool(threads);
  const auto share = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t t = begin; t < end; ++t) body(static_cast<int>(t));
  };
  double best = 1e30;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = Clock::now();
    pool.parallel_for(threads, 1, std::ref(share));
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// Sum of the 64-bit words: eight independent chains, so that the additions never limit the read.
/// Lines are asked for a page ahead, as the kernels for one row do: without it a processor whose
/// own prefetching stops at every page reads slower than those kernels.
std::uint64_t read_all(const std::uint64_t* p, std::size_t count) {
  constexpr std::size_t kAhead = 4096 / sizeof(std::uint64_t);
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    __builtin_prefetch(p + std::min(i + kAhead, count - 8));
    for (std::size_t j = 0; j < 8; ++j) sums[j] += p[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t s : sums) total += s;
  return total;
}

double gemm_rate(host::LibraryType type, std::int64_t m, std::int64_t n, std::int64_t k,
                 int threads) {
  host::LibraryCache cache;
  const host::LibraryProduct* product = cache.get({type, m, n, k, true});
  if (product == nullptr) return 0;
  struct Data {
    std::unique_ptr<std::byte, host::FreeDeleter> a, w, c, workspace;
  };
  std::vector<Data> data(static_cast<std::size_t>(threads));
  const auto filled = [](std::size_t bytes, int value) {
    auto memory = host::allocate_aligned(bytes);
    std::memset(memory.get(), value, bytes);
    return memory;
  };
  const auto rows = static_cast<std::size_t>(m),
             inner = static_cast<std::size_t>((k + 63) / 64 * 64);
  for (Data& d : data) {
    d.a = filled(rows * inner * 2, 0x3c);  // any normal bf16 value
    d.w = filled(product->packed_bytes(), 0x3c);
    d.c = filled(rows * static_cast<std::size_t>(n) * 4, 0);
    d.workspace = filled(product->workspace_bytes(), 0);
  }
  const double operations =
      2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const int repeats = std::max(1, static_cast<int>(2e9 / operations));
  const double seconds = best_seconds(threads, 7, [&](int thread) {
    const Data& d = data[static_cast<std::size_t>(thread)];
    for (int i = 0; i < repeats; ++i) {
      product->run(d.a.get(), d.w.get(), d.c.get(), d.workspace.get());
    }
  });
  return operations * repeats * threads / seconds * 1e-9;
}

}  // namespace

double read_bandwidth_gb_s(int threads) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const auto count = static_cast<std::size_t>(std::max(threads, 1));
  const std::size_t share = kBytes / count / 64 * 64;
  auto memory = host::allocate_aligned(share * count);
  std::memset(memory.get(), 1, share * count);
  std::vector<std::uint64_t> sums(count * 8);  // a cache line per thread
  const double seconds = best_seconds(static_cast<int>(count), 5, [&](int thread) {
    const auto t = static_cast<std::size_t>(thread);
    const auto* p = reinterpret_cast<const std::uint64_t*>(memory.get() + t * share);
    sums[t * 8] = read_all(p, share / sizeof(std::uint64_t));
  });
  // The sums are used, so that the read cannot be left out.
  const bool wrong = sums[0] != share / sizeof(std::uint64_t) * 0x0101010101010101ULL;
  return wrong ? 0 : static_cast<double>(share * count) / seconds * 1e-9;
}

double gemm_bf16_gflops(std::int64_t m, std::int64_t n, std::int64_t k, int threads) {
  return gemm_rate(host::LibraryType::kBf16, m, n, k, std::max(threads, 1));
}

double gemm_int8_gops(std::int64_t m, std::int64_t n, std::int64_t k, int threads) {
  return gemm_rate(host::LibraryType::kInt8, m, n, k, std::max(threads, 1));
}

}  // namespace haq::device
