// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/network_quantizer.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "engine/quant/layers/expert_quantizer.h"
#include "engine/quant/layers/linear_input.h"
#include "engine/quant/layers/network_observer.h"
#include "engine/quant/layers/router_check.h"

namespace haq::quant {
namespace {

using model::Role;

constexpr std::uint64_t kShareSeed = 0x73686172;
/// The search over a layer's input looks at this many weights (1 GiB of them); of a larger layer
/// every n-th output of each expert stands for the rest.
constexpr std::int64_t kMostSearchedWeights = std::int64_t{1} << 28;

class NetworkQuantizer {
 public:
  explicit NetworkQuantizer(LayerWork& work) : work_(work), moe_(work.has(Role::kRouter)) {
    const std::array roles = moe_
                                 ? std::array{Role::kSharedGate, Role::kSharedUp, Role::kSharedDown}
                                 : std::array{Role::kGate, Role::kUp, Role::kDown};
    for (const Role role : roles) {
      const ModuleId id{role, work.layer, -1};
      if (work.has(role) && work.quantizes(id)) network_.push_back(id);
    }
  }

  LayerOutput run() {
    if (network_.empty() && !moe_) return collect();
    work_.monitor.phase(300, 400, moe_ ? "watching the router" : "watching the network");
    seen_ = observe_network(work_, !network_.empty());
    if (moe_) {
      rows_ = rows_by_expert(seen_.ids, work_.config.experts, work_.config.top_k,
                             work_.recipe.all_expert_share,
                             kShareSeed + static_cast<std::uint64_t>(work_.layer));
    }
    make_inputs();
    work_.monitor.phase(400, 450, "smoothing the input of the networks");
    if (moe_) {
      input_note_ = smooth_experts_input();
      if (!inputs_.empty()) inputs_[0].note = input_note_;
      quantize_experts();
    } else {
      smooth_input(work_, inputs_[0]);
    }
    if (!network_.empty()) {
      work_.monitor.phase(moe_ ? 880 : 500, moe_ ? 920 : 900, "quantizing the network");
      smooth_input(work_, inputs_[1]);
      append(quantize_inputs(work_, inputs_));
    }
    return collect();
  }

 private:
  /// Of the network that every token passes: [0] its input, [1] down's.
  void make_inputs() {
    if (network_.empty()) return;
    inputs_.resize(2);
    inputs_[0].readers.assign(network_.begin(), network_.end() - 1);
    inputs_[0].group = work_.group(GroupKind::kFfnInput);
    inputs_[1].readers = {network_.back()};
    inputs_[1].group = work_.group(moe_ ? GroupKind::kSharedUpDown : GroupKind::kUpDown);
    if (work_.recipe.errors) {
      inputs_[0].source_sample = source_rows(*work_.model, sampled_state(work_, seen_.sampled),
                                             Role::kPostAttentionNorm, work_.layer);
      inputs_[1].source_sample = seen_.inner.sample;
    }
    inputs_[0].statistics = std::move(seen_.input);
    inputs_[1].statistics = std::move(seen_.inner);
  }

  RowNorm norm() const { return row_norm(*work_.model, Role::kPostAttentionNorm, work_.layer); }

  /// One scale for the inputs of all experts (and the shared one): the norm is theirs together.
  SmoothingNote smooth_experts_input() {
    const Group* group = work_.group(GroupKind::kFfnInput);
    if (group == nullptr || !group->exact || !wants_smoothing(work_, *group)) {
      return note_without(work_, group);
    }
    const RowNorm before = norm();
    std::vector<ModuleId> ids;
    std::vector<Matrix> samples(rows_.size());
    for (int expert = 0; expert < work_.config.experts; ++expert) {
      for (const Role role : {Role::kGate, Role::kUp}) {
        if (work_.has(role, expert)) ids.push_back({role, work_.layer, expert});
      }
      const auto e = static_cast<std::size_t>(expert);
      samples[e] = normed_rows(work_, before, expert_sample(rows_[e], expert));
    }
    if (!inputs_.empty()) {
      ids.insert(ids.end(), inputs_[0].readers.begin(), inputs_[0].readers.end());
    }
    const std::vector<Matrix> weights = searched_weights(ids);
    SmoothingProblem problem;
    problem.activation_max =
        inputs_.empty() ? seen_.input.channel_max : inputs_[0].statistics.channel_max;
    problem.factors = group->factors;
    for (std::size_t index = 0; index < ids.size(); ++index) {
      const bool shared = ids[index].expert < 0;
      const auto e = static_cast<std::size_t>(ids[index].expert);
      const Matrix& sample = shared ? inputs_[0].statistics.sample : samples[e];
      // A sampled row stands for this many tokens.
      const double tokens = shared ? static_cast<double>(work_.runner.tokens())
                                   : std::max(1.0, static_cast<double>(rows_[e].routed.size()));
      problem.readers.push_back(
          {weights[index], sample, tokens / static_cast<double>(sample.rows)});
    }
    const SmoothingChoice choice = search_smoothing(problem, smoothing_options(work_, *group),
                                                    work_.pool, work_.monitor.cancel());
    if (choice.kind != SmoothingKind::kNone) {
      const std::vector<float> factors = fold_group(work_, *group, choice.scale);
      if (!inputs_.empty()) inputs_[0].statistics.divide(factors);
    }
    return note_of(choice);
  }

  std::vector<Matrix> searched_weights(const std::vector<ModuleId>& ids) {
    std::vector<Matrix> weights(ids.size());
    std::int64_t total = 0;
    for (const ModuleId& id : ids) {
      const int width = id.expert < 0
                            ? work_.config.shared_width
                            : work_.config.layers[static_cast<std::size_t>(work_.layer)].ffn_width;
      total += std::int64_t{width} * work_.config.hidden;
    }
    const std::int64_t step = (total + kMostSearchedWeights - 1) / kMostSearchedWeights;
    work_.pool.parallel_dynamic(static_cast<std::int64_t>(ids.size()), [&](std::int64_t i, int) {
      work_.monitor.check();
      const auto index = static_cast<std::size_t>(i);
      const LinearWeights linear = read_linear(*work_.model, ids[index]);
      const ConstMatrixView all = view_of(linear);
      Matrix some((all.rows + step - 1) / step, all.cols);
      for (std::int64_t r = 0; r < some.rows; ++r) {
        std::copy_n(all.row(r * step).begin(), all.cols, some.row(r).begin());
      }
      weights[index] = std::move(some);
    });
    return weights;
  }

  void quantize_experts() {
    work_.monitor.phase(450, 880, "quantizing the experts");
    const RowNorm after = norm();
    std::vector<ExpertResult> results(rows_.size());
    const auto experts = static_cast<std::int64_t>(rows_.size());
    work_.pool.parallel_dynamic(experts, [&](std::int64_t i, int thread) {
      const auto e = static_cast<std::size_t>(i);
      work_.monitor.check();
      results[e] = quantize_expert(work_, static_cast<int>(i), rows_[e], after, input_note_);
      work_.monitor.piece_done(thread, "expert", experts);
    });
    work_.monitor.deliver();
    for (std::size_t e = 0; e < results.size(); ++e) {
      const int expert = static_cast<int>(e);
      if (!results[e].inner_scale.empty()) {
        work_.model->fold(*work_.group(GroupKind::kUpDown, expert), results[e].inner_scale);
      }
      append(std::move(results[e].modules));
      output_.experts.push_back(
          {work_.layer, expert, static_cast<std::int64_t>(rows_[e].routed.size())});
    }
  }

  void append(std::vector<ModuleResult> results) {
    for (ModuleResult& result : results) {
      append(std::move(result.tensors));
      output_.modules.push_back(std::move(result.report));
    }
  }
  void append(std::vector<OutputTensor> tensors) {
    std::move(tensors.begin(), tensors.end(), std::back_inserter(output_.tensors));
  }

  LayerOutput collect() {
    output_.layer = work_.layer;
    constexpr std::array kRoles = {Role::kPostAttentionNorm,
                                   Role::kRouter,
                                   Role::kGate,
                                   Role::kUp,
                                   Role::kDown,
                                   Role::kSharedGate,
                                   Role::kSharedUp,
                                   Role::kSharedDown,
                                   Role::kSharedExpertGate};
    for (const Role role : kRoles) {
      const ModuleId id{role, work_.layer, -1};
      if (work_.has(role) && !work_.quantizes(id)) append(plain_tensors(*work_.model, id));
    }
    if (moe_ && work_.recipe.errors) {
      const RouterAgreement agreement = compare_routers(work_);
      output_.router_choices = agreement.choices;
      output_.router_equal = agreement.equal;
    }
    return std::move(output_);
  }

  LayerWork& work_;
  bool moe_;
  std::vector<ModuleId>
      network_;  ///< gate (if any), up, down that every token passes, if quantized
  NetworkObservation seen_;
  std::vector<ExpertRows> rows_;
  std::vector<LinearInput> inputs_;
  SmoothingNote input_note_;
  LayerOutput output_;
};

}  // namespace

LayerOutput quantize_network(LayerWork& work) {
  return NetworkQuantizer(work).run();
}

}  // namespace haq::quant
