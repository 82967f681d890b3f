// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/threads.h"
#include "engine/device/device.h"
#include "engine/device/host/host_device.h"
#include "engine/device/host/host_linear.h"
#include "engine/device/host/kernels.h"
#include "engine/device/host/library_linear.h"
#include "engine/device/host/scratch.h"
#include "engine/device/host/top_search.h"

namespace haq::device::host {

/// Rows in the forms that the paths of a linear layer read. Only the wanted forms are filled.
struct Converted {
  std::int64_t rows = 0, cols = 0;
  const float* plain = nullptr;  ///< kFixedOrder
  std::int64_t plain_stride = 0;
  const float* rounded = nullptr;  ///< through bfloat16, stride cols: kLibrary16 on own kernels
  const std::uint16_t* bf16 = nullptr;  ///< stride cols: kLibrary16 by the library
  const std::int8_t* int8 = nullptr;
  std::int64_t int8_stride = 0;
  const float* scale = nullptr;
  const std::int32_t* sum = nullptr;

  Converted from_row(std::int64_t row) const;
  /// Rows [row, row + count) for BlockProducts.
  RowBlock block(std::int64_t row, std::int64_t count) const;
};

/// Memory behind a Converted.
struct ConversionScratch {
  Scratch rounded, bf16, int8, scale, sum;
};

/// Which forms a set of layers needs; `int8_name` names the layer for error messages.
struct WantedForms {
  bool rounded = false, bf16 = false, int8 = false;
  const HostLinear* int8_linear = nullptr;
  /// `by_library`: the layer runs through BlockProducts.
  void add(const HostLinear& linear, bool by_library);
};

/// One thread's scratch memory.
struct ThreadScratch {
  Scratch a, b, attention, input, hidden, scales, sums;
  BlockScratch block;
};

class HostDevice final : public Device {
 public:
  explicit HostDevice(const HostOptions& options);
  ~HostDevice() override;

  DeviceInfo info() const override;
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(void* destination, const void* source, std::size_t bytes) override;
  void copy_to_host(void* destination, const void* source, std::size_t bytes) override;
  void synchronize() override {}
  std::shared_ptr<const Linear> prepare(const LinearWeights& weights, LinearPath path,
                                        const std::string& name) override;
  std::unique_ptr<KvCache> make_kv_cache(const KvLayout& layout) override;

  void embed(const Linear& table, std::span<const std::int32_t> ids, float multiplier,
             Rows out) override;
  void rms_norm(ConstRows x, const float* weight, float eps, Rows out) override;
  void layer_norm(ConstRows x, const float* weight, const float* bias, float eps,
                  Rows out) override;
  void linear(ConstRows x, std::span<const LinearCall> calls) override;
  std::shared_ptr<const TopSearch> prepare_top(std::shared_ptr<const Linear> linear) override;
  std::int64_t linear_top(ConstRows x, const TopSearch& search, int top, Rows out) override;
  void rotary(Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
              const RotaryTable& table) override;
  void store_kv(KvCache& cache, int layer, std::int64_t first_position, ConstRows k,
                ConstRows v) override;
  void attention(const AttentionArgs& args) override;
  void add_scaled(Rows x, ConstRows y, float factor) override;
  void clamp(Rows x, float limit) override;
  void scale(Rows x, float factor) override;
  void scale_rows_sigmoid(Rows x, ConstRows gate) override;
  void copy(ConstRows x, Rows out) override;
  void route(const RouterArgs& args) override;
  void ffn(ConstRows x, std::span<const FfnGroup> groups, Rows out) override;
  void combine(ConstRows slots, const float* weights, int top_k, Rows y) override;

 private:
  /// Rows [begin, end) of `rows`, in parallel when the work (elements * cost) is worth it.
  template <class Body>
  void for_rows(std::int64_t rows, std::int64_t elements, const Body& body);

  /// Fills the wanted forms; throws kNumeric naming the layer when an int8 row is not finite.
  Converted convert(ConstRows x, const WantedForms& wanted, ConversionScratch& scratch);
  /// Own kernels: columns [n_begin, n_end) of all rows of `x`; column n goes to out[n - n_begin].
  void columns(const HostLinear& linear, const Converted& x, std::int64_t n_begin,
               std::int64_t n_end, float* out, std::int64_t out_stride,
               BlockScratch& scratch) const;
  /// Columns per unit of work on so many rows: some 100 KB of weights, or a few panels.
  std::int64_t unit_columns(const HostLinear& linear, std::int64_t rows) const;

  /// Two ways through a set of networks: units of columns over all threads, which suits a few rows
  /// per network, or units of whole row blocks, each carried through its network by one thread.
  struct FfnPlan;
  void ffn_columns(ConstRows x, FfnPlan& plan, Rows out);
  void ffn_blocks(ConstRows x, FfnPlan& plan, Rows out);
  /// Rows [first, first + count) of a group, by the library and by our own int8 kernels.
  void ffn_block(const FfnGroup& group, std::int64_t first, std::int64_t count, const Converted& x,
                 Rows out, ThreadScratch& scratch);
  void ffn_block_int8(const FfnGroup& group, std::int64_t first, std::int64_t count,
                      const Converted& x, Rows out, ThreadScratch& scratch);
  /// The rows that enter `down`, `hidden` [count, down.in()], quantized in the thread's scratch
  /// memory, which has room for `room` of them; they are rows first ... of the group.
  RowBlock quantize_hidden(const HostLinear& down, const FfnGroup& group, std::int64_t first,
                           std::int64_t count, const float* hidden, std::size_t room,
                           ThreadScratch& scratch) const;
  /// One row quantized into `to` (padded); throws kNumeric naming the layer.
  QuantizedRow quantize_row(const HostLinear& linear, const float* x, std::int64_t cols,
                            std::int64_t stride, std::int8_t* to, std::int64_t row) const;

  HostOptions options_;
  const KernelTable& kernels_;
  const Int8Table& int8_;
  BlockProducts products_;
  ThreadPool pool_;
  std::vector<ThreadScratch> threads_;
  ConversionScratch input_, hidden_;
  Scratch gathered_, activated_, units_;
  std::vector<Largest> top_;  // by thread
};

template <class Body>
void HostDevice::for_rows(std::int64_t rows, std::int64_t elements, const Body& body) {
  // Below this a wake-up of the workers costs more than it saves.
  constexpr std::int64_t kWorthwhile = 32768;
  if (rows * elements < kWorthwhile) {
    for (std::int64_t r = 0; r < rows; ++r) body(r);
    return;
  }
  const auto range = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) body(r);
  };
  pool_.parallel_for(rows, 1, std::ref(range));
}

void check(bool condition, const char* operation, const char* what);

}  // namespace haq::device::host
