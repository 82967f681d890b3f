// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/base/error.h"

namespace haq::nn {
namespace {

using model::RopeConfig;
using model::RopeScaling;

constexpr std::int64_t kFirstTableLength = 1024;

std::vector<double> base_frequencies(const RopeConfig& rope) {
  std::vector<double> result(static_cast<std::size_t>(rope.dim / 2));
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = std::pow(static_cast<double>(rope.theta), -2.0 * static_cast<double>(i) / rope.dim);
  }
  return result;
}

/// Long wavelengths are stretched by `factor`, short ones kept, the band between blended.
void scale_llama3(const RopeConfig& rope, std::vector<double>& frequencies) {
  const auto original = static_cast<double>(rope.original_max_positions);
  for (double& frequency : frequencies) {
    const double turns = original * frequency / (2 * std::numbers::pi);
    if (turns > rope.high_freq_factor) continue;
    if (turns < rope.low_freq_factor) {
      frequency /= rope.factor;
      continue;
    }
    const double keep =
        (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    frequency = (1 - keep) * frequency / rope.factor + keep * frequency;
  }
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

/// Channel pairs that turn more than beta_fast times within the original context keep their
/// frequency, those that turn less than beta_slow times are interpolated, a linear ramp between.
double scale_yarn(const RopeConfig& rope, std::vector<double>& frequencies) {
  const auto channel_of = [&](double turns) {
    return rope.dim *
           std::log(static_cast<double>(rope.original_max_positions) /
                    (turns * 2 * std::numbers::pi)) /
           (2 * std::log(static_cast<double>(rope.theta)));
  };
  double low = channel_of(rope.beta_fast);
  double high = channel_of(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.dim - 1));
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / rope.factor * ramp + frequencies[i] * (1 - ramp);
  }
  if (rope.attention_factor) return *rope.attention_factor;
  // A value of 0 counts as absent, as in the published code.
  if (rope.mscale.value_or(0) != 0 && rope.mscale_all_dim.value_or(0) != 0) {
    return yarn_mscale(rope.factor, *rope.mscale) / yarn_mscale(rope.factor, *rope.mscale_all_dim);
  }
  return yarn_mscale(rope.factor, 1);
}

double scale_longrope(const RopeConfig& rope, std::int64_t max_positions, bool long_sequence,
                      std::vector<double>& frequencies) {
  // Models that carry two mscale values (Phi-3.5-MoE) switch the magnitude only and keep the short
  // factors, as transformers computes them; the others switch the factors.
  const bool switches_magnitude = rope.short_mscale && rope.long_mscale;
  const bool use_long = long_sequence && !switches_magnitude;
  const std::vector<double>& factors = use_long ? rope.long_factor : rope.short_factor;
  if (factors.size() != frequencies.size()) {
    fail(ErrorCode::kInvalidArgument, "rope_scaling.{}_factor has {} values, expected {}",
         use_long ? "long" : "short", factors.size(), frequencies.size());
  }
  for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
  if (switches_magnitude) return long_sequence ? *rope.long_mscale : *rope.short_mscale;
  if (rope.attention_factor) return *rope.attention_factor;
  const auto original = static_cast<double>(rope.original_max_positions);
  const double stretch =
      rope.factor > 1 ? rope.factor : static_cast<double>(max_positions) / original;
  return stretch <= 1 ? 1.0 : std::sqrt(1.0 + std::log(stretch) / std::log(original));
}

bool is_long_variant(const RopeConfig& rope, std::int64_t sequence_length) {
  return rope.scaling == RopeScaling::kLongRope && sequence_length > rope.original_max_positions;
}

}  // namespace

Rotation make_rotation(const RopeConfig& rope, std::int64_t max_positions,
                       std::int64_t sequence_length) {
  std::vector<double> frequencies = base_frequencies(rope);
  Rotation result;
  switch (rope.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      for (double& frequency : frequencies) frequency /= rope.factor;
      break;
    case RopeScaling::kLlama3:
      scale_llama3(rope, frequencies);
      break;
    case RopeScaling::kYarn:
      result.magnitude = scale_yarn(rope, frequencies);
      break;
    case RopeScaling::kLongRope:
      result.magnitude =
          scale_longrope(rope, max_positions, is_long_variant(rope, sequence_length), frequencies);
      break;
  }
  result.frequencies.assign(frequencies.begin(), frequencies.end());
  return result;
}

RotaryTables::RotaryTables(std::shared_ptr<device::Device> device, const RopeConfig& rope,
                           std::int64_t max_positions)
    : device_(std::move(device)), rope_(rope), max_positions_(max_positions) {
  if (rope_.dim == 0) return;
  short_.rotation = make_rotation(rope_, max_positions_, 0);
  if (rope_.scaling == RopeScaling::kLongRope) {
    long_.rotation = make_rotation(rope_, max_positions_, rope_.original_max_positions + 1);
  }
}

void RotaryTables::reserve(std::int64_t positions) {
  if (rope_.dim == 0 || positions <= reserved_) return;
  const std::int64_t wanted = std::max({positions, 2 * reserved_, kFirstTableLength});
  reserved_ = std::max(positions, std::min(wanted, max_positions_));
}

bool RotaryTables::is_long(std::int64_t sequence_length) const {
  return is_long_variant(rope_, sequence_length);
}

device::RotaryTable RotaryTables::table(std::int64_t sequence_length) {
  device::RotaryTable result;
  if (rope_.dim == 0) return result;
  Variant& variant = is_long(sequence_length) ? long_ : short_;
  if (variant.length < reserved_) fill(variant);
  result.cos = static_cast<const float*>(variant.cos->data());
  result.sin = static_cast<const float*>(variant.sin->data());
  result.length = variant.length;
  result.dim = rope_.dim;
  result.interleaved = rope_.interleaved;
  return result;
}

void RotaryTables::fill(Variant& variant) const {
  const std::vector<float>& frequencies = variant.rotation.frequencies;
  std::vector<float> cos(static_cast<std::size_t>(reserved_) * frequencies.size());
  std::vector<float> sin(cos.size());
  std::size_t at = 0;
  for (std::int64_t position = 0; position < reserved_; ++position) {
    for (const float frequency : frequencies) {
      // Exact: a float32 times an integer below 2^29 fits a double.
      const double angle = static_cast<double>(position) * static_cast<double>(frequency);
      cos[at] = static_cast<float>(std::cos(angle) * variant.rotation.magnitude);
      sin[at] = static_cast<float>(std::sin(angle) * variant.rotation.magnitude);
      ++at;
    }
  }
  device_->synchronize();  // earlier work may still read the tables that are replaced
  const std::size_t bytes = cos.size() * sizeof(float);
  variant.cos = device_->allocate(bytes);
  variant.sin = device_->allocate(bytes);
  device_->copy_to_device(variant.cos->data(), cos.data(), bytes);
  device_->copy_to_device(variant.sin->data(), sin.data(), bytes);
  variant.length = reserved_;
}

}  // namespace haq::nn
