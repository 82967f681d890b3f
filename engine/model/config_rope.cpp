// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <string_view>

#include "engine/model/config_readers.h"

namespace haq::model {
namespace {

constexpr double kMaxFactor = 1e6;
constexpr double kMaxTheta = 1e12;

/// Every key of a rotary section that is understood. Another one may change the frequencies, so it
/// is refused.
constexpr std::array<std::string_view, 19> kKnownKeys = {
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "beta_fast",
    "beta_slow",
    "truncate",
    "high_freq_factor",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
    "short_factor",
    "long_factor",
    "short_mscale",
    "long_mscale",
    "finetuned",
    "partial_rotary_factor",
    "original_max_position_embeddings",
};

void check_keys(const Fields& section) {
  for (const auto& [key, value] : section.object().items()) {
    if (value.is_null()) continue;
    if (value.is_object()) section.unsupported(key, "one setting for all layers");
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), key) == kKnownKeys.end()) {
      section.unsupported(key, "a known rotary setting");
    }
  }
  if (section.real_if("partial_rotary_factor", 0, 1).value_or(1) != 1) {
    section.unsupported("partial_rotary_factor", "1");
  }
}

RopeScaling read_type(const Fields& section, const ModelConfig& config) {
  const auto modern = section.text_if("rope_type");
  const auto old = section.text_if("type");
  if (modern && old && *modern != *old) {
    section.wrong("type", fmt::format("the same as rope_type \"{}\"", *modern));
  }
  const std::string type = modern.value_or(old.value_or("default"));
  const char* key = modern ? "rope_type" : "type";
  if (type == "default") {
    if (section.real_if("factor", 0, kMaxFactor).value_or(1) != 1 && !modern && !old) {
      section.missing("rope_type", "the kind of scaling that \"factor\" belongs to");
    }
    return RopeScaling::kNone;
  }
  if (type == "linear") return RopeScaling::kLinear;
  if (type == "llama3") return RopeScaling::kLlama3;
  if (type == "yarn") return RopeScaling::kYarn;
  if (type == "longrope") {
    // Others combine it with rules of their own that nothing here has been checked against.
    if (config.model_type != "phimoe") section.unsupported(key, "longrope with phimoe only");
    return RopeScaling::kLongRope;
  }
  section.unsupported(key, "default, linear, llama3, yarn or longrope");
}

void read_longrope(const Fields& section, RopeConfig& rope) {
  const auto factors = [&](const char* key) {
    auto values = section.reals_if(key, 1e-6, kMaxFactor);
    const std::string expected = fmt::format("{} numbers", rope.dim / 2);
    if (!values) section.missing(key, expected);
    if (values->size() != static_cast<std::size_t>(rope.dim / 2)) section.wrong(key, expected);
    return *values;
  };
  rope.short_factor = factors("short_factor");
  rope.long_factor = factors("long_factor");
  rope.short_mscale = section.real("short_mscale", 1e-6, kMaxFactor);
  rope.long_mscale = section.real("long_mscale", 1e-6, kMaxFactor);
}

void read_scaling(const Fields& section, RopeConfig& rope) {
  switch (rope.scaling) {
    case RopeScaling::kNone:
      return;
    case RopeScaling::kLinear:
      rope.factor = section.real("factor", 1, kMaxFactor);
      return;
    case RopeScaling::kLlama3:
      rope.factor = section.real("factor", 1, kMaxFactor);
      rope.low_freq_factor = section.real("low_freq_factor", 1e-6, kMaxFactor);
      rope.high_freq_factor = section.real("high_freq_factor", 1e-6, kMaxFactor);
      if (rope.high_freq_factor <= rope.low_freq_factor) {
        section.wrong("high_freq_factor", "more than low_freq_factor");
      }
      return;
    case RopeScaling::kYarn:
      rope.factor = section.real("factor", 1, kMaxFactor);
      rope.beta_fast = section.real_if("beta_fast", 1e-6, kMaxFactor).value_or(32);
      rope.beta_slow = section.real_if("beta_slow", 1e-6, kMaxFactor).value_or(1);
      if (rope.beta_fast < rope.beta_slow) section.wrong("beta_fast", "at least beta_slow");
      rope.truncate = section.boolean("truncate", true);
      rope.attention_factor = section.real_if("attention_factor", 1e-6, kMaxFactor);
      rope.mscale = section.real_if("mscale", 0, kMaxFactor);
      rope.mscale_all_dim = section.real_if("mscale_all_dim", 0, kMaxFactor);
      return;
    case RopeScaling::kLongRope:
      read_longrope(section, rope);
      return;
  }
}

}  // namespace

void read_rope(const Fields& fields, ModelConfig& config, double default_theta, int dim) {
  RopeConfig rope;
  rope.dim = dim;
  if (dim % 2 != 0) {
    fields.wrong(fields.has("head_dim") ? "head_dim" : "num_attention_heads",
                 fmt::format("an even number of rotated channels per head, not {}", dim));
  }
  double theta = fields.real_if("rope_theta", 1, kMaxTheta).value_or(default_theta);
  const bool modern = fields.has("rope_parameters");
  if (const auto section = fields.child(modern ? "rope_parameters" : "rope_scaling")) {
    check_keys(*section);
    theta = section->real_if("rope_theta", 1, kMaxTheta).value_or(theta);
    rope.scaling = read_type(*section, config);
    read_scaling(*section, rope);
    if (rope.scaling != RopeScaling::kNone && rope.scaling != RopeScaling::kLinear) {
      constexpr const char* kOriginal = "original_max_position_embeddings";
      const auto inner = section->integer_if(kOriginal, 1, kMaxPositions);
      const auto outer = fields.integer_if(kOriginal, 1, kMaxPositions);
      rope.original_max_positions = inner.value_or(outer.value_or(config.max_positions));
    }
  }
  rope.theta = static_cast<float>(theta);
  config.rope = rope;
}

}  // namespace haq::model
