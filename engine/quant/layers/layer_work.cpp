// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/layer_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/finite.h"
#include "engine/device/host/cpuid.h"
#include "engine/model/convert.h"
#include "engine/model/modules.h"

namespace haq::quant {
void WorkMonitor::phase(int begin, int end, const std::string& what) {
  check();
  deliver();
  begin_ = begin;
  end_ = end;
  pieces_done_ = 0;
  show(what, 0, 1);
}

void WorkMonitor::piece_done(int thread, const char* piece, std::int64_t total) {
  std::int64_t done = 0;
  {
    const std::lock_guard lock(mutex_);
    done = ++pieces_done_;
  }
  if (thread != 0) return;
  deliver();
  show(fmt::format("{} {} of {}", piece, done, total), done, total);
}

void WorkMonitor::module_done(const ModuleReport& report) {
  const std::lock_guard lock(mutex_);
  finished_.push_back(report);
}

void WorkMonitor::deliver() {
  std::vector<ModuleReport> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  if (!events_.module_done) return;
  for (const ModuleReport& report : finished) events_.module_done(report);
}

void WorkMonitor::show(const std::string& text, std::int64_t done, std::int64_t total) {
  if (!events_.progress) return;
  const std::int64_t at = begin_ + (end_ - begin_) * done / std::max<std::int64_t>(total, 1);
  events_.progress({text, static_cast<std::uint64_t>(at), 1000, ""});
}

const Group* LayerWork::group(GroupKind kind, int expert) const {
  for (const Group& candidate : groups) {
    if (candidate.kind == kind && candidate.expert == expert) return &candidate;
  }
  return nullptr;
}

bool LayerWork::quantizes(const ModuleId& id) const {
  return model::is_quantizable(id.role) && (id.expert >= 0 || !recipe.experts_only);
}

LinearWeights read_linear(const model::Checkpoint& checkpoint, const ModuleId& id) {
  LinearWeights weights = checkpoint.linear(id.role, id.layer, id.expert, DType::kF32);
  HostMatrix& matrix = weights.weight;
  if (matrix.dtype != DType::kF32) {
    auto values = std::make_shared<std::vector<float>>(
        model::widen({matrix.data, matrix.bytes()}, matrix.dtype));
    matrix.dtype = DType::kF32;
    matrix.data = reinterpret_cast<const std::byte*>(values->data());
    matrix.owner = std::move(values);
    matrix.mapped = false;
  }
  const ConstMatrixView view = view_of(weights);
  for (std::int64_t row = 0; row < view.rows; ++row) {
    if (all_finite(view.row(row))) continue;
    fail(ErrorCode::kNumeric, "{}: a weight in row {} of {} is not a finite number",
         checkpoint.name(), row, checkpoint.module_name(id.role, id.layer, id.expert));
  }
  return weights;
}

std::vector<LinearWeights> read_linears(LayerWork& work, const std::vector<ModuleId>& ids) {
  std::vector<LinearWeights> weights(ids.size());
  work.pool.parallel_dynamic(static_cast<std::int64_t>(ids.size()), [&](std::int64_t i, int) {
    work.monitor.cancel().check();
    weights[static_cast<std::size_t>(i)] =
        read_linear(*work.model, ids[static_cast<std::size_t>(i)]);
  });
  return weights;
}

ConstMatrixView view_of(const LinearWeights& weights) {
  if (weights.weight.dtype != DType::kF32) {
    fail(ErrorCode::kInternal, "a view of weights that are not float32");
  }
  return {reinterpret_cast<const float*>(weights.weight.data), weights.out(), weights.in()};
}

const device::host::KernelTable& host_kernels() {
  static const device::host::KernelTable& table =
      device::host::select_kernels(device::Isa::kNative);
  return table;
}

void RowNorm::apply(std::span<const float> x, std::span<float> out) const {
  const auto n = static_cast<std::int64_t>(x.size());
  if (weight.empty()) {
    std::copy(x.begin(), x.end(), out.begin());
  } else if (kind == model::NormKind::kRms) {
    host_kernels().rms_norm(x.data(), weight.data(), eps, n, out.data());
  } else {
    host_kernels().layer_norm(x.data(), weight.data(), bias.empty() ? nullptr : bias.data(), eps, n,
                              out.data());
  }
}

RowNorm row_norm(const model::Checkpoint& checkpoint, model::Role role, int layer) {
  const model::ModelConfig& config = checkpoint.config();
  RowNorm norm;
  norm.kind = config.norm;
  norm.eps = static_cast<float>(config.norm_eps);
  if (!config.norm_before) return norm;
  norm.weight = checkpoint.vector(role, layer);
  norm.bias = checkpoint.norm_bias(role, layer);
  return norm;
}

Matrix sampled_state(const LayerWork& work, std::span<const std::int64_t> rows) {
  Matrix result(static_cast<std::int64_t>(rows.size()), work.state.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<float> to = result.row(static_cast<std::int64_t>(i));
    std::copy_n(std::as_const(work.state).row(rows[i]), to.size(), to.begin());
  }
  return result;
}

Matrix source_rows(const TransformedCheckpoint& model, const Matrix& stream, model::Role role,
                   int layer) {
  Matrix rows = model.rotation() != nullptr ? model.rotation()->rotate_back(stream) : stream;
  const RowNorm norm = row_norm(model.source(), role, layer);
  for (std::int64_t r = 0; r < rows.rows; ++r) norm.apply(rows.row(r), rows.row(r));
  return rows;
}

}  // namespace haq::quant
