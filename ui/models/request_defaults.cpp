// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/request_defaults.h"

namespace haq::ui {

LoadRequest loadRequest(const Settings& settings) {
  LoadRequest request;
  const QString compute = settings.text("engine.compute");
  request.compute = compute == QLatin1String("bf16")   ? nn::Compute::kBf16
                    : compute == QLatin1String("fp32") ? nn::Compute::kFp32
                                                       : nn::Compute::kAuto;
  request.threads = settings.integer("engine.threads");
  request.prefillChunk = settings.integer("engine.prefill_chunk");
  return request;
}

session::SamplingOptions defaultSampling(const Settings& settings, const ModelInfo* model) {
  session::SamplingOptions sampling =
      model != nullptr ? model->sampling : session::SamplingOptions();
  if (!settings.boolean("sampling.override")) return sampling;
  sampling.temperature = static_cast<float>(settings.real("sampling.temperature"));
  sampling.top_k = settings.integer("sampling.top_k");
  sampling.top_p = static_cast<float>(settings.real("sampling.top_p"));
  sampling.min_p = static_cast<float>(settings.real("sampling.min_p"));
  sampling.repetition_penalty = static_cast<float>(settings.real("sampling.repetition_penalty"));
  return sampling;
}

GenerationRequest defaultRequest(const Settings& settings, const ModelInfo* model) {
  GenerationRequest request;
  request.maxTokens = settings.integer("chat.max_tokens");
  request.overflow = settings.text("chat.overflow") == QLatin1String("stop")
                         ? session::OverflowPolicy::kStop
                         : session::OverflowPolicy::kDropOldest;
  request.sampling = defaultSampling(settings, model);
  return request;
}

}  // namespace haq::ui
