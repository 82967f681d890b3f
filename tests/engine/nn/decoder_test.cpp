// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_device.h"
#include "tests/engine/nn/decoder_fixture.h"
#include "tests/support/golden.h"
#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {
namespace {

using nn::Segment;
using testing::HasSubstr;

void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& action) {
  try {
    action();
    FAIL() << "expected an error that says: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

/// A golden model folder with changed tensors.
void write_changed_folder(const std::string& model, const std::filesystem::path& target,
                          const std::function<void(TensorFile&)>& change) {
  TensorFile tensors = read_tensor_folder(golden_model_dir(model));
  change(tensors);
  write_tensor_file(target / "model.safetensors", tensors);
  std::filesystem::copy_file(golden_model_dir(model) / "config.json", target / "config.json");
}

class DecoderFaults : public testing::Test {
 protected:
  DecoderFaults() : decoder_(load_decoder(golden_model_dir("mixtral"))) {
    sequence_ = decoder_->new_sequence();
    append(*decoder_, *sequence_, prompt_);
  }

  void refuse(ErrorCode code, const std::string& text, const std::vector<Segment>& segments,
              const nn::Observer* observer = nullptr, const CancelToken* cancel = nullptr) {
    expect_error(code, text, [&] { decoder_->forward(segments, observer, cancel); });
    EXPECT_EQ(sequence_->length(), static_cast<std::int64_t>(prompt_.size()));
  }

  /// The next step gives what it would have given without the refused one.
  void expect_unharmed() {
    const std::vector<float> after = append(*decoder_, *sequence_, next_);
    const auto fresh = decoder_->new_sequence();
    append(*decoder_, *fresh, prompt_);
    EXPECT_TRUE(same_bits(after, append(*decoder_, *fresh, next_)));
  }

  const std::vector<std::int32_t> prompt_ = {3, 1, 4, 1, 5};
  const std::vector<std::int32_t> next_ = {9, 2};
  std::unique_ptr<nn::Decoder> decoder_;
  std::unique_ptr<nn::Sequence> sequence_;
};

TEST_F(DecoderFaults, IdsOutsideTheVocabulary) {
  const std::vector<std::int32_t> high = {1, 256};
  const std::vector<std::int32_t> negative = {-1};
  refuse(ErrorCode::kInvalidArgument, "token id 256: expected 0 to 255", {{sequence_.get(), high}});
  refuse(ErrorCode::kInvalidArgument, "token id -1", {{sequence_.get(), negative}});
  expect_unharmed();
}

TEST_F(DecoderFaults, EmptyStepsAndSegments) {
  refuse(ErrorCode::kInvalidArgument, "at least one segment", {});
  refuse(ErrorCode::kInvalidArgument, "segment 1 has no tokens",
         {{sequence_.get(), next_}, {decoder_->new_sequence().get(), {}}});
}

TEST_F(DecoderFaults, SequencesThatDoNotBelong) {
  refuse(ErrorCode::kInvalidArgument, "another decoder", {{nullptr, next_}});
  const auto other = load_decoder(golden_model_dir("mixtral"));
  const auto foreign = other->new_sequence();
  refuse(ErrorCode::kInvalidArgument, "another decoder", {{foreign.get(), next_}});
  refuse(ErrorCode::kInvalidArgument, "twice",
         {{sequence_.get(), next_}, {sequence_.get(), next_}});
  expect_unharmed();
}

TEST_F(DecoderFaults, PositionsBeyondTheContext) {
  const std::int64_t room = decoder_->config().max_positions - sequence_->length();
  const std::vector<std::int32_t> too_many(static_cast<std::size_t>(room + 1), 7);
  refuse(ErrorCode::kInvalidArgument, "do not fit the context of", {{sequence_.get(), too_many}});
  expect_unharmed();
  sequence_->truncate(static_cast<std::int64_t>(prompt_.size()));
  const std::vector<std::int32_t> exactly(static_cast<std::size_t>(room), 7);
  append(*decoder_, *sequence_, exactly);
  EXPECT_EQ(sequence_->length(), decoder_->config().max_positions);
}

TEST_F(DecoderFaults, StepsThatAreTooLarge) {
  const std::vector<std::int32_t> ids(200, 7);
  std::vector<std::unique_ptr<nn::Sequence>> sequences;
  std::vector<Segment> segments;
  while (segments.size() * ids.size() <= nn::kMaxStepTokens) {
    sequences.push_back(decoder_->new_sequence());
    segments.push_back({sequences.back().get(), ids});
  }
  refuse(ErrorCode::kLimit, "expected at most 8192", segments);
}

TEST_F(DecoderFaults, TruncateBounds) {
  expect_error(ErrorCode::kInvalidArgument, "5 tokens to 6", [&] { sequence_->truncate(6); });
  expect_error(ErrorCode::kInvalidArgument, "to -1", [&] { sequence_->truncate(-1); });
}

TEST_F(DecoderFaults, AnObserverThatThrowsEndsTheStep) {
  nn::Observer observer;
  observer.routed = [](const nn::RoutedStep& step) {
    if (step.layer == 1) throw Error(ErrorCode::kInvalidArgument, "enough");
  };
  refuse(ErrorCode::kInvalidArgument, "enough", {{sequence_.get(), next_}}, &observer);
  expect_unharmed();
}

TEST_F(DecoderFaults, CancelBetweenLayers) {
  const CancelToken cancel;
  nn::Observer observer;
  observer.hidden = [&](int layer, std::span<const float>, std::int64_t) {
    EXPECT_LE(layer, 0) << "went on after the cancel";
    if (layer == 0) cancel.cancel();
  };
  refuse(ErrorCode::kCancelled, "cancelled", {{sequence_.get(), next_}}, &observer, &cancel);
  expect_unharmed();
}

TEST_F(DecoderFaults, CancelBeforeTheExperts) {
  const CancelToken cancel;
  nn::Observer observer;
  observer.routed = [&](const nn::RoutedStep& step) {
    EXPECT_EQ(step.layer, 0);
    cancel.cancel();
  };
  observer.hidden = [](int layer, std::span<const float>, std::int64_t) { EXPECT_LT(layer, 0); };
  refuse(ErrorCode::kCancelled, "cancelled", {{sequence_.get(), next_}}, &observer, &cancel);
  expect_unharmed();
}

TEST(Decoder, RouterLogitsAreShownOnlyWithHiddenStates) {
  const auto decoder = load_decoder(golden_model_dir("mixtral"));
  const std::vector<std::int32_t> ids = {5, 6, 7};
  std::vector<std::size_t> sizes;
  nn::Observer observer;
  observer.routed = [&](const nn::RoutedStep& step) {
    EXPECT_EQ(step.ids.size(), ids.size() * static_cast<std::size_t>(step.top_k));
    EXPECT_EQ(step.weights.size(), step.ids.size());
    sizes.push_back(step.router_logits.size());
  };
  const auto run = [&] {
    const auto sequence = decoder->new_sequence();
    const Segment segment{sequence.get(), ids};
    decoder->forward(std::span(&segment, 1), &observer);
  };
  run();
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 0}));
  observer.hidden = [](int, std::span<const float>, std::int64_t) {};
  run();
  const std::size_t full = ids.size() * static_cast<std::size_t>(decoder->config().experts);
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 0, full, full}));
}

TEST(Decoder, KeysAndValuesGrowWithTheSequence) {
  const auto decoder = load_decoder(golden_model_dir("mixtral"));
  const auto sequence = decoder->new_sequence();
  append(*decoder, *sequence, std::vector<std::int32_t>(3, 7));
  const std::size_t short_bytes = sequence->kv_bytes();
  const model::ModelConfig& config = decoder->config();
  const auto per_token = sizeof(float) * 2 * static_cast<std::size_t>(config.layer_count()) *
                         static_cast<std::size_t>(config.kv_heads * config.head_dim);
  EXPECT_GE(short_bytes, 3 * per_token);
  append(*decoder, *sequence, std::vector<std::int32_t>(147, 7));
  EXPECT_GE(sequence->kv_bytes(), 150 * per_token);
  EXPECT_GT(sequence->kv_bytes(), short_bytes) << "pages were not allocated as needed";
}

TEST(Decoder, LogitsOfTheLastRowAreThoseOfAllRows) {
  const auto decoder = load_decoder(golden_model_dir("granitemoe"));
  const std::vector<std::int32_t> ids = {5, 6, 7};
  const std::vector<float> all = run_prompt(*decoder, ids);
  const auto sequence = decoder->new_sequence();
  const Segment last{sequence.get(), ids, Segment::Logits::kLast};
  const std::span<const float> logits = decoder->forward(std::span(&last, 1));
  const auto vocab = static_cast<std::size_t>(decoder->config().vocab);
  ASSERT_EQ(logits.size(), vocab);
  EXPECT_TRUE(same_bits(logits, std::span(all).last(vocab)));
}

TEST(Decoder, AnotherExpertRunnerReplacesTheDefault) {
  struct Silent final : nn::ExpertRunner {
    void run(const nn::RoutedStep& step, device::ConstRows x, device::Rows slots) override {
      EXPECT_EQ(x.rows * step.top_k, slots.rows);
      std::fill_n(slots.data, slots.rows * slots.cols, 0.0F);
      ++calls;
    }
    int calls = 0;
  };
  const auto decoder = load_decoder(golden_model_dir("qwen2_moe"));
  const std::vector<std::int32_t> ids = {5, 6, 7};
  const std::vector<float> usual = run_prompt(*decoder, ids);
  const auto silent = std::make_shared<Silent>();
  decoder->set_expert_runner(silent);
  EXPECT_GT(deviation(run_prompt(*decoder, ids), usual).max, 0.01);
  EXPECT_EQ(silent->calls, decoder->config().layer_count());
  decoder->set_expert_runner(nullptr);
  EXPECT_TRUE(same_bits(run_prompt(*decoder, ids), usual));
}

TEST(Decoder, LongropeDoesNotDependOnHowASequenceGrew) {
  const auto decoder = load_decoder(golden_model_dir("phimoe"));
  const GoldenCase one = golden_case("phimoe", "t90");  // the rotation changes beyond 64 tokens
  const std::span<const std::int32_t> ids(one.ids);
  const auto vocab = static_cast<std::size_t>(decoder->config().vocab);
  const std::vector<float> expected = run_prompt(*decoder, ids);
  const auto sequence = decoder->new_sequence();
  std::vector<float> logits;
  for (const std::size_t piece : {60U, 4U, 1U, 25U}) {  // nothing planned
    const std::size_t first = static_cast<std::size_t>(sequence->length());
    const Segment segment{sequence.get(), ids.subspan(first, piece), Segment::Logits::kAll};
    const std::span<const float> rows = decoder->forward(std::span(&segment, 1));
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  EXPECT_TRUE(
      same_bits(std::span(logits).subspan(64 * vocab), std::span(expected).subspan(64 * vocab)));

  // Back below the switch: as if the sequence had never been longer.
  sequence->truncate(40);
  const std::vector<float> again = append(*decoder, *sequence, ids.subspan(40, 20));
  EXPECT_TRUE(same_bits(again, std::span(logits).subspan(40 * vocab, 20 * vocab)));
}

TEST(Decoder, NonFiniteWeightsAreReportedWithTheirLayer) {
  struct Fault {
    const char* tensor;
    const char* message;
  };
  for (const Fault& fault :
       {Fault{"model.layers.1.self_attn.o_proj.weight", "layer 1, in the attention"},
        Fault{"model.layers.2.mlp.down_proj.weight", "layer 2, in the feed-forward network"},
        Fault{"lm_head.weight", "lm_head"}}) {
    SCOPED_TRACE(fault.tensor);
    const TempDir folder;
    write_changed_folder("llama", folder.path(), [&](TensorFile& tensors) {
      TestTensor& tensor = tensors.at(fault.tensor);
      std::vector<float> values = tensor.floats();
      values[3] = std::numeric_limits<float>::quiet_NaN();
      tensor = make_f32(tensor.shape, values);
    });
    const auto decoder = load_decoder(folder.path());
    const auto sequence = decoder->new_sequence();
    const std::vector<std::int32_t> ids = {5, 6, 7};
    const Segment segment{sequence.get(), ids};
    expect_error(ErrorCode::kNumeric, fault.message,
                 [&] { decoder->forward(std::span(&segment, 1)); });
    EXPECT_EQ(sequence->length(), 0);
  }
}

TEST(Decoder, NonFiniteRowsAreFoundWithoutLogits) {
  const TempDir folder;
  write_changed_folder("llama", folder.path(), [](TensorFile& tensors) {
    TestTensor& tensor = tensors.at("model.layers.0.mlp.up_proj.weight");
    std::vector<float> values = tensor.floats();
    values[0] = std::numeric_limits<float>::infinity();
    tensor = make_f32(tensor.shape, values);
  });
  const auto decoder = load_decoder(folder.path());
  const auto sequence = decoder->new_sequence();
  const std::vector<std::int32_t> ids = {5, 6, 7};
  const Segment segment{sequence.get(), ids, Segment::Logits::kNone};
  expect_error(ErrorCode::kNumeric, "layer 0", [&] { decoder->forward(std::span(&segment, 1)); });
}

TEST(DecoderLoad, ReportsProgressAndCanBeCancelled) {
  const auto checkpoint = model::Checkpoint::open(golden_model_dir("mixtral"));
  std::vector<Progress> reports;
  nn::Decoder::load(checkpoint, device::make_host_device({}), {},
                    [&](const Progress& progress) { reports.push_back(progress); });
  ASSERT_GT(reports.size(), 10U);
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end(),
                             [](const auto& a, const auto& b) { return a.done < b.done; }));
  EXPECT_EQ(reports.back().done, reports.back().total);
  EXPECT_STREQ(reports.back().unit, "bytes");

  const CancelToken cancel;
  int calls = 0;
  const auto stop_after_three = [&](const Progress&) {
    if (++calls == 3) cancel.cancel();
  };
  expect_error(ErrorCode::kCancelled, "cancelled", [&] {
    nn::Decoder::load(checkpoint, device::make_host_device({}), {}, stop_after_three, cancel);
  });
  EXPECT_EQ(calls, 3);
}

TEST(DecoderLoad, NamesAMissingTensor) {
  const TempDir folder;
  write_changed_folder("mixtral", folder.path(), [](TensorFile& tensors) {
    tensors.erase("model.layers.1.block_sparse_moe.experts.2.w3.weight");
  });
  try {
    load_decoder(folder.path());
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.layers.1.block_sparse_moe.experts.2.w3"));
  }
}

TEST(DecoderLoad, RefusesWhatMakesNoSense) {
  const auto checkpoint = model::Checkpoint::open(golden_model_dir("llama"));
  for (const int chunk : {0, -1, nn::kMaxStepTokens + 1}) {
    nn::DecoderOptions options;
    options.prefill_chunk = chunk;
    expect_error(ErrorCode::kInvalidArgument, "prefill chunk",
                 [&] { nn::Decoder::load(checkpoint, device::make_host_device({}), options); });
  }
  const TempDir folder;
  write_quantized_folder(golden_model_dir("llama"), folder.path());
  expect_error(ErrorCode::kInvalidArgument, "int8 weights", [&] { load_decoder(folder.path()); });
}

TEST(DecoderLoad, ChoosesTheComputeOfTheFile) {
  LoadSettings settings;
  settings.compute = nn::Compute::kAuto;
  EXPECT_EQ(load_decoder(golden_model_dir("llama"), settings)->compute(), nn::Compute::kBf16);
  EXPECT_EQ(load_decoder(golden_model_dir("mixtral_fp16"), settings)->compute(),
            nn::Compute::kBf16);
  EXPECT_EQ(load_decoder(golden_model_dir("llama_fp32"), settings)->compute(), nn::Compute::kFp32);
}

TEST(DecoderLoad, CountsTheBytesOneTokenReads) {
  const auto decoder = load_decoder(golden_model_dir("mixtral"));
  const model::ModelConfig& config = decoder->config();
  std::size_t expected = 0;
  std::size_t all = 0;
  for (const auto& [name, tensor] : read_tensor_folder(golden_model_dir("mixtral"))) {
    const std::size_t bytes = tensor.bytes.size();
    all += tensor.shape.size() == 2 ? bytes : 0;
    if (name == "model.embed_tokens.weight") {
      expected += bytes / static_cast<std::size_t>(config.vocab);
    } else if (name.find(".experts.") != std::string::npos) {
      expected +=
          bytes * static_cast<std::size_t>(config.top_k) / static_cast<std::size_t>(config.experts);
    } else {
      expected += tensor.shape.size() == 1 ? 2 * bytes : bytes;  // vectors are widened to float32
    }
  }
  const nn::DecoderStats stats = decoder->stats();
  EXPECT_EQ(stats.weight_bytes_per_token, expected);
  EXPECT_EQ(stats.mapped_bytes, all);
}

}  // namespace
}  // namespace haq::test
