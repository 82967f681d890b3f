// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/module_quantizer.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/base/error.h"
#include "engine/model/modules.h"
#include "engine/quant/arithmetic/rounding.h"
#include "engine/quant/folder/storage.h"

namespace haq::quant {
namespace {

/// Rows of one unit of work. Fixed, so that the products within have the same shapes, and so the
/// same bits, on every machine.
constexpr std::int64_t kRowsPerPart = 1024;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Part {
  QuantizedMatrix weights;
  double clip_sum = 0;
  std::int64_t rows_kept_rounded = 0;
  double seconds = 0;
};

std::int64_t parts_of(const ModuleTask& task) {
  return (task.weights.rows + kRowsPerPart - 1) / kRowsPerPart;
}

Part run_part(LayerWork& work, const ModuleTask& task, std::int64_t index) {
  const double start = now();
  const std::int64_t first = index * kRowsPerPart;
  const std::int64_t rows = std::min(kRowsPerPart, task.weights.rows - first);
  const ConstMatrixView weights{task.weights.data + first * task.weights.cols, rows,
                                task.weights.cols};
  Part part;
  if (task.hessian == nullptr) {
    part.weights = round_to_nearest(weights);
    part.clip_sum = static_cast<double>(rows);
  } else {
    Solution solution = solve(weights, *task.hessian, work.recipe.solver, work.monitor.cancel());
    part.clip_sum = solution.clip * static_cast<double>(rows);
    part.rows_kept_rounded = solution.rows_kept_rounded;
    part.weights = std::move(solution.weights);
  }
  part.seconds = now() - start;
  return part;
}

QuantizedMatrix join(const ModuleTask& task, std::span<Part> parts) {
  if (parts.size() == 1) return std::move(parts.front().weights);
  QuantizedMatrix all;
  all.rows = task.weights.rows;
  all.cols = task.weights.cols;
  for (const Part& part : parts) {
    all.values.insert(all.values.end(), part.weights.values.begin(), part.weights.values.end());
    all.scales.insert(all.scales.end(), part.weights.scales.begin(), part.weights.scales.end());
  }
  return all;
}

/// Error of the integer path with these weights, against the unquantized product.
OutputError error_of(ConstMatrixView rows, ConstMatrixView weights,
                     const QuantizedMatrix& quantized) {
  Matrix seen(rows.rows, rows.cols);
  std::copy_n(rows.data, seen.values.size(), seen.values.begin());
  round_activations(seen);
  return output_error(rows, weights, seen, dequantize(quantized));
}

void measure(LayerWork& work, const ModuleTask& task, const QuantizedMatrix& quantized,
             ModuleReport& report) {
  const OutputError final_error = error_of(task.sample, task.weights, quantized);
  report.error_final = final_error.relative();
  report.snr_db = final_error.snr_db();
  report.error_smooth =
      task.hessian == nullptr
          ? report.error_final
          : error_of(task.sample, task.weights, round_to_nearest(task.weights)).relative();
  const LayerRecipe& recipe = work.recipe;
  if (work.model->rotation() == nullptr && !recipe.smooth_norm_groups &&
      !recipe.smooth_inner_groups) {
    report.error_rtn = report.error_smooth;
    return;
  }
  const LinearWeights source = read_linear(work.model->source(), task.id);
  report.error_rtn =
      error_of(task.source_sample, view_of(source), round_to_nearest(view_of(source))).relative();
}

std::vector<OutputTensor> int8_tensors(const LayerWork& work, const ModuleTask& task,
                                       const QuantizedMatrix& quantized) {
  const TransformedCheckpoint& model = *work.model;
  std::vector<OutputTensor> tensors;
  OutputTensor& weight = tensors.emplace_back();
  weight.name = weight_tensor_name(model, task.id);
  weight.dtype = DType::kI8;
  weight.shape = {quantized.rows, quantized.cols};
  weight.bytes.resize(quantized.values.size());
  std::memcpy(weight.bytes.data(), quantized.values.data(), quantized.values.size());
  tensors.push_back(make_output_tensor(scale_tensor_name(model, task.id), DType::kF32,
                                       {quantized.rows, 1}, quantized.scales));
  if (!task.bias.empty()) {
    tensors.push_back(make_output_tensor(bias_tensor_name(model, task.id), model.storage_type(),
                                         {quantized.rows}, task.bias));
  }
  return tensors;
}

ModuleResult finish(LayerWork& work, const ModuleTask& task, std::span<Part> parts) {
  const double start = now();
  ModuleResult result;
  ModuleReport& report = result.report;
  report.name = work.name(task.id);
  report.role = task.id.role;
  report.layer = task.id.layer;
  report.expert = task.id.expert;
  report.smoothing = to_string(task.smoothing.kind);
  if (task.smoothing.kind == SmoothingKind::kAlpha) report.alpha = task.smoothing.alpha;
  if (task.smoothing.kind == SmoothingKind::kThreshold) report.threshold = task.smoothing.threshold;
  report.smoothing_reason = task.smoothing.reason;
  report.tokens = task.tokens;
  double clip_sum = 0;
  for (const Part& part : parts) {
    clip_sum += part.clip_sum;
    report.rows_kept_rounded += part.rows_kept_rounded;
    report.seconds += part.seconds;
  }
  report.clip = clip_sum / static_cast<double>(task.weights.rows);
  if (task.hessian != nullptr) {
    report.damping = task.hessian->damping();
    report.dead_channels = task.hessian->dead_channels();
  }
  const QuantizedMatrix quantized = join(task, parts);
  if (work.recipe.errors) measure(work, task, quantized, report);
  result.tensors = int8_tensors(work, task, quantized);
  report.seconds += now() - start;
  work.monitor.module_done(report);
  return result;
}

}  // namespace

ModuleResult quantize_module(LayerWork& work, const ModuleTask& task) {
  std::vector<Part> parts;
  for (std::int64_t index = 0; index < parts_of(task); ++index) {
    work.monitor.check();
    parts.push_back(run_part(work, task, index));
  }
  return finish(work, task, parts);
}

std::vector<ModuleResult> quantize_modules(LayerWork& work, std::span<const ModuleTask> tasks) {
  struct Unit {
    std::size_t task = 0;
    std::int64_t part = 0;
  };
  std::vector<Unit> units;
  std::vector<std::vector<Part>> parts(tasks.size());
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    const std::int64_t count = parts_of(tasks[task]);
    parts[task].resize(static_cast<std::size_t>(count));
    for (std::int64_t part = 0; part < count; ++part) units.push_back({task, part});
  }
  const auto total = static_cast<std::int64_t>(units.size() + tasks.size());
  work.pool.parallel_dynamic(static_cast<std::int64_t>(units.size()), [&](std::int64_t i, int t) {
    const Unit& unit = units[static_cast<std::size_t>(i)];
    work.monitor.check();
    parts[unit.task][static_cast<std::size_t>(unit.part)] =
        run_part(work, tasks[unit.task], unit.part);
    work.monitor.piece_done(t, "quantizing, step", total);
  });
  std::vector<ModuleResult> results(tasks.size());
  work.pool.parallel_dynamic(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i, int t) {
    const auto task = static_cast<std::size_t>(i);
    work.monitor.check();
    results[task] = finish(work, tasks[task], parts[task]);
    work.monitor.piece_done(t, "quantizing, step", total);
  });
  work.monitor.deliver();
  return results;
}

std::vector<OutputTensor> plain_tensors(const TransformedCheckpoint& model, const ModuleId& id) {
  const auto shape = model::module_shape(model.config(), id.role, id.layer, id.expert);
  if (!shape) fail(ErrorCode::kInternal, "tensors of a module that the model does not have");
  const DType type = model.storage_type();
  std::vector<OutputTensor> tensors;
  std::vector<float> bias;
  if (shape->is_vector()) {
    tensors.push_back(make_output_tensor(weight_tensor_name(model, id), type, {shape->rows},
                                         model.vector(id.role, id.layer)));
    if (shape->bias) bias = model.norm_bias(id.role, id.layer);
  } else {
    const LinearWeights weights = read_linear(model, id);
    const ConstMatrixView view = view_of(weights);
    tensors.push_back(make_output_tensor(
        weight_tensor_name(model, id), type, {view.rows, view.cols},
        {view.data, static_cast<std::size_t>(view.rows) * static_cast<std::size_t>(view.cols)}));
    bias = weights.bias;
  }
  if (!bias.empty()) {
    tensors.push_back(make_output_tensor(bias_tensor_name(model, id), type, {shape->rows}, bias));
  }
  return tensors;
}

}  // namespace haq::quant
