// SPDX-License-Identifier: GPL-3.0-or-later
// The quantizer's arithmetic: the Hessian-aware solve beside the time that its own matrix products
// and Cholesky factorization take alone, and the search for smoothing scales. One thread for the
// solve (it runs one module per thread); HAQ_BENCH_THREADS for the search (default: all cores).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "engine/base/threads.h"
#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/arithmetic/smoothing.h"
#include "engine/quant/arithmetic/solver.h"

namespace haq::quant {
namespace {

constexpr double kGiga = 1e9;

Matrix random_matrix(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  Matrix m(rows, cols);
  for (float& v : m.values) v = uniform(generator);
  return m;
}

Matrix make_hessian(std::int64_t k) {
  const std::int64_t samples = k + k / 4;
  Matrix h(k, k);
  add_gram(random_matrix(samples, k, 1), 2.0F / static_cast<float>(samples), h);
  symmetrize(h);
  return h;
}

/// The products of solve() with nothing between: per tile of 512 rows and block of 128 columns.
void products_alone(std::int64_t m, std::int64_t k, const Matrix& factor, std::vector<float>& d,
                    std::vector<float>& carried) {
  constexpr std::int64_t kRows = 512, kColumns = 128;
  for (std::int64_t row = 0; row < m; row += kRows) {
    const std::int64_t stride = 2 * std::min(kRows, m - row);
    d.resize(static_cast<std::size_t>(k * stride));
    carried.resize(static_cast<std::size_t>(kColumns * stride));
    for (std::int64_t begin = kColumns; begin < k; begin += kColumns) {
      gemm_tn(std::min(kColumns, k - begin), stride, begin, factor.data() + begin, k, d.data(),
              stride, carried.data(), stride);
    }
  }
}

void BM_ProductsAndCholeskyAlone(benchmark::State& state) {
  const std::int64_t m = state.range(0), k = state.range(1);
  const Matrix h = make_hessian(k);
  Matrix factor;
  std::vector<float> d, carried;
  for (auto _ : state) {
    state.PauseTiming();
    factor = h;
    state.ResumeTiming();
    if (!upper_cholesky(factor)) state.SkipWithError("not positive definite");
    products_alone(m, k, factor, d, carried);
    benchmark::DoNotOptimize(carried.data());
  }
}

void BM_FactorAndSolve(benchmark::State& state) {
  const std::int64_t m = state.range(0), k = state.range(1);
  const Matrix h = make_hessian(k), w = random_matrix(m, k, 2);
  const SolverOptions options;
  Solution solution;
  for (auto _ : state) {
    state.PauseTiming();
    Matrix copy = h;
    state.ResumeTiming();
    const FactoredHessian factored(std::move(copy), options, "bench");
    solution = solve(w, factored, options);
    benchmark::DoNotOptimize(solution.objective);
  }
  state.counters["objective_share"] = solution.objective / solution.objective_rounded;
}

void BM_Cholesky(benchmark::State& state) {
  const std::int64_t k = state.range(0);
  const Matrix h = make_hessian(k);
  Matrix factor;
  for (auto _ : state) {
    state.PauseTiming();
    factor = h;
    state.ResumeTiming();
    if (!upper_cholesky(factor)) state.SkipWithError("not positive definite");
  }
  const auto size = static_cast<double>(k);
  state.counters["GFLOPS"] = benchmark::Counter(size * size * size / 3 / kGiga,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void BM_Products(benchmark::State& state) {
  const std::int64_t m = state.range(0), k = state.range(1);
  const Matrix factor = random_matrix(k, k, 4);
  std::vector<float> d, carried;
  for (auto _ : state) {
    products_alone(m, k, factor, d, carried);
    benchmark::DoNotOptimize(carried.data());
  }
  state.counters["GFLOPS"] =
      benchmark::Counter(2.0 * static_cast<double>(m) * static_cast<double>(k * k) / kGiga,
                         benchmark::Counter::kIsIterationInvariantRate);
}

/// `readers` experts of [outputs, channels] with `rows` sampled rows each; all 34 candidates.
void BM_Smoothing(benchmark::State& state) {
  const std::int64_t readers = state.range(0), outputs = state.range(1), channels = state.range(2);
  const std::int64_t rows = state.range(3);
  const char* wanted = std::getenv("HAQ_BENCH_THREADS");  // NOLINT(concurrency-mt-unsafe)
  ThreadPool pool(wanted != nullptr ? std::atoi(wanted) : 0);
  std::vector<Matrix> weights, samples;
  SmoothingProblem problem;
  problem.activation_max.assign(static_cast<std::size_t>(channels), 1.0F);
  for (std::int64_t i = 0; i < readers; ++i) {
    weights.push_back(random_matrix(outputs, channels, static_cast<unsigned>(i)));
    samples.push_back(random_matrix(rows, channels, static_cast<unsigned>(1000 + i)));
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    problem.readers.push_back({weights[i], samples[i], 1});
  }
  for (auto _ : state) {
    const SmoothingChoice choice = search_smoothing(problem, SmoothingOptions::full(), pool);
    benchmark::DoNotOptimize(choice.error);
  }
  const double work =
      2.0 * static_cast<double>(readers * outputs) * static_cast<double>(channels * rows) * 34;
  state.counters["GOPS"] =
      benchmark::Counter(work / kGiga, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["threads"] = pool.size();
}

BENCHMARK(BM_Cholesky)->Arg(1024)->Arg(4096)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Products)->Args({4096, 4096})->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ProductsAndCholeskyAlone)
    ->Args({4096, 4096})
    ->Args({2048, 1024})
    ->Args({1024, 2048})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FactorAndSolve)
    ->Args({4096, 4096})
    ->Args({2048, 1024})
    ->Args({1024, 2048})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Smoothing)
    ->Args({16, 1024, 2048, 64})
    ->Args({3, 2048, 2048, 512})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace haq::quant

BENCHMARK_MAIN();
