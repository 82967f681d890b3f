// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/session/session.h"
#include "engine/session/statistics.h"

namespace haq::session {

struct BenchOptions {
  std::vector<int> prefill = {512};  ///< prompt lengths to measure
  int decode = 64;                   ///< tokens decoded per repeat; 0: none
  int depth = 0;                     ///< tokens already in the cache before each measurement
  int batch = 1;                     ///< sequences decoded together
  bool all_logits = false;           ///< decode computes every logit, as for a digest
  int repeat = 5;                    ///< measured repeats; one more is run first and left out
  std::uint64_t seed = 1;            ///< of the random token ids
};

struct PrefillSpeed {
  int tokens = 0;
  MeanStd tokens_per_s;
  double gops = 0;   ///< 1e9 operations (multiply and add count two) per second in linear layers
  double share = 0;  ///< of the library's own GEMM rate for these shapes; 0: it has none
};

/// One line of the roofline table: a kind of work, what it reached and what the machine can.
struct RooflineRow {
  std::string kernel;  ///< "decode weights", "prefill GEMM 512x2048x2048 bf16"
  std::string unit;    ///< "GB/s" or "GOPS"
  double reached = 0, peak = 0;
  double share = 0;  ///< reached / peak
};

struct BenchResult {
  std::vector<PrefillSpeed> prefill;
  MeanStd decode_tokens_per_s;  ///< of all sequences of the batch together
  double weight_gb_per_s = 0;   ///< weight bytes read per second while decoding (1e9 bytes)
  /// Read per decoded token; with the search for the largest logits, on average.
  std::size_t weight_bytes_per_token = 0;
  std::size_t head_bytes_per_token = 0;  ///< of these, by the output head
  double read_gb_per_s = 0;              ///< plain read of memory with the same threads
  double decode_share = 0;               ///< weight_gb_per_s / read_gb_per_s
  std::vector<RooflineRow> roofline;
  std::size_t mapped_bytes = 0, packed_bytes = 0, owned_bytes = 0, kv_bytes = 0;
  std::uint64_t peak_rss_bytes = 0;  ///< highest resident memory while the model worked
  double work_seconds = 0;           ///< in which the model ran, the warm-up included
  bool cancelled = false;            ///< stopped early: what was measured so far
};

/// Measures prefill and decode speed on random ids, greedy argmax in the loop as in generation, and
/// after each repeat what the machine reaches on plain reads and library GEMMs of the same shapes.
/// Throws kInvalidArgument for sizes that do not fit the model's context.
BenchResult bench(Model& model, const BenchOptions& options, const ProgressCallback& progress = {},
                  const CancelToken& cancel = {});

/// How much faster `first` decodes than `second`: both by turns, a few tokens each, so that what
/// else the machine does slows both alike. Mean and standard deviation over the repeats.
MeanStd compare_decode(Model& first, Model& second, const BenchOptions& options,
                       const ProgressCallback& progress = {}, const CancelToken& cancel = {});

}  // namespace haq::session
