// SPDX-License-Identifier: GPL-3.0-or-later
// Random weights of published shapes, so that speed can be measured without a download. Numbers are
// cheap (xorshift in eight lanes, bit patterns put together without arithmetic), deterministic, and
// different in every matrix; each row has a seed of its own, so rows can be made in any order.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/model/architecture.h"
#include "engine/model/convert.h"
#include "engine/model/modules.h"

namespace haq::model {
namespace {

struct PublishedShape {
  const char* name;
  const char* config;  ///< the fields of the published config.json that matter
};

// Sources: config.json of allenai/OLMoE-1B-7B-0924, mistralai/Mixtral-8x7B-v0.1,
// Qwen/Qwen3-30B-A3B.
constexpr std::array<PublishedShape, 3> kShapes = {{
    {"olmoe-1b-7b", R"({"model_type": "olmoe", "hidden_size": 2048, "num_hidden_layers": 16,
      "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 1024,
      "num_experts": 64, "num_experts_per_tok": 8, "norm_topk_prob": false, "vocab_size": 50304,
      "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})"},
    {"mixtral-8x7b", R"({"model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
      "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000,
      "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})"},
    {"qwen3-30b-a3b", R"({"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48,
      "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
      "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
      "num_experts_per_tok": 8, "norm_topk_prob": true, "vocab_size": 151936,
      "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})"},
}};

constexpr std::string_view kLayersOption = ":layers=";

std::string known_shapes() {
  std::string list;
  for (const auto& shape : kShapes) list += std::string(list.empty() ? "" : ", ") + shape.name;
  return list;
}

ModelConfig config_of(const std::string& text) {
  const auto colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const auto* shape = std::find_if(kShapes.begin(), kShapes.end(),
                                   [&](const PublishedShape& known) { return name == known.name; });
  if (shape == kShapes.end()) {
    fail(ErrorCode::kInvalidArgument, "unknown synthetic shape \"{}\", expected one of {}",
         name.substr(0, 100), known_shapes());
  }
  ModelConfig config = parse_config(parse_json(shape->config, shape->name), shape->name);
  if (colon == std::string::npos) return config;

  const std::string_view option = std::string_view(text).substr(colon);
  std::size_t layers = 0;
  const char* end = option.data() + option.size();
  std::from_chars_result result{};
  if (option.rfind(kLayersOption, 0) == 0) {
    result = std::from_chars(option.data() + kLayersOption.size(), end, layers);
  }
  if (result.ptr != end || result.ec != std::errc() || layers < 1 ||
      layers > config.layers.size()) {
    fail(ErrorCode::kInvalidArgument,
         "synthetic shape \"{}\": expected \"{}{}N\" with N in [1, {}]", text.substr(0, 100), name,
         kLayersOption, config.layers.size());
  }
  config.layers.resize(layers);
  return config;
}

/// The finalizer of splitmix64: spreads neighbouring seeds over all 64 bits.
std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

/// Eight independent xorshift64 generators (Marsaglia 2003, shifts 13, 7, 17), stepped together so
/// that the compiler can use vector registers.
class Lanes {
 public:
  static constexpr std::size_t kCount = 8;
  explicit Lanes(std::uint64_t seed) {
    for (std::size_t i = 0; i < kCount; ++i) state_[i] = mix(seed + i) | 1U;
  }
  const std::array<std::uint64_t, kCount>& next() {
    for (auto& x : state_) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
    }
    return state_;
  }

 private:
  alignas(64) std::array<std::uint64_t, kCount> state_{};
};

/// Writes `bytes` bytes of transformed random words.
template <typename Transform>
void fill_row(std::byte* out, std::size_t bytes, std::uint64_t seed, Transform transform) {
  Lanes lanes(seed);
  std::array<std::uint64_t, Lanes::kCount> block;
  while (bytes > 0) {
    const auto& words = lanes.next();
    for (std::size_t i = 0; i < Lanes::kCount; ++i) block[i] = transform(words[i]);
    const std::size_t size = std::min(bytes, sizeof block);
    std::memcpy(out, block.data(), size);
    out += size;
    bytes -= size;
  }
}

/// bf16 numbers of random sign and mantissa with one of four neighbouring exponents, which gives a
/// standard deviation of 0.88 times 2^e for the largest exponent e.
void fill_bf16(std::byte* out, std::size_t count, std::uint64_t seed, double deviation) {
  constexpr double kDeviation = 0.88;
  constexpr std::uint64_t kEveryLane = 0x0001000100010001ULL;
  constexpr std::uint64_t kSignAndMantissa = 0x807f * kEveryLane;
  constexpr std::uint64_t kTwoExponentBits = 0x0180 * kEveryLane;
  const auto exponent =
      static_cast<std::uint64_t>(127 + std::lround(std::log2(deviation / kDeviation)));
  const std::uint64_t top = (exponent << 7) * kEveryLane;
  fill_row(out, count * 2, seed, [=](std::uint64_t word) {
    return (word & kSignAndMantissa) | (top - (word & kTwoExponentBits));
  });
}

/// Uniform in [-127, 127].
void fill_int8(std::byte* out, std::size_t count, std::uint64_t seed) {
  fill_row(out, count, seed, [](std::uint64_t word) { return word; });
  auto* values = reinterpret_cast<std::int8_t*>(out);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::int8_t>(values[i] + (values[i] == -128 ? 1 : 0));
  }
}

class SyntheticCheckpoint final : public Checkpoint {
 public:
  SyntheticCheckpoint(const std::string& shape, bool quantized, std::uint64_t seed) : seed_(seed) {
    config_ = config_of(shape);
    config_.quantized = quantized;
    architecture_ = find_architecture(config_.model_type);
    name_ = shape;
    weight_type_ = DType::kBF16;
    const ParameterSummary sizes = parameters();
    weight_bytes_ = quantized ? sizes.bytes8 : sizes.bytes16;
  }

  LinearWeights linear(Role role, int layer, int expert, DType) const override {
    const ModuleShape shape = shape_of(role, layer, expert);
    const bool int8 = config_.quantized && is_quantizable(role);
    const std::uint64_t seed = seed_of(shape);
    // Inputs have a mean square near one after a norm: such weights keep it there.
    const double deviation =
        role == Role::kEmbedding ? 1.0 : 1.0 / std::sqrt(static_cast<double>(shape.cols));
    const DType type = int8 ? DType::kI8 : DType::kBF16;
    OwnedMatrix owned = allocate_matrix(type, shape.rows, shape.cols);
    const std::size_t stride = static_cast<std::size_t>(shape.cols) * size_of(type);
    LinearWeights weights;
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      const std::uint64_t row_seed = mix(seed + static_cast<std::uint64_t>(row));
      std::byte* out = owned.bytes + static_cast<std::size_t>(row) * stride;
      if (int8) {
        fill_int8(out, static_cast<std::size_t>(shape.cols), row_seed);
        weights.scale.push_back(scale_of(deviation, row_seed));
      } else {
        fill_bf16(out, static_cast<std::size_t>(shape.cols), row_seed, deviation);
      }
    }
    weights.weight = owned.matrix;
    return weights;
  }

  std::vector<float> vector(Role role, int layer) const override {
    return std::vector<float>(static_cast<std::size_t>(shape_of(role, layer, -1).rows), 1.0F);
  }
  std::vector<float> norm_bias(Role, int) const override { return {}; }
  bool has(Role role, int layer, int expert) const override {
    return module_shape(config_, role, layer, expert).has_value();
  }
  std::string module_name(Role role, int layer, int expert) const override {
    for (const auto& row : architecture_->modules) {
      if (row.role == role && row.expert == (expert >= 0)) {
        return fill_pattern(row.pattern, architecture_->prefixes.front(), layer, expert);
      }
    }
    fail(ErrorCode::kNotFound, "{} has no such module", name_);
  }
  std::string quantized_name(Role role, int layer, int expert) const override {
    return fill_pattern(separate_module(*architecture_, role, expert >= 0),
                        architecture_->prefixes.front(), layer, expert);
  }
  std::string fingerprint(const ProgressCallback&, const CancelToken&) const override {
    Hash128 hash;
    hash.update(fmt::format("synthetic|{}|{}|{}", name_, config_.quantized, seed_));
    return hash.hex();
  }
  std::string base_fingerprint() const override {
    Hash128 hash;
    hash.update(fmt::format("synthetic|{}|{}|{}", name_, false, seed_));
    return hash.hex();
  }

 private:
  ModuleShape shape_of(Role role, int layer, int expert) const {
    if (const auto shape = module_shape(config_, role, layer, expert)) return *shape;
    fail(ErrorCode::kNotFound, "{} has no such module (role {}, layer {}, expert {})", name_,
         static_cast<int>(role), layer, expert);
  }

  std::uint64_t seed_of(const ModuleShape& shape) const {
    std::uint64_t seed = mix(seed_);
    for (const int part : {static_cast<int>(shape.role), shape.layer, shape.expert}) {
      seed = mix(seed ^ static_cast<std::uint64_t>(part + 1));
    }
    return seed;
  }

  /// A scale for values uniform in [-127, 127], varied by a quarter from row to row.
  static float scale_of(double deviation, std::uint64_t row_seed) {
    constexpr double kUniformDeviation = 73.6;  // sqrt(127 * 128 / 3)
    const double vary = 0.75 + 0.5 * static_cast<double>(row_seed >> 11) * 0x1p-53;
    return static_cast<float>(deviation / kUniformDeviation * vary);
  }

  const Architecture* architecture_ = nullptr;
  std::uint64_t seed_;
};

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::synthetic(const std::string& shape, bool quantized,
                                                        std::uint64_t seed) {
  return std::make_shared<SyntheticCheckpoint>(shape, quantized, seed);
}

}  // namespace haq::model
