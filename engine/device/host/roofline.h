// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

/// What this machine reaches at best, as the measure for `haq bench`. Each call takes a fraction of
/// a second, runs on `threads` threads at once and returns the best of several passes; results vary
/// with whatever else the machine is doing.
namespace haq::device {

/// Gigabytes per second of a plain read of memory far larger than the caches.
double read_bandwidth_gb_s(int threads);

/// Rate (10^9 multiply and add operations per second) of oneDNN's bf16 product [m, k] x [k, n] with
/// packed weights; every thread runs the whole product on data of its own. 0 where oneDNN has no
/// fast one.
double gemm_bf16_gflops(std::int64_t m, std::int64_t n, std::int64_t k, int threads);
/// The same for s8 x s8 -> s32.
double gemm_int8_gops(std::int64_t m, std::int64_t n, std::int64_t k, int threads);

}  // namespace haq::device
