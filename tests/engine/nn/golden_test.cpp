// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/engine/nn/decoder_fixture.h"
#include "tests/support/golden.h"

namespace haq::test {
namespace {

constexpr double kTolerance = 1e-3;
constexpr double kWeightTolerance = 1e-4;

/// What one forward pass showed to an observer.
struct Trace {
  std::vector<float> logits;
  std::map<int, std::vector<float>> hidden, router_logits, topk_weights;
  std::map<int, std::vector<std::int32_t>> topk_ids;
};

Trace trace_prompt(nn::Decoder& decoder, const std::vector<std::int32_t>& ids) {
  Trace trace;
  nn::Observer observer;
  observer.routed = [&](const nn::RoutedStep& step) {
    EXPECT_EQ(step.tokens, static_cast<std::int64_t>(ids.size()));
    trace.topk_ids[step.layer].assign(step.ids.begin(), step.ids.end());
    trace.topk_weights[step.layer].assign(step.weights.begin(), step.weights.end());
    trace.router_logits[step.layer].assign(step.router_logits.begin(), step.router_logits.end());
  };
  observer.hidden = [&](int layer, std::span<const float> rows, std::int64_t width) {
    EXPECT_EQ(rows.size(), ids.size() * static_cast<std::size_t>(width));
    trace.hidden[layer].assign(rows.begin(), rows.end());
  };
  const std::unique_ptr<nn::Sequence> sequence = decoder.new_sequence();
  const nn::Segment segment{sequence.get(), ids, nn::Segment::Logits::kAll};
  const std::span<const float> logits = decoder.forward(std::span(&segment, 1), &observer);
  trace.logits.assign(logits.begin(), logits.end());
  return trace;
}

void expect_hidden(const GoldenCase& one, const Trace& trace, int layers) {
  for (int layer = -1; layer <= layers; ++layer) {
    const std::string name = "hidden." + (layer < 0         ? "in"
                                          : layer == layers ? "final"
                                                            : std::to_string(layer));
    EXPECT_LT(deviation(trace.hidden.at(layer), one.floats(name)).max, kTolerance) << name;
  }
}

void expect_routing(const GoldenCase& one, const Trace& trace, int layers) {
  for (int layer = 0; layer < layers; ++layer) {
    const std::string n = std::to_string(layer);
    ASSERT_EQ(one.has("router_logits." + n), trace.topk_ids.count(layer) != 0) << "layer " << n;
    if (!one.has("router_logits." + n)) continue;
    EXPECT_LT(deviation(trace.router_logits.at(layer), one.floats("router_logits." + n)).max,
              kTolerance);
    EXPECT_EQ(trace.topk_ids.at(layer), one.tensors.at("topk_ids." + n).ints()) << "layer " << n;
    EXPECT_LT(deviation(trace.topk_weights.at(layer), one.floats("topk_weights." + n)).max,
              kWeightTolerance);
  }
}

class GoldenModel : public testing::TestWithParam<std::string> {};

TEST_P(GoldenModel, Float32AgreesWithTheReference) {
  const auto decoder = load_decoder(golden_model_dir(GetParam()));
  double worst = 0;
  for (const GoldenCase& one : golden_cases(GetParam())) {
    SCOPED_TRACE(one.name);
    const Trace trace = trace_prompt(*decoder, one.ids);
    const double difference = deviation(trace.logits, one.floats("logits")).max;
    EXPECT_LT(difference, kTolerance);
    worst = std::max(worst, difference);
    if (one.has("hidden.in")) expect_hidden(one, trace, decoder->config().layer_count());
    // Every reference case keeps its router logits further apart than a float32 pass can move them.
    expect_routing(one, trace, decoder->config().layer_count());
  }
  RecordProperty("max_logit_deviation", std::to_string(worst));
}

TEST_P(GoldenModel, GreedyContinuationWithTheCacheIsTheReference) {
  const auto decoder = load_decoder(golden_model_dir(GetParam()));
  for (const GoldenCase& one : golden_cases(GetParam())) {
    SCOPED_TRACE(one.name);
    EXPECT_EQ(continue_greedily(*decoder, one.ids, one.greedy.size()), one.greedy);
  }
}

/// Rows that went to the reference's experts in every layer.
std::vector<bool> rows_routed_alike(const GoldenCase& one, const Trace& trace) {
  std::vector<bool> alike(one.ids.size(), true);
  for (const auto& [layer, ids] : trace.topk_ids) {
    const auto expected = one.tensors.at("topk_ids." + std::to_string(layer)).ints();
    const std::size_t top_k = ids.size() / alike.size();
    for (std::size_t row = 0; row < alike.size(); ++row) {
      std::vector<std::int32_t> left(ids.begin() + static_cast<std::ptrdiff_t>(row * top_k),
                                     ids.begin() + static_cast<std::ptrdiff_t>((row + 1) * top_k));
      std::vector<std::int32_t> right(
          expected.begin() + static_cast<std::ptrdiff_t>(row * top_k),
          expected.begin() + static_cast<std::ptrdiff_t>((row + 1) * top_k));
      std::sort(left.begin(), left.end());
      std::sort(right.begin(), right.end());
      if (left != right) alike[row] = false;
    }
  }
  return alike;
}

std::vector<float> pick_rows(const std::vector<float>& rows, const std::vector<bool>& wanted) {
  const std::size_t width = rows.size() / wanted.size();
  std::vector<float> picked;
  for (std::size_t row = 0; row < wanted.size(); ++row) {
    if (!wanted[row]) continue;
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(row * width);
    picked.insert(picked.end(), first, first + static_cast<std::ptrdiff_t>(width));
  }
  return picked;
}

TEST_P(GoldenModel, Bfloat16StaysNearTheReferencesOwnDeviation) {
  const GoldenCase one = golden_case(GetParam(), "t33");
  LoadSettings settings;
  settings.compute = nn::Compute::kBf16;
  const auto decoder = load_decoder(golden_model_dir(GetParam()), settings);
  EXPECT_EQ(decoder->compute(), nn::Compute::kBf16);
  EXPECT_FALSE(decoder->int8());
  const Trace trace = trace_prompt(*decoder, one.ids);
  const std::vector<bool> alike = rows_routed_alike(one, trace);
  // A router may decide otherwise where two experts are nearly equal; such rows tell nothing.
  const auto others = std::count(alike.begin(), alike.end(), false);
  EXPECT_LE(others, static_cast<std::ptrdiff_t>(one.ids.size() / 5));
  const std::vector<float> expected = pick_rows(one.floats("logits"), alike);
  const Deviation ours = deviation(pick_rows(trace.logits, alike), expected);
  const Deviation reference = deviation(pick_rows(one.floats("logits_bf16"), alike), expected);
  EXPECT_LT(ours.max, 3 * reference.max);
  EXPECT_LT(ours.rms, 3 * reference.rms);
  RecordProperty("rows_routed_otherwise", std::to_string(others));
  RecordProperty("max_share", std::to_string(ours.max / reference.max));
  RecordProperty("rms_share", std::to_string(ours.rms / reference.rms));
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel, testing::ValuesIn(golden_models()),
                         [](const auto& subject) { return subject.param; });

}  // namespace
}  // namespace haq::test
