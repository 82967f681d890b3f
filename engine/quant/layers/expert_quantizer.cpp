// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/expert_quantizer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/layers/network_observer.h"

namespace haq::quant {
namespace {

using model::Role;

constexpr std::int64_t kBlock = 512;  ///< rows per product
/// What passes an expert without having been sent there counts for at most this share of the rows
/// that were, or of this many where those are fewer.
constexpr double kExtraWeight = 0.25;
constexpr double kFewRows = 256;
constexpr std::uint64_t kSampleSeed = 0x65787074;

Matrix copy_of(ConstMatrixView view) {
  Matrix matrix(view.rows, view.cols);
  std::copy_n(view.data, matrix.values.size(), matrix.values.begin());
  return matrix;
}

void add_bias(Matrix& rows, std::span<const float> bias) {
  if (bias.empty()) return;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const std::span<float> row = rows.row(r);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] += bias[j];
  }
}

class ExpertQuantizer {
 public:
  ExpertQuantizer(LayerWork& work, int expert, const ExpertRows& rows, const RowNorm& norm)
      : work_(work), expert_(expert), rows_(rows), norm_(norm), up_(read(Role::kUp)) {
    if (work.has(Role::kGate, expert)) gate_ = read(Role::kGate);
    down_ = read(Role::kDown);
  }

  ExpertResult run(const SmoothingNote& input_note) {
    ExpertResult result;
    gather_statistics();
    const std::vector<std::int64_t> sampled = expert_sample(rows_, expert_);
    const Matrix sample = normed_rows(work_, norm_, sampled);
    inner_.sample = inner_rows(sample);
    Matrix source_sample, source_inner;
    if (work_.recipe.errors) {
      source_sample = source_rows(*work_.model, sampled_state(work_, sampled),
                                  Role::kPostAttentionNorm, work_.layer);
      source_inner = inner_.sample;
    }
    const SmoothingNote inner_note = smooth_inner(result);

    std::optional<FactoredHessian> hessian = factor(input_hessian_, Role::kUp);
    ModuleTask task;
    task.hessian = hessian ? &*hessian : nullptr;
    task.sample = sample;
    task.source_sample = source_sample;
    task.tokens = static_cast<std::int64_t>(rows_.routed.size() + rows_.extra.size());
    task.smoothing = input_note;
    if (gate_) result.modules.push_back(quantize(task, Role::kGate, *gate_));
    result.modules.push_back(quantize(task, Role::kUp, up_));
    hessian.reset();
    hessian = factor(inner_.hessian, Role::kDown);
    task.hessian = hessian ? &*hessian : nullptr;
    task.sample = inner_.sample;
    task.source_sample = source_inner;
    task.smoothing = inner_note;
    result.modules.push_back(quantize(task, Role::kDown, down_));
    return result;
  }

 private:
  ModuleId id(Role role) const { return {role, work_.layer, expert_}; }
  LinearWeights read(Role role) const { return read_linear(*work_.model, id(role)); }

  /// What down reads for these inputs.
  Matrix inner_rows(ConstMatrixView x) const {
    Matrix up(x.rows, up_.out());
    gemm_nt(x, view_of(up_), 1, 0, up);
    add_bias(up, up_.bias);
    if (!gate_) {
      activate(work_.config, up.values, up.values, up.values);
      return up;
    }
    Matrix gate(x.rows, gate_->out());
    gemm_nt(x, view_of(*gate_), 1, 0, gate);
    add_bias(gate, gate_->bias);
    activate(work_.config, gate.values, up.values, up.values);
    return up;
  }

  void gather_statistics() {
    inner_.channel_max.resize(static_cast<std::size_t>(up_.out()));
    if (work_.recipe.solve) {
      input_hessian_ = Matrix(up_.in(), up_.in());
      inner_.hessian = Matrix(up_.out(), up_.out());
    }
    const auto routed = static_cast<double>(rows_.routed.size());
    const auto extra = static_cast<double>(rows_.extra.size());
    double weight = 1;
    if (extra > 0 && routed > 0) {
      weight = std::min(1.0, kExtraWeight * std::max(routed, kFewRows) / extra);
    }
    const double total = routed + weight * extra;
    const bool all_typical = typical_rows(rows_).size() > rows_.routed.size();
    add_rows(rows_.routed, 2 / total, true);
    add_rows(rows_.extra, 2 * weight / total, all_typical);
    if (!work_.recipe.solve) return;
    symmetrize(input_hessian_);
    symmetrize(inner_.hessian);
  }

  void add_rows(std::span<const std::int64_t> rows, double factor, bool typical) {
    if (!typical && !work_.recipe.solve) return;
    for (std::size_t begin = 0; begin < rows.size(); begin += kBlock) {
      work_.monitor.check();
      const std::size_t count = std::min(static_cast<std::size_t>(kBlock), rows.size() - begin);
      const Matrix x = normed_rows(work_, norm_, rows.subspan(begin, count));
      const Matrix inner = inner_rows(x);
      if (work_.recipe.solve) {
        add_gram(x, static_cast<float>(factor), input_hessian_);
        add_gram(inner, static_cast<float>(factor), inner_.hessian);
      }
      if (!typical) continue;
      for (std::int64_t r = 0; r < inner.rows; ++r) {
        const std::span<const float> row = inner.row(r);
        for (std::size_t j = 0; j < row.size(); ++j) {
          inner_.channel_max[j] = std::max(inner_.channel_max[j], std::abs(row[j]));
        }
      }
    }
  }

  SmoothingNote smooth_inner(ExpertResult& result) {
    const Group* group = work_.group(GroupKind::kUpDown, expert_);
    if (group == nullptr || !group->exact || !wants_smoothing(work_, *group)) {
      return note_without(work_, group);
    }
    work_.monitor.check();
    SmoothingProblem problem;
    problem.readers.push_back({view_of(down_), inner_.sample, 1});
    problem.activation_max = inner_.channel_max;
    // The pool that this expert runs on is taken; one without workers runs on this thread.
    ThreadPool alone(1);
    const SmoothingChoice choice =
        search_smoothing(problem, smoothing_options(work_, *group), alone, work_.monitor.cancel());
    if (choice.kind != SmoothingKind::kNone) {
      apply(choice.scale);
      inner_.divide(choice.scale);
      result.inner_scale = choice.scale;
    }
    return note_of(choice);
  }

  /// The same operations as the model's fold.
  void apply(std::span<const float> scale) {
    Matrix up = copy_of(view_of(up_));
    for (std::int64_t r = 0; r < up.rows; ++r) {
      for (float& value : up.row(r)) value /= scale[static_cast<std::size_t>(r)];
    }
    for (std::size_t i = 0; i < up_.bias.size(); ++i) up_.bias[i] /= scale[i];
    Matrix down = copy_of(view_of(down_));
    for (std::int64_t r = 0; r < down.rows; ++r) {
      const std::span<float> row = down.row(r);
      for (std::size_t j = 0; j < row.size(); ++j) row[j] *= scale[j];
    }
    replace(up_, std::move(up));
    replace(down_, std::move(down));
  }

  static void replace(LinearWeights& linear, Matrix values) {
    auto owner = std::make_shared<const Matrix>(std::move(values));
    linear.weight.data = reinterpret_cast<const std::byte*>(owner->data());
    linear.weight.owner = std::move(owner);
    linear.weight.mapped = false;
  }

  std::optional<FactoredHessian> factor(Matrix& hessian, Role role) const {
    if (!work_.recipe.solve) return std::nullopt;
    work_.monitor.check();
    return FactoredHessian(std::move(hessian), work_.recipe.solver, work_.name(id(role)));
  }

  ModuleResult quantize(ModuleTask task, Role role, const LinearWeights& weights) {
    task.id = id(role);
    task.weights = view_of(weights);
    task.bias = weights.bias;
    return quantize_module(work_, task);
  }

  LayerWork& work_;
  int expert_;
  const ExpertRows& rows_;
  const RowNorm& norm_;
  LinearWeights up_, down_;
  std::optional<LinearWeights> gate_;
  Matrix input_hessian_;
  InputStatistics inner_;  // of down's input
};

}  // namespace

std::vector<ExpertRows> rows_by_expert(std::span<const std::int32_t> ids, int experts, int top_k,
                                       double share, std::uint64_t seed) {
  std::vector<ExpertRows> result(static_cast<std::size_t>(experts));
  const auto tokens = static_cast<std::int64_t>(ids.size()) / top_k;
  for (std::size_t slot = 0; slot < ids.size(); ++slot) {
    auto& routed = result[static_cast<std::size_t>(ids[slot])].routed;
    routed.push_back(static_cast<std::int64_t>(slot) / top_k);
  }
  const auto wanted = static_cast<std::int64_t>(std::llround(share * static_cast<double>(tokens)));
  const std::vector<std::int64_t> shared = sample_rows(tokens, wanted, seed);
  const std::vector<std::int64_t> few = sample_rows(tokens, kExpertSampleRows, seed);
  for (ExpertRows& rows : result) {
    const bool empty = rows.routed.empty() && shared.empty();
    const std::vector<std::int64_t>& extra = empty ? few : shared;
    std::set_difference(extra.begin(), extra.end(), rows.routed.begin(), rows.routed.end(),
                        std::back_inserter(rows.extra));
  }
  return result;
}

std::vector<std::int64_t> typical_rows(const ExpertRows& rows) {
  if (static_cast<std::int64_t>(rows.routed.size()) >= kExpertSampleRows) return rows.routed;
  std::vector<std::int64_t> all;
  std::merge(rows.routed.begin(), rows.routed.end(), rows.extra.begin(), rows.extra.end(),
             std::back_inserter(all));
  return all;
}

std::vector<std::int64_t> expert_sample(const ExpertRows& rows, int expert) {
  const std::vector<std::int64_t> all = typical_rows(rows);
  std::vector<std::int64_t> sample =
      sample_rows(static_cast<std::int64_t>(all.size()), kExpertSampleRows,
                  kSampleSeed + static_cast<std::uint64_t>(expert));
  for (std::int64_t& row : sample) row = all[static_cast<std::size_t>(row)];
  return sample;
}

Matrix normed_rows(const LayerWork& work, const RowNorm& norm, std::span<const std::int64_t> rows) {
  Matrix result(static_cast<std::int64_t>(rows.size()), work.state.cols());
  const auto cols = static_cast<std::size_t>(work.state.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    norm.apply({std::as_const(work.state).row(rows[i]), cols},
               result.row(static_cast<std::int64_t>(i)));
  }
  return result;
}

ExpertResult quantize_expert(LayerWork& work, int expert, const ExpertRows& rows,
                             const RowNorm& norm, const SmoothingNote& input_note) {
  return ExpertQuantizer(work, expert, rows, norm).run(input_note);
}

}  // namespace haq::quant
