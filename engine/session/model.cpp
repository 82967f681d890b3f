// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <chrono>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/threads.h"
#include "engine/device/host/host_device.h"
#include "engine/session/session.h"

namespace haq::session {

namespace {

/// Context length whose KV cache the memory check counts: a cache grows in pages, so a model with a
/// huge maximum can still be used for shorter conversations.
constexpr std::int64_t kCheckedContext = 4096;

std::shared_ptr<const model::Checkpoint> open_checkpoint(const LoadOptions& options) {
  if (!options.synthetic.empty()) {
    return model::Checkpoint::synthetic(options.synthetic, options.synthetic_quantized);
  }
  return model::Checkpoint::open(options.folder.empty() ? model::demo_model_dir() : options.folder);
}

void add_unique(std::vector<std::int64_t>& ids, const std::vector<std::int64_t>& more) {
  for (const std::int64_t id : more) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
}

}  // namespace

/// Fills the private parts of a Model.
struct ModelLoader {
  static std::shared_ptr<Model> load(const LoadOptions& options, const ProgressCallback& progress,
                                     const CancelToken& cancel) {
    const auto start = std::chrono::steady_clock::now();
    if (options.prefill_chunk < 1 || options.prefill_chunk > 8192) {
      fail(ErrorCode::kInvalidArgument, "prefill chunk is {}, expected 1 to 8192",
           options.prefill_chunk);
    }
    if (options.threads < 0) {
      fail(ErrorCode::kInvalidArgument, "threads is {}, expected 0 (all cores) or more",
           options.threads);
    }
    if (progress) progress({"opening model", 0, 0, ""});
    std::shared_ptr<Model> model(new Model());
    model->prefill_chunk_ = options.prefill_chunk;
    model->threads_ = options.threads > 0 ? options.threads : available_cores();
    model->checkpoint_ = open_checkpoint(options);
    const model::Checkpoint& checkpoint = *model->checkpoint_;
    cancel.check();

    const std::int64_t context = std::min(checkpoint.config().max_positions, kCheckedContext);
    const bool fp32 = options.compute == nn::Compute::kFp32;
    const model::MemoryEstimate estimate = checkpoint.memory(context, fp32, options.prefill_chunk);
    check_memory(estimate, available_memory(), checkpoint.name(),
                 weights_in_place(checkpoint, estimate, options.compute));

    if (!checkpoint.is_synthetic()) load_text(*model);
    cancel.check();

    device::HostOptions host;
    host.threads = options.threads;
    host.max_isa = device::isa_limit_from_environment();
    nn::DecoderOptions decoder;
    decoder.compute = options.compute;
    decoder.prefill_chunk = options.prefill_chunk;
    model->decoder_ = nn::Decoder::load(model->checkpoint_, device::make_host_device(host), decoder,
                                        progress, cancel);
    add_unique(model->eos_ids_, checkpoint.config().eos_ids);
    add_unique(model->eos_ids_, checkpoint.generation().eos_ids);
    model->load_seconds_ =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return model;
  }

  static void load_text(Model& model) {
    const std::filesystem::path& folder = model.checkpoint_->folder();
    // Models without a tokenizer can still be driven by ids.
    if (!std::filesystem::exists(folder / "tokenizer.json")) return;
    model.tokenizer_ = text::Tokenizer::load(folder);
    model.template_ = text::ChatTemplate::load(folder);
  }
};

std::shared_ptr<Model> Model::load(const LoadOptions& options, const ProgressCallback& progress,
                                   const CancelToken& cancel) {
  return ModelLoader::load(options, progress, cancel);
}

const text::Tokenizer& Model::tokenizer() const {
  if (!tokenizer_) {
    throw Error(ErrorCode::kNotFound, fmt::format("{} has no tokenizer.json", checkpoint_->name()),
                "pass token ids instead of text, or add the tokenizer.json of the model");
  }
  return *tokenizer_;
}

SamplingOptions Model::chat_sampling() const {
  const model::GenerationDefaults& file = checkpoint_->generation();
  SamplingOptions options;
  options.temperature = file.temperature.value_or(0.7F);
  options.top_p = file.top_p.value_or(0.95F);
  options.top_k = file.top_k.value_or(50);  // as transformers where the file is silent
  options.min_p = file.min_p.value_or(0.0F);
  options.repetition_penalty = file.repetition_penalty.value_or(1.0F);
  if (file.do_sample.has_value() && !*file.do_sample) options.temperature = 0;
  options.check();
  return options;
}

std::int64_t weights_in_place(const model::Checkpoint& checkpoint,
                              const model::MemoryEstimate& estimate, nn::Compute compute) {
  const model::ModelConfig& config = checkpoint.config();
  const std::string precision = checkpoint.precision();
  const bool transposed = config.ffn == model::FfnKind::kGptOss && !config.quantized;
  const bool rounded = precision == "f32" && compute == nn::Compute::kBf16;
  if (checkpoint.is_synthetic() || precision == "f16" || transposed || rounded) return 0;
  return estimate.weights;
}

void check_memory(const model::MemoryEstimate& estimate, std::uint64_t available,
                  const std::string& model_name, std::int64_t in_place) {
  const auto needed = static_cast<std::uint64_t>(std::max<std::int64_t>(estimate.total(), 0));
  if (available == 0 || needed <= available) return;
  const std::int64_t must_stay = estimate.total() - estimate.packed - in_place;
  if (in_place > 0 && must_stay <= static_cast<std::int64_t>(available)) {
    const auto weights = static_cast<std::uint64_t>(estimate.weights);
    if (weights + static_cast<std::uint64_t>(estimate.kv_cache + estimate.buffers) > available) {
      log::warn(
          fmt::format("{}: {} of weights do not stay in {} of free memory; they are read "
                      "from the disk again and again, which is slow",
                      model_name, format_bytes(weights), format_bytes(available)));
    }
    return;
  }
  const auto part = [](std::int64_t bytes) {
    return format_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
  };
  throw Error(
      ErrorCode::kOutOfMemory,
      fmt::format("{} needs {} of memory (weights {}, packed copies {}, KV cache {}, "
                  "buffers {}), {} are available",
                  model_name, format_bytes(needed), part(estimate.weights), part(estimate.packed),
                  part(estimate.kv_cache), part(estimate.buffers), format_bytes(available)),
      "close other programs or choose a smaller or quantized model");
}

}  // namespace haq::session
