// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/tensor.h"

/// The Device interface: where weights and activations live and where the arithmetic runs. The
/// forward pass (engine/nn) talks to this interface only. Activations between operations are always
/// float32 rows; an operation converts (rounds to bf16, quantizes to int8) inside.
///
/// Unless said otherwise an operation may run asynchronously in submission order; synchronize() or a
/// copy to the host waits, and rethrows what failed meanwhile. What is handed over by span or by a
/// pointer to host memory (ids, weights, groups) may be reused on return; prepared weights, caches
/// and device memory stay valid until then. One thread at a time submits to a device. Shapes are
/// checked; a mismatch is a defect of the caller (kInternal).
namespace haq::device {

/// How the product of a linear layer is computed.
enum class LinearPath {
  kFixedOrder,  ///< float32 activations times bf16/f32 weights, 32 interleaved partial sums (see numerics.h)
  kLibrary16,   ///< activations rounded to bf16, bf16 weights, f32 accumulation in any order
  kInt8,        ///< per-row int8 activations times int8 weights, exact s32 sums
};

/// Device memory. data() is a host pointer only when Device::info().host_memory.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() const = 0;
  virtual std::size_t bytes() const = 0;
};

/// A view of float32 rows in device memory; row r starts at data + r * stride.
struct Rows {
  float* data = nullptr;
  std::int64_t rows = 0, cols = 0, stride = 0;
};
struct ConstRows {
  const float* data = nullptr;
  std::int64_t rows = 0, cols = 0, stride = 0;
  ConstRows() = default;
  ConstRows(const float* d, std::int64_t r, std::int64_t c, std::int64_t s)
      : data(d), rows(r), cols(c), stride(s) {}
  ConstRows(const Rows& other)  // NOLINT: a mutable view is a const view
      : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}
};

/// Prepared weights. Opaque; valid as long as the device.
class Linear {
 public:
  virtual ~Linear() = default;
  virtual std::int64_t in() const = 0;
  virtual std::int64_t out() const = 0;
  virtual LinearPath path() const = 0;
  /// Of the module, for error messages.
  virtual const std::string& name() const = 0;
  /// Bytes of extra copies made for packing (not the borrowed checkpoint bytes).
  virtual std::size_t packed_bytes() const = 0;
  /// Bytes of the weights as read for one row (for roofline reports).
  virtual std::size_t weight_bytes() const = 0;
  /// The checkpoint's own form when it lies in host memory, for copies to other devices; else null.
  virtual const LinearWeights* host_weights() const { return nullptr; }
};

/// What Device::linear_top() searches: prepared from a layer, which it keeps. Opaque.
class TopSearch {
 public:
  virtual ~TopSearch() = default;
  virtual std::size_t bytes() const = 0;  ///< memory of its own, read once per search
};

enum class Activation { kSwiGlu, kRelu, kGptOss };

/// A feed-forward network: gate (absent for kRelu), up, down.
struct FfnSpec {
  std::shared_ptr<const Linear> gate, up, down;
  Activation activation = Activation::kSwiGlu;
  float limit = 7.0F;  ///< kGptOss clamp
};

/// Rows of `x` that go through one FFN; result of row rows[i] is written to row slots[i] of the output.
struct FfnGroup {
  const FfnSpec* ffn = nullptr;
  std::span<const std::int32_t> rows;
  std::span<const std::int32_t> slots;
};

enum class KvType { kBF16, kF32 };

struct KvLayout {
  int layers = 0;
  int kv_heads = 0;
  int k_dim = 0, v_dim = 0;  ///< per head
  KvType type = KvType::kBF16;
  int page_tokens = 64;      ///< pages are allocated as the sequence grows
};

/// Keys and values of one sequence. Not thread-safe.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual std::int64_t length() const = 0;               ///< tokens whose keys and values are complete
  virtual void reserve(std::int64_t tokens) = 0;         ///< grows pages; throws kOutOfMemory
  virtual void set_length(std::int64_t tokens) = 0;      ///< after all layers of a chunk; smaller = truncate
  virtual std::size_t bytes() const = 0;                 ///< allocated
};

/// Rotation tables for positions [0, length): cos and sin, [length, dim/2] float32 in device memory.
struct RotaryTable {
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::int64_t length = 0;
  int dim = 0;
  bool interleaved = false;
};

struct AttentionArgs {
  ConstRows q;                    ///< [T, heads * k_dim], rotated
  KvCache* cache = nullptr;       ///< keys and values of positions [0, first_position + T) are stored
  int layer = 0;
  std::int64_t first_position = 0;  ///< of row 0; row r sees keys (p - window, p], p = first_position + r
  int heads = 0;
  int window = 0;                 ///< 0: all
  float scale = 1;
  const float* sinks = nullptr;   ///< [heads] in device memory or null: a logit that only adds to the denominator
  Rows out;                       ///< [T, heads * v_dim]
};

enum class RouterRule { kSoftmaxThenTopK, kTopKThenSoftmax, kSparseMixer };
struct RouterArgs {
  ConstRows logits;  ///< [T, experts] raw gate output
  RouterRule rule = RouterRule::kSoftmaxThenTopK;
  int top_k = 0;
  bool normalize = false;   ///< divide the chosen weights by their sum
  float jitter = 0;         ///< kSparseMixer
  float scale = 1;          ///< multiplies every weight
  std::int32_t* ids = nullptr;   ///< host memory [T, top_k], most probable first (ties: lower id first)
  float* weights = nullptr;      ///< host memory [T, top_k]
};

struct DeviceInfo {
  std::string name;           ///< "host", "cuda:0 ..."
  std::string kind;           ///< "cpu", "cuda", "emulated"
  std::size_t memory_bytes = 0;
  bool emulated = false;
  bool host_memory = false;   ///< Buffer::data() can be read by the host
  std::string isa;            ///< instruction set in use ("avx512", "avx2", "scalar" ...)
  bool bit_identical = true;  ///< int8 layers have the bits of every other device
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceInfo info() const = 0;

  // Memory. Buffers are 64-byte aligned.
  virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;
  virtual void copy_to_device(void* destination, const void* source, std::size_t bytes) = 0;
  virtual void copy_to_host(void* destination, const void* source, std::size_t bytes) = 0;  ///< waits
  virtual void synchronize() = 0;

  // Weights.
  virtual std::shared_ptr<const Linear> prepare(const LinearWeights& weights, LinearPath path,
                                                const std::string& name) = 0;
  virtual std::unique_ptr<KvCache> make_kv_cache(const KvLayout& layout) = 0;

  // Operations.
  /// out[t] = table[ids[t]] * multiplier. `table` is a Linear prepared from the embedding matrix
  /// [vocab, dim] (so that a tied head shares it). ids on the host, range-checked by the caller.
  virtual void embed(const Linear& table, std::span<const std::int32_t> ids, float multiplier, Rows out) = 0;
  /// out = x / sqrt(mean(x²) + eps) * weight, per row; in place allowed. `weight`: device memory [cols].
  virtual void rms_norm(ConstRows x, const float* weight, float eps, Rows out) = 0;
  /// out = (x - mean) / sqrt(var + eps) * weight + bias (bias may be null).
  virtual void layer_norm(ConstRows x, const float* weight, const float* bias, float eps, Rows out) = 0;
  /// y_i = x W_iᵀ + b_i for several layers that read the same rows (the conversion of x is shared).
  struct LinearCall {
    const Linear* linear;
    Rows out;
  };
  virtual void linear(ConstRows x, std::span<const LinearCall> calls) = 0;
  /// Prepares a search for the largest outputs of a kFixedOrder layer (an output head). Null where the
  /// device has none or the weights are not finite: linear() then serves. May take a second.
  virtual std::shared_ptr<const TopSearch> prepare_top(std::shared_ptr<const Linear> linear);
  /// One row `x` [1, in]. An output that is among the `top` (1 or more) largest, or equals or nearly
  /// equals the top-th (closer than 1e-6 of its magnitude), gets the very bits that linear() gives it;
  /// every other one gets those bits or -inf. Returns how many outputs were computed: all of them when
  /// that many could be among the largest or when `x` is not finite. Waits.
  virtual std::int64_t linear_top(ConstRows x, const TopSearch& search, int top, Rows out);
  /// Rotates `heads` heads of `head_dim` channels per row in place: channels [offset, offset + table.dim)
  /// of each head; row r has position first_position + r.
  virtual void rotary(Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
                      const RotaryTable& table) = 0;
  /// Rounds to the cache type and stores rows [T, kv_heads*k_dim] and [T, kv_heads*v_dim].
  virtual void store_kv(KvCache& cache, int layer, std::int64_t first_position, ConstRows k, ConstRows v) = 0;
  virtual void attention(const AttentionArgs& args) = 0;
  /// x += y * factor.
  virtual void add_scaled(Rows x, ConstRows y, float factor) = 0;
  /// x = min(max(x, -limit), limit).
  virtual void clamp(Rows x, float limit) = 0;
  virtual void scale(Rows x, float factor) = 0;
  /// x[t, :] *= sigmoid(gate[t, 0]).
  virtual void scale_rows_sigmoid(Rows x, ConstRows gate) = 0;
  /// Copies a column block or reorders: out[t, j] = x[t, j] (both views; strides may differ).
  virtual void copy(ConstRows x, Rows out) = 0;
  /// Waits; ids and weights are on the host afterwards.
  virtual void route(const RouterArgs& args) = 0;
  /// Runs groups of rows through their FFNs; `out` has one row per (token, choice) slot.
  virtual void ffn(ConstRows x, std::span<const FfnGroup> groups, Rows out) = 0;
  /// y[t] = sum over c in [0, top_k) of weights[t, c] * slots[t * top_k + c], c ascending, by fused
  /// multiply-adds from zero. weights on the host.
  virtual void combine(ConstRows slots, const float* weights, int top_k, Rows y) = 0;
};

}  // namespace haq::device
