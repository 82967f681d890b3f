// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/router_check.h"

#include <algorithm>
#include <array>

#include "engine/quant/layers/input_statistics.h"

namespace haq::quant {
namespace {

using model::Role;

constexpr std::int64_t kRows = 4096;
constexpr std::uint64_t kSeed = 0x726f7574;

/// Ids [rows, top_k], each row's ascending.
std::vector<std::int32_t> choices(LayerWork& work, const model::Checkpoint& checkpoint,
                                  const Matrix& x) {
  device::Device& device = work.device;
  const LinearWeights weights = read_linear(checkpoint, {Role::kRouter, work.layer, -1});
  const auto router = device.prepare(weights, device::LinearPath::kFixedOrder,
                                     checkpoint.module_name(Role::kRouter, work.layer));
  const std::size_t in_bytes = x.values.size() * sizeof(float);
  const auto in = device.allocate(in_bytes);
  const auto out =
      device.allocate(static_cast<std::size_t>(x.rows * weights.out()) * sizeof(float));
  device.copy_to_device(in->data(), x.data(), in_bytes);
  const device::Rows logits{static_cast<float*>(out->data()), x.rows, weights.out(), weights.out()};
  const std::array<device::Device::LinearCall, 1> call{
      device::Device::LinearCall{router.get(), logits}};
  device.linear({static_cast<const float*>(in->data()), x.rows, x.cols, x.cols}, call);

  const auto top_k = static_cast<std::size_t>(work.config.top_k);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(x.rows) * top_k);
  std::vector<float> chosen(ids.size());
  device::RouterArgs args = nn::router_args(work.config);
  args.logits = logits;
  args.ids = ids.data();
  args.weights = chosen.data();
  device.route(args);
  device.synchronize();
  for (auto row = ids.begin(); row != ids.end(); row += static_cast<std::ptrdiff_t>(top_k)) {
    std::sort(row, row + static_cast<std::ptrdiff_t>(top_k));
  }
  return ids;
}

}  // namespace

RouterAgreement compare_routers(LayerWork& work) {
  const std::vector<std::int64_t> sampled =
      sample_rows(work.state.rows(), kRows, kSeed + static_cast<std::uint64_t>(work.layer));
  const Matrix stream = sampled_state(work, sampled);
  Matrix now = stream;
  const RowNorm norm = row_norm(*work.model, Role::kPostAttentionNorm, work.layer);
  for (std::int64_t r = 0; r < now.rows; ++r) norm.apply(stream.row(r), now.row(r));
  const std::vector<std::int32_t> after = choices(work, *work.model, now);
  const std::vector<std::int32_t> before =
      choices(work, work.model->source(),
              source_rows(*work.model, stream, Role::kPostAttentionNorm, work.layer));
  RouterAgreement agreement;
  agreement.choices = stream.rows;
  const auto top_k = static_cast<std::ptrdiff_t>(work.config.top_k);
  for (std::ptrdiff_t row = 0; row < static_cast<std::ptrdiff_t>(stream.rows); ++row) {
    const auto begin = before.begin() + row * top_k;
    if (std::equal(begin, begin + top_k, after.begin() + row * top_k)) ++agreement.equal;
  }
  return agreement;
}

}  // namespace haq::quant
