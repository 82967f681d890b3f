// SPDX-License-Identifier: GPL-3.0-or-later
// What a run will need. Sizes follow from the configuration alone; only the speed of this machine's
// matrix product is measured.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "engine/base/error.h"
#include "engine/base/memory.h"
#include "engine/base/threads.h"
#include "engine/model/modules.h"
#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/quantizer.h"

namespace haq::quant {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kShardBytes = std::int64_t{4} << 30;
/// Rows of one smoothing candidate's trial, and how many candidates there are.
constexpr double kTrialRows = 512, kFullCandidates = 34, kCoarseCandidates = 8;
constexpr double kRotationTokens = 2048;
/// Share of the product's speed that the whole work reaches: it also moves and rounds much.
constexpr double kEfficiency = 0.35;

fs::path source_folder(const QuantizeOptions& options) {
  return options.source.empty() ? model::demo_model_dir() : options.source;
}

/// The folder itself or the nearest one above it that exists.
fs::path existing_ancestor(const fs::path& target) {
  std::error_code error;
  fs::path place = fs::absolute(target, error);
  if (error) place = target;
  while (!fs::exists(place, error) && place.has_parent_path() && place != place.parent_path()) {
    place = place.parent_path();
  }
  return place;
}

std::int64_t free_bytes(const fs::path& folder) {
  struct statvfs info = {};
  if (::statvfs(folder.c_str(), &info) != 0) {
    fail(ErrorCode::kIo, "{}: cannot ask for free space: {}", folder.string(),
         std::strerror(errno));
  }
  return static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize);
}

/// float32 operations per second of one thread's matrix product, from a product of a few
/// milliseconds.
double product_speed() {
  constexpr std::int64_t kSize = 384;
  Matrix a(kSize, kSize), b(kSize, kSize), c(kSize, kSize);
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    a.values[i] = static_cast<float>(i % 17) * 0.1F;
    b.values[i] = static_cast<float>(i % 13) * 0.1F;
  }
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    gemm_nt(a, b, 1, 0, c);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kSize * kSize * kSize / std::max(took.count(), 1e-9));
  }
  return best;
}

bool is_attention(model::Role role) {
  switch (role) {
    case model::Role::kQ:
    case model::Role::kK:
    case model::Role::kV:
    case model::Role::kO:
    case model::Role::kQA:
    case model::Role::kQB:
    case model::Role::kKvA:
    case model::Role::kKvB:
      return true;
    default:
      return false;
  }
}

/// Sums over the modules of a model.
class Needs {
 public:
  Needs(const model::Checkpoint& source, const QuantizeOptions& options)
      : options_(options), config_(source.config()) {
    element_ = source.precision() == "f32" ? 4 : 2;
    tokens_ = static_cast<double>(options.calibration.tokens);
    layers_.resize(config_.layers.size());
    model::for_each_module(config_, [&](const model::ModuleShape& module) { add(module); });
  }

  std::int64_t written_bytes() const { return written_; }
  /// Of the largest finished layer.
  std::int64_t layer_bytes() const {
    std::int64_t most = 0;
    for (const Layer& layer : layers_) most = std::max(most, layer.written);
    return most;
  }
  /// float32 weights at work: an attention block, or one expert per thread.
  std::int64_t work_weights(int threads) const {
    std::int64_t most = 0;
    for (const Layer& layer : layers_) {
      most = std::max({most, layer.attention, layer.dense, threads * layer.expert});
    }
    return 4 * most;
  }
  /// A Hessian with its factor and the solver's copy of the weights, per thread.
  std::int64_t hessians(int threads) const {
    return threads * (2 * 4 * widest_ * widest_ + 2 * 4 * largest_module_);
  }
  std::int64_t global_bytes() const { return globals_; }
  double operations() const { return operations_ + rotation_operations(); }

 private:
  struct Layer {
    std::int64_t written = 0;
    std::int64_t attention = 0, dense = 0, expert = 0;  ///< weights; expert: of one
  };

  bool quantized(const model::ModuleShape& module) const {
    return model::is_quantizable(module.role) && (!options_.experts_only || module.expert >= 0);
  }

  /// Rows of calibration data that pass this module.
  double rows(const model::ModuleShape& module) const {
    if (module.expert < 0) return tokens_;
    const double routed = static_cast<double>(config_.top_k) / config_.experts;
    return tokens_ * (routed + LayerRecipe().all_expert_share);
  }

  void add(const model::ModuleShape& module) {
    const std::int64_t bytes =
        quantized(module) ? module.weights() + 4 * module.rows : element_ * module.parameters();
    written_ += bytes;
    if (module.layer < 0) {
      globals_ += module.parameters() * (element_ + 4);
      return;
    }
    Layer& layer = layers_[static_cast<std::size_t>(module.layer)];
    layer.written += bytes;
    if (module.is_vector()) return;
    if (is_attention(module.role)) {
      layer.attention += module.weights();
    } else if (module.expert < 0) {
      layer.dense += module.weights();
    } else if (module.expert == 0) {
      layer.expert += module.weights();
    }
    largest_module_ = std::max(largest_module_, module.weights());
    add_operations(module);
  }

  void add_operations(const model::ModuleShape& module) {
    const auto weights = static_cast<double>(module.weights());
    const auto width = static_cast<double>(module.cols);
    // Once for statistics, once more through the quantized layer.
    operations_ += 2 * 2 * rows(module) * weights;
    forward_ += 2 * rows(module) * weights / tokens_;
    if (!quantized(module)) return;
    widest_ = std::max(widest_, module.cols);
    if (options_.method == Method::kHaq) {
      operations_ += kFullCandidates * 2 * kTrialRows * weights;
      searched_ += kCoarseCandidates * 2 * kTrialRows * weights;
    }
    if (options_.method == Method::kHaq || options_.method == Method::kGptq) {
      // Modules that share an input share its Hessian: about two of three.
      operations_ += (rows(module) * width * width + 1.4 * width * width * width) / 2;
      operations_ += weights * width;
    }
  }

  double rotation_operations() const {
    if (options_.method != Method::kHaq || options_.rotate == RotateMode::kOff) return 0;
    const double candidates = options_.rotation_seeds + 1;
    const double head = 2.0 * config_.hidden * config_.vocab;
    return kRotationTokens * (forward_ + head) * (1 + 3 * candidates) + searched_ * candidates;
  }

  const QuantizeOptions& options_;
  const model::ModelConfig& config_;
  std::int64_t element_ = 2;
  double tokens_ = 0;
  std::vector<Layer> layers_;
  std::int64_t written_ = 0, globals_ = 0, widest_ = 0, largest_module_ = 0;
  double operations_ = 0, forward_ = 0, searched_ = 0;
};

std::string amount(std::int64_t bytes) {
  return format_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
}

}  // namespace

Preflight estimate(const QuantizeOptions& options) {
  const auto source = model::Checkpoint::open(source_folder(options));
  const model::ModelConfig& config = source->config();
  if (config.quantized) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} is already quantized (8-bit weights)", source->name()),
                "choose the 16-bit model that it was made from");
  }
  if (options.experts_only && config.experts == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has no experts: nothing would be quantized", source->name()),
                "leave the restriction to experts out");
  }
  const int threads = options.threads > 0 ? options.threads : available_cores();
  const Needs needs(*source, options);
  Preflight result;
  result.disk_free = free_bytes(existing_ancestor(options.target));
  // Finished layers are removed as the model's files are made of them, shard by shard.
  result.disk_weights = needs.written_bytes() + std::min(needs.written_bytes(), kShardBytes);
  result.memory_available = static_cast<std::int64_t>(available_memory());

  const std::int64_t activations =
      options.calibration.tokens * static_cast<std::int64_t>(config.hidden) * 4;
  const std::int64_t budget = options.activation_budget > 0
                                  ? static_cast<std::int64_t>(options.activation_budget)
                                  : result.memory_available / 4;
  result.disk_spill = std::max<std::int64_t>(activations - budget, 0);
  int widest_ffn = config.shared_width;
  for (const auto& layer : config.layers) widest_ffn = std::max(widest_ffn, layer.ffn_width);
  const std::int64_t step =
      PipelineOptions().step_tokens *
      (std::int64_t{8} * config.hidden + std::int64_t{4} * widest_ffn * std::max(config.top_k, 1)) *
      4;
  result.memory_activations = std::min(activations, budget) + step;
  // The finished layer and the copy that the forward pass packs of it.
  result.memory_layer = 2 * needs.layer_bytes() + needs.work_weights(threads);
  result.memory_hessians = needs.hessians(threads);
  result.memory_model = needs.global_bytes();
  result.seconds = needs.operations() / (product_speed() * threads * kEfficiency);
  return result;
}

void check(const Preflight& preflight, const QuantizeOptions& options) {
  const fs::path place = existing_ancestor(options.target);
  std::error_code error;
  if (!fs::is_directory(place, error)) {
    fail(ErrorCode::kInvalidArgument, "{}: not a folder", place.string());
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot write there: {}", place.string(), std::strerror(errno)),
                "choose another output folder");
  }
  if (preflight.disk() > preflight.disk_free) {
    throw Error(
        ErrorCode::kNoSpace,
        fmt::format("{}: the run needs {} of disk space (weights {}, temporary activations "
                    "{}), {} are free",
                    place.string(), amount(preflight.disk()), amount(preflight.disk_weights),
                    amount(preflight.disk_spill), amount(preflight.disk_free)),
        "free some space or choose a folder on another disk");
  }
  if (preflight.memory_available > 0 && preflight.memory() > preflight.memory_available) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("the run needs {} of memory (activations {}, a layer {}, Hessians {}, "
                            "embedding and head {}), {} are available",
                            amount(preflight.memory()), amount(preflight.memory_activations),
                            amount(preflight.memory_layer), amount(preflight.memory_hessians),
                            amount(preflight.memory_model), amount(preflight.memory_available)),
                "close other programs, use fewer threads or fewer calibration tokens");
  }
}

}  // namespace haq::quant
