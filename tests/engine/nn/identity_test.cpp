// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/device/host/host_device.h"
#include "tests/engine/nn/decoder_fixture.h"
#include "tests/support/golden.h"
#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {
namespace {

/// Models whose 16-bit folders have an int8 layout (no fused experts), covering dense, MoE with a
/// shared expert, sliding window, latent attention, learned positions and both q/k norms.
const std::vector<std::string> kQuantizable = {"mixtral",   "mixtral_window", "qwen2_moe",
                                               "qwen3_moe", "olmoe",          "llama",
                                               "phimoe",    "deepseek_v2",    "opt_350m"};

std::vector<std::string> subjects() {
  std::vector<std::string> names;
  for (const std::string& model : golden_models()) names.push_back(model + "_fp32");
  for (const std::string& model : kQuantizable) names.push_back(model + "_int8");
  return names;
}

/// A golden model in fp32 mode, or its plainly rounded int8 copy: the two kinds that promise equal
/// bits.
class BitIdentity : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string subject = GetParam();
    const std::string model = subject.substr(0, subject.size() - 5);
    int8_ = subject.substr(subject.size() - 5) == "_int8";
    folder_ = golden_model_dir(model);
    if (int8_) {
      write_quantized_folder(folder_, quantized_.path());
      folder_ = quantized_.path();
    }
    ids_ = golden_cases(model).back().ids;
    expected_ = run_prompt(*load(2), ids_);
  }

  std::unique_ptr<nn::Decoder> load(int threads, const std::string& isa = "native",
                                    bool emulated = false) const {
    LoadSettings settings;
    settings.compute = int8_ ? nn::Compute::kAuto : nn::Compute::kFp32;
    settings.threads = threads;
    settings.isa = isa;
    settings.emulated = emulated;
    auto decoder = load_decoder(folder_, settings);
    EXPECT_EQ(decoder->int8(), int8_);
    return decoder;
  }

  TempDir quantized_;
  std::filesystem::path folder_;
  bool int8_ = false;
  std::vector<std::int32_t> ids_;
  std::vector<float> expected_;
};

TEST_P(BitIdentity, ForEveryChunkSize) {
  const auto decoder = load(2);
  for (const std::size_t chunk : {1, 7, 512}) {
    EXPECT_TRUE(same_bits(run_prompt(*decoder, ids_, chunk), expected_)) << "chunk " << chunk;
  }
}

TEST_P(BitIdentity, ForEveryThreadCount) {
  for (const int threads : {1, 3}) {
    EXPECT_TRUE(same_bits(run_prompt(*load(threads), ids_), expected_)) << threads << " threads";
  }
}

TEST_P(BitIdentity, ForEveryInstructionSet) {
  for (const std::string& isa : device::runnable_isa_limits()) {
    EXPECT_TRUE(same_bits(run_prompt(*load(2, isa), ids_), expected_)) << isa;
  }
}

// Its operations run later and on memory that the host cannot read: a forward pass that peeks, or
// that changes what it handed over too early, shows here.
TEST_P(BitIdentity, OnAnAsynchronousDevice) {
  const auto decoder = load(2, "native", true);
  for (const std::size_t chunk : {1, 512}) {
    EXPECT_TRUE(same_bits(run_prompt(*decoder, ids_, chunk), expected_)) << "chunk " << chunk;
  }
}

TEST_P(BitIdentity, InABatchAndAlone) {
  const auto decoder = load(2);
  const std::span<const std::int32_t> ids(ids_);
  const std::vector<std::int32_t> reversed(ids_.rbegin(), ids_.rend());
  const std::vector<float> expected_reversed = run_prompt(*decoder, reversed);
  const auto vocab = static_cast<std::size_t>(decoder->config().vocab);

  const auto first = decoder->new_sequence();
  const auto second = decoder->new_sequence();
  for (nn::Sequence* sequence : {first.get(), second.get()}) {
    sequence->set_planned_length(static_cast<std::int64_t>(ids_.size()));
  }
  // The second sequence starts one step earlier, so the two stand at different positions.
  const std::size_t head = ids_.size() / 2;
  const nn::Segment early{second.get(), std::span(reversed).first(head),
                          nn::Segment::Logits::kNone};
  EXPECT_TRUE(decoder->forward(std::span(&early, 1)).empty());
  const std::vector<nn::Segment> both = {
      {first.get(), ids, nn::Segment::Logits::kAll},
      {second.get(), std::span(reversed).subspan(head), nn::Segment::Logits::kLast}};
  const std::span<const float> logits = decoder->forward(both);
  ASSERT_EQ(logits.size(), expected_.size() + vocab);
  EXPECT_TRUE(same_bits(logits.first(expected_.size()), expected_));
  EXPECT_TRUE(same_bits(logits.last(vocab), std::span<const float>(expected_reversed).last(vocab)));
}

TEST_P(BitIdentity, AfterTruncateAndAppend) {
  const auto decoder = load(2);
  const auto sequence = decoder->new_sequence();
  const auto vocab = static_cast<std::size_t>(decoder->config().vocab);
  const std::size_t kept = ids_.size() / 3;
  const std::span<const std::int32_t> ids(ids_);
  append(*decoder, *sequence, ids);
  sequence->truncate(static_cast<std::int64_t>(kept));
  EXPECT_EQ(sequence->length(), static_cast<std::int64_t>(kept));
  std::vector<std::int32_t> other(ids_.begin(), ids_.end());
  std::reverse(other.begin(), other.end());
  append(*decoder, *sequence, std::span<const std::int32_t>(other).subspan(kept));
  sequence->truncate(static_cast<std::int64_t>(kept));
  const std::vector<float> again = append(*decoder, *sequence, ids.subspan(kept));
  EXPECT_TRUE(same_bits(again, std::span<const float>(expected_).subspan(kept * vocab)));
}

INSTANTIATE_TEST_SUITE_P(Models, BitIdentity, testing::ValuesIn(subjects()),
                         [](const auto& subject) { return subject.param; });

class Int8Model : public testing::TestWithParam<std::string> {};

TEST_P(Int8Model, StaysCloseToThe16BitModel) {
  TempDir folder;
  write_quantized_folder(golden_model_dir(GetParam()), folder.path());
  LoadSettings settings;
  settings.compute = nn::Compute::kAuto;
  const auto decoder = load_decoder(folder.path(), settings);
  const GoldenCase one = golden_case(GetParam(), "t33");
  const std::vector<float> reference = one.floats("logits");
  const std::vector<float> logits = run_prompt(*decoder, one.ids);
  // Plain rounding of these small random models costs a few percent of the logits' spread (0.8 to
  // 3); a wrong scale or a transposed matrix costs more than the spread itself. The median row is
  // looked at because near-ties of a router send single rows to other experts.
  const auto vocab = static_cast<std::size_t>(decoder->config().vocab);
  std::vector<double> row_rms;
  for (std::size_t at = 0; at < logits.size(); at += vocab) {
    row_rms.push_back(
        deviation(std::span(logits).subspan(at, vocab), std::span(reference).subspan(at, vocab))
            .rms);
  }
  std::sort(row_rms.begin(), row_rms.end());
  EXPECT_LT(row_rms[row_rms.size() / 2], 0.25);
  EXPECT_GT(row_rms[row_rms.size() / 2], 1e-4) << "not quantized at all";
}

INSTANTIATE_TEST_SUITE_P(Models, Int8Model, testing::ValuesIn(kQuantizable),
                         [](const auto& subject) { return subject.param; });

}  // namespace
}  // namespace haq::test
