// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/network_observer.h"

#include <array>
#include <utility>

#include "engine/nn/weights.h"

namespace haq::quant {
namespace {

using device::Rows;
using nn::Workspace;
using LinearCall = device::Device::LinearCall;

constexpr std::uint64_t kSampleSeed = 0x66666e69;

/// Device memory for the inner rows of a network.
class InnerRows {
 public:
  InnerRows(device::Device& device, std::int64_t width) : device_(device), width_(width) {}
  Rows rows(std::int64_t count) {
    const std::size_t bytes = static_cast<std::size_t>(count * width_) * sizeof(float);
    if (!buffer_ || buffer_->bytes() < bytes) buffer_ = device_.allocate(bytes);
    return {static_cast<float*>(buffer_->data()), count, width_, width_};
  }

 private:
  device::Device& device_;
  std::int64_t width_;
  std::unique_ptr<device::Buffer> buffer_;
};

class NetworkObserver {
 public:
  NetworkObserver(LayerWork& work, bool network)
      : work_(work),
        weights_(nn::load_layer(*work.model, work.device, {nn::Compute::kFp32, false}, work.layer,
                                nn::LayerPart::kFfnWithoutExperts, work.monitor.cancel())),
        network_(weights_.router ? weights_.shared : weights_.dense),
        with_network_(network),
        width_(network ? network_.up->out() : 0),
        gate_(work.device, width_),
        up_(work.device, width_) {}

  NetworkObservation run() {
    NetworkObservation result;
    const std::int64_t tokens = work_.runner.tokens();
    result.sampled = sample_rows(tokens, kSharedSampleRows,
                                 kSampleSeed + static_cast<std::uint64_t>(work_.layer));
    const bool hessian = with_network_ && work_.recipe.solve;
    input_.emplace(work_.config.hidden, tokens, result.sampled, hessian, work_.pool);
    if (with_network_) inner_.emplace(width_, tokens, result.sampled, hessian, work_.pool);
    if (weights_.router) {
      result.ids.resize(static_cast<std::size_t>(tokens * work_.config.top_k));
      chosen_.resize(result.ids.size());
    }
    work_.runner.run(
        work_.layer, device::KvType::kF32,
        [&](const nn::Step& step, const BatchRunner::Batch& batch) {
          work_.monitor.check();
          observe(step, batch, result);
        },
        work_.monitor.cancel());
    result.input = input_->finish();
    if (inner_) result.inner = inner_->finish();
    return result;
  }

 private:
  void observe(const nn::Step& step, const BatchRunner::Batch& batch, NetworkObservation& result) {
    work_.runner.load(step, batch, work_.state);
    work_.state.release(batch.first_row, batch.rows);
    Rows x = step.rows(Workspace::kResidual);
    if (work_.config.norm_before) {
      const Rows normed = step.rows(Workspace::kNormed);
      nn::apply_norm(work_.device, weights_.post_attention_norm, x, normed);
      x = normed;
    }
    const ConstMatrixView rows = host_rows(work_.device, x, scratch_);
    input_->add(rows.data, rows.rows, rows.cols);
    if (weights_.router) route(step, batch, x, result);
    if (with_network_) pass(x);
  }

  void route(const nn::Step& step, const BatchRunner::Batch& batch, const Rows& x,
             NetworkObservation& result) {
    const Rows logits = step.rows(Workspace::kRouter);
    const std::array<LinearCall, 1> call{LinearCall{weights_.router.get(), logits}};
    work_.device.linear(x, call);
    device::RouterArgs args = nn::router_args(work_.config);
    args.logits = logits;
    const auto first = batch.first_row * work_.config.top_k;
    args.ids = result.ids.data() + first;
    args.weights = chosen_.data() + first;
    work_.device.route(args);
  }

  void pass(const Rows& x) {
    const Rows up = up_.rows(x.rows);
    const Rows gate = network_.gate ? gate_.rows(x.rows) : up;
    const std::array<LinearCall, 2> calls{LinearCall{network_.up.get(), up},
                                          LinearCall{network_.gate.get(), gate}};
    work_.device.linear(x, std::span(calls).first(network_.gate ? 2 : 1));
    const ConstMatrixView u = host_rows(work_.device, up, up_scratch_);
    const ConstMatrixView g = network_.gate ? host_rows(work_.device, gate, scratch_) : u;
    inner_rows_.resize(static_cast<std::size_t>(u.rows * u.cols));
    constexpr std::int64_t kGrain = 16;
    work_.pool.parallel_for(u.rows, kGrain, [&](std::int64_t begin, std::int64_t end, int) {
      const auto from = static_cast<std::size_t>(begin * width_);
      const auto count = static_cast<std::size_t>((end - begin) * width_);
      activate(work_.config, {g.data + from, count}, {u.data + from, count},
               std::span(inner_rows_).subspan(from, count));
    });
    inner_->add(inner_rows_.data(), u.rows, width_);
  }

  LayerWork& work_;
  nn::LayerWeights weights_;
  const device::FfnSpec& network_;
  bool with_network_;
  std::int64_t width_;
  InnerRows gate_, up_;
  std::optional<InputObserver> input_, inner_;
  std::vector<float> chosen_;  // router weights; only the choice is of interest
  std::vector<float> scratch_, up_scratch_, inner_rows_;
};

}  // namespace

NetworkObservation observe_network(LayerWork& work, bool network) {
  return NetworkObserver(work, network).run();
}

void activate(const model::ModelConfig& config, std::span<const float> gate,
              std::span<const float> up, std::span<float> out) {
  const auto kind = config.ffn == model::FfnKind::kSwiGlu   ? device::host::Glu::kSwiGlu
                    : config.ffn == model::FfnKind::kGptOss ? device::host::Glu::kGptOss
                                                            : device::host::Glu::kRelu;
  host_kernels().glu(kind, config.swiglu_limit, gate.data(), up.data(),
                     static_cast<std::int64_t>(out.size()), out.data());
}

}  // namespace haq::quant
