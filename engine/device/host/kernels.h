// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// The single-threaded inner loops of the host device, one table per instruction set. All tables
/// give the same bits (rules in engine/device/numerics.h).
namespace haq::device::host {

/// out[r, n] = dot(x[r], w[n]) (+ bias[n]) for r in [0, m) and n in [n_begin, n_end), fixed order.
/// `w` is row-major [*, k], float or bfloat16 bits by choice of the function.
struct GemmArgs {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  std::int64_t m = 0;
  const void* w = nullptr;
  std::int64_t k = 0;
  std::int64_t n_begin = 0, n_end = 0;
  const float* bias = nullptr;  ///< may be null
  float* out = nullptr;
  std::int64_t out_stride = 0;
};

/// The same with rows quantized to int8 and the dequantizing epilogue.
struct Int8GemmArgs {
  const std::int8_t* x = nullptr;  ///< rows padded with zeros to x_stride, a multiple of 64
  std::int64_t x_stride = 0;
  const float* x_scale = nullptr;       ///< by row of x
  const std::int32_t* x_sum = nullptr;  ///< by row of x: sum of its int8 values
  std::int64_t m = 0;
  const std::int32_t* x_rows = nullptr;    ///< [m] rows of x to read; null: 0, 1, ...
  const std::int32_t* out_rows = nullptr;  ///< [m] rows of out to write; null: 0, 1, ...
  const std::int8_t* w = nullptr;          ///< [*, k], not padded
  std::int64_t k = 0;
  std::int64_t n_begin = 0, n_end = 0;
  const float* w_scale = nullptr;
  const float* bias = nullptr;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  /// int8_scratch_bytes(m), 64-byte aligned. Without it the slower way through a few rows serves.
  std::byte* scratch = nullptr;
  /// Weights that the next call reads: k columns of this many rows are fetched into the cache
  /// meanwhile. May be null.
  const std::int8_t* next = nullptr;
  std::int64_t next_rows = 0;

  // always_inline: see HAQ_HD.
  [[gnu::always_inline]] std::int64_t x_row(std::int64_t r) const {
    return x_rows != nullptr ? x_rows[r] : r;
  }
  [[gnu::always_inline]] std::int64_t out_row(std::int64_t r) const {
    return out_rows != nullptr ? out_rows[r] : r;
  }
};

/// Columns of weights that an int8 kernel rewrites for many rows at a time, and their depth.
inline constexpr std::int64_t kInt8PanelColumns = 64;
inline constexpr std::int64_t kInt8PanelDepth = 2048;

/// Scratch of an int8 product of m rows: a panel of weights and its unfinished sums.
constexpr std::size_t int8_scratch_bytes(std::int64_t m) {
  return static_cast<std::size_t>(kInt8PanelColumns) *
         (static_cast<std::size_t>(kInt8PanelDepth) + 4 * static_cast<std::size_t>(m));
}

struct QuantizedRow {
  float scale = 0;
  std::int32_t sum = 0;
  bool finite = true;
};

/// One query of an attention unit.
struct Query {
  const float* q = nullptr;  ///< [k_dim]
  float* out = nullptr;      ///< [v_dim]
  std::int64_t position = 0;
  const float* sink = nullptr;  ///< one logit or null
};

/// Queries that read the same head of keys and values.
struct AttentionUnit {
  /// Base of each block of 64 keys of this layer. At element k_offset: keys [k_dim][64]
  /// (transposed); at element v_offset: values [64][v_dim].
  const std::byte* const* blocks = nullptr;
  std::int64_t k_offset = 0, v_offset = 0;
  bool bf16 = true;
  int k_dim = 0, v_dim = 0;
  float scale = 1;
  int window = 0;
  const Query* queries = nullptr;
  int count = 0;
  float* scratch = nullptr;  ///< attention_scratch() floats
};

/// One row's attention cut into phases that several threads share. begin and end count: kScores
/// blocks of keys from the first visible one, kWeights queries, kValues channels (multiples of 16
/// but the last).
enum class AttentionPhase { kScores, kWeights, kValues };

enum class Glu { kSwiGlu, kRelu, kGptOss };

struct KernelTable {
  const char* name;
  int attention_tile;  ///< queries computed together

  void (*gemm_bf16)(const GemmArgs&);
  void (*gemm_f32)(const GemmArgs&);
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t n, float* out);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps,
                     std::int64_t n, float* out);
  void (*exp)(const float* x, std::int64_t n, float* out);
  /// Softmax of n values in place.
  void (*softmax)(float* x, std::int64_t n);
  float (*sum)(const float* x, std::int64_t n);
  /// out = act(gate, up); kRelu ignores gate.
  void (*glu)(Glu kind, float limit, const float* gate, const float* up, std::int64_t n,
              float* out);
  /// Rotates the channels [0, dim) of a head in place by cos/sin [dim / 2].
  void (*rotate)(float* x, const float* cos, const float* sin, int dim, bool interleaved);
  void (*add_scaled)(float* x, const float* y, float factor, std::int64_t n);
  void (*clamp)(float* x, float limit, std::int64_t n);
  void (*scale)(float* x, float factor, std::int64_t n);
  void (*combine)(const float* slots, std::int64_t stride, const float* weights, int top_k,
                  std::int64_t n, float* out);
  void (*widen_bf16)(const std::uint16_t* x, std::int64_t n, float multiplier, float* out);
  void (*round_bf16)(const float* x, std::int64_t n, std::uint16_t* out);
  /// out = x rounded to bfloat16 and widened again.
  void (*through_bf16)(const float* x, std::int64_t n, float* out);
  /// Writes n int8 values; `out` is not padded here.
  QuantizedRow (*quantize)(const float* x, std::int64_t n, std::int8_t* out);
  /// out[i] = dequantized acc[i].
  void (*dequantize)(const std::int32_t* acc, float sx, const float* sw, const float* bias,
                     std::int64_t n, float* out);
  /// out = x + bias; bias may be null.
  void (*add_bias)(const float* x, const float* bias, std::int64_t n, float* out);
  void (*attention)(const AttentionUnit&);
  /// All queries of the unit share one position; scratch: split_attention_scratch() floats, kept
  /// from phase to phase.
  void (*attention_part)(const AttentionUnit&, AttentionPhase phase, std::int64_t begin,
                         std::int64_t end);
};

struct Int8Table {
  const char* name;
  void (*gemm)(const Int8GemmArgs&);
  /// With this many rows the product reaches its full speed, in steps of kInt8PanelColumns.
  std::int64_t many_rows;
};

/// Floats of scratch that an attention unit needs: `keys` is the length of the longest visible
/// range.
constexpr std::size_t attention_scratch(std::int64_t keys, int tile) {
  return static_cast<std::size_t>(tile) * static_cast<std::size_t>(keys + 128);
}

constexpr std::size_t split_attention_scratch(std::int64_t keys, int queries) {
  return static_cast<std::size_t>(queries) * static_cast<std::size_t>(keys + 129);
}

const KernelTable& scalar_kernels();
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();

const Int8Table& scalar_int8();
const Int8Table& avx2_int8();
const Int8Table& avx_vnni_int8();
const Int8Table& avx512_vnni_int8();

}  // namespace haq::device::host
