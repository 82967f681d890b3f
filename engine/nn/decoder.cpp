// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/decoder.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/nn/decoder_impl.h"

namespace haq::nn {

std::unique_ptr<Decoder> Decoder::load(std::shared_ptr<const model::Checkpoint> checkpoint,
                                       std::shared_ptr<device::Device> device,
                                       const DecoderOptions& options,
                                       const ProgressCallback& progress,
                                       const CancelToken& cancel) {
  if (options.prefill_chunk < 1 || options.prefill_chunk > kMaxStepTokens) {
    fail(ErrorCode::kInvalidArgument, "prefill chunk {}: expected 1 to {}", options.prefill_chunk,
         kMaxStepTokens);
  }
  const ComputePlan plan = plan_compute(*checkpoint, options.compute);
  DecoderWeights weights = load_weights(*checkpoint, *device, plan, progress, cancel);
  return std::make_unique<DecoderImpl>(std::move(checkpoint), std::move(device), plan,
                                       options.prefill_chunk, std::move(weights));
}

}  // namespace haq::nn
