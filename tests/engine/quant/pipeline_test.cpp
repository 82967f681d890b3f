// SPDX-License-Identifier: GPL-3.0-or-later
// A whole model through the pipeline: what comes out, and what must not change it.
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "engine/device/host/host_device.h"
#include "engine/model/modules.h"
#include "engine/nn/decoder.h"
#include "engine/quant/folder/storage.h"
#include "tests/engine/quant/pipeline_fixture.h"
#include "tests/engine/quant/work_folder_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

using model::Role;
using test::error_of;
using test::PipelineRun;
using test::RunSettings;
using test::Sequences;

std::shared_ptr<const model::Checkpoint> golden(const std::string& name) {
  return model::Checkpoint::open(test::golden_model_dir(name));
}

/// Writes a run's result as a folder and reads the sequences with the int8 runtime.
std::vector<float> logits_of_folder(const std::shared_ptr<const model::Checkpoint>& source,
                                    const PipelineRun& run, const Sequences& sequences) {
  const test::TempDir dir;
  const auto target = dir.path() / "out";
  RunIdentity identity;
  identity.source_fingerprint = "source";
  identity.calibration_fingerprint = "text";
  {
    WorkFolder folder(target, source->folder(), identity, ResumeMode::kFresh);
    std::vector<std::string> ignore;
    model::for_each_module(run.model->config(), [&](const model::ModuleShape& shape) {
      const bool linear = !shape.is_vector() && shape.role != Role::kEmbedding &&
                          shape.role != Role::kPositionEmbedding;
      if (linear && !model::is_quantizable(shape.role)) {
        ignore.push_back(source->quantized_name(shape.role, shape.layer, shape.expert));
      }
    });
    folder.save_layer(global_tensors(*run.model));
    for (const LayerOutput& layer : run.layers) folder.save_layer(layer);
    model::ModelConfig config = run.model->config();
    folder.finish(*source, config, source->config().tied_head && !config.tied_head, ignore, {});
  }
  device::HostOptions host;
  host.threads = 2;
  const auto decoder =
      nn::Decoder::load(model::Checkpoint::open(target), device::make_host_device(host), {});
  std::vector<float> logits;
  for (const auto& ids : sequences) {
    const auto sequence = decoder->new_sequence();
    const nn::Segment segment{sequence.get(), ids, nn::Segment::Logits::kAll};
    const std::span<const float> rows = decoder->forward(std::span(&segment, 1));
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  return logits;
}

class PipelineModel : public testing::TestWithParam<std::string> {};

TEST_P(PipelineModel, QuantizesEveryLinearAndTheRuntimeReadsTheSameModel) {
  const auto source = golden(GetParam());
  const Sequences sequences = test::random_sequences(source->config(), 5, 40);
  const LayerRecipe recipe = LayerRecipe::of(Method::kHaq, source->config());
  const PipelineRun run = test::run_pipeline(source, recipe, sequences);
  std::set<std::string> reported;
  for (const LayerOutput& layer : run.layers) {
    for (const ModuleReport& report : layer.modules) {
      EXPECT_TRUE(reported.insert(report.name).second) << report.name;
      EXPECT_GT(report.tokens, 0) << report.name;
      EXPECT_GT(report.snr_db, 20) << report.name;
      EXPECT_GT(report.damping, 0) << report.name;
      EXPECT_GT(report.clip, 0.5) << report.name;
      EXPECT_LE(report.clip, 1.0 + 1e-6) << report.name;
    }
  }
  model::for_each_module(source->config(), [&](const model::ModuleShape& shape) {
    if (shape.layer < 0) return;
    const ModuleId id{shape.role, shape.layer, shape.expert};
    const LayerOutput& layer = run.layers[static_cast<std::size_t>(shape.layer)];
    const OutputTensor* weight = test::find_tensor(layer, weight_tensor_name(*source, id));
    ASSERT_NE(weight, nullptr) << weight_tensor_name(*source, id);
    if (shape.is_vector()) {
      EXPECT_EQ(weight->shape, (std::vector<std::int64_t>{shape.rows}));
      return;
    }
    EXPECT_EQ(weight->shape, (std::vector<std::int64_t>{shape.rows, shape.cols}));
    const std::string name = source->quantized_name(shape.role, shape.layer, shape.expert);
    const bool int8 = model::is_quantizable(shape.role);
    EXPECT_EQ(weight->dtype == DType::kI8, int8) << name;
    EXPECT_EQ(reported.count(name) == 1, int8) << name;
    EXPECT_EQ(test::find_tensor(layer, scale_tensor_name(*source, id)) != nullptr, int8) << name;
    EXPECT_EQ(test::find_tensor(layer, bias_tensor_name(*source, id)) != nullptr, shape.bias)
        << name;
  });
  EXPECT_TRUE(test::equal_bits(run.logits, logits_of_folder(source, run, sequences)));
}

TEST_P(PipelineModel, AFinishedLayerCarriesTheStateOnWithTheSameBits) {
  const auto source = golden(GetParam());
  const Sequences sequences = test::random_sequences(source->config(), 3, 24);
  const LayerRecipe recipe = LayerRecipe::quick(Method::kHaq, source->config());
  const PipelineRun run = test::run_pipeline(source, recipe, sequences);
  const PipelineRun resumed = test::resume_pipeline(source, run.layers, sequences);
  EXPECT_TRUE(test::equal_bits(run.logits, resumed.logits));
  EXPECT_EQ(run.routed, resumed.routed);
}

TEST_P(PipelineModel, ThePassInFloat32IsTheDecoders) {
  const auto source = golden(GetParam());
  const Sequences sequences = test::random_sequences(source->config(), 3, 24);
  const std::vector<float> logits = test::float32_logits(source, sequences);
  device::HostOptions host;
  host.threads = 1;
  nn::DecoderOptions options;
  options.compute = nn::Compute::kFp32;
  const auto decoder = nn::Decoder::load(source, device::make_host_device(host), options);
  std::vector<float> expected;
  for (const auto& ids : sequences) {
    const auto sequence = decoder->new_sequence();
    const nn::Segment segment{sequence.get(), ids, nn::Segment::Logits::kAll};
    const std::span<const float> rows = decoder->forward(std::span(&segment, 1));
    expected.insert(expected.end(), rows.begin(), rows.end());
  }
  EXPECT_TRUE(test::equal_bits(logits, expected));
}

INSTANTIATE_TEST_SUITE_P(Golden, PipelineModel,
                         testing::Values("mixtral", "llama", "deepseek_v2", "qwen2_moe",
                                         "granitemoe", "opt_125m", "opt_350m", "gpt_oss",
                                         "olmoe_clip", "phimoe", "mixtral_window"),
                         [](const auto& model) { return model.param; });

class Pipeline : public testing::Test {
 protected:
  std::shared_ptr<const model::Checkpoint> source_ = golden("mixtral");
  Sequences sequences_ = test::random_sequences(source_->config(), 6, 40);
  LayerRecipe recipe_ = LayerRecipe::of(Method::kHaq, source_->config());
};

TEST_F(Pipeline, ThreadsBatchesAndSpillingDoNotChangeAByte) {
  for (const std::string name : {"mixtral", "deepseek_v2", "opt_125m"}) {
    const auto source = golden(name);
    const PipelineRun expected = test::run_pipeline(source, recipe_, sequences_);
    const test::TempDir spill;
    std::vector<RunSettings> others(3);
    others[0].threads = 1;
    others[1].options.step_tokens = 50;
    others[2].options.activation_budget = 0;
    others[2].options.spill_folder = spill.path();
    others[2].threads = 3;
    for (const RunSettings& settings : others) {
      const PipelineRun run = test::run_pipeline(source, recipe_, sequences_, settings);
      ASSERT_EQ(run.layers.size(), expected.layers.size());
      for (std::size_t layer = 0; layer < run.layers.size(); ++layer) {
        EXPECT_TRUE(test::same_tensors(run.layers[layer], expected.layers[layer]))
            << name << " layer " << layer;
      }
      EXPECT_TRUE(test::equal_bits(run.logits, expected.logits)) << name;
    }
    EXPECT_TRUE(std::filesystem::is_empty(spill.path()));
  }
}

TEST_F(Pipeline, EveryMethodRunsAndSaysWhatItDid) {
  for (const Method method : {Method::kRtn, Method::kGptq, Method::kSmoothQuant, Method::kHaq}) {
    const PipelineRun run =
        test::run_pipeline(source_, LayerRecipe::of(method, source_->config()), sequences_);
    const bool solved = method == Method::kGptq || method == Method::kHaq;
    for (const LayerOutput& layer : run.layers) {
      for (const ModuleReport& report : layer.modules) {
        const bool norm_reader = report.role != Role::kO && report.role != Role::kDown;
        EXPECT_EQ(report.damping > 0, solved) << report.name;
        if (method == Method::kSmoothQuant && norm_reader) {
          EXPECT_EQ(report.smoothing, "alpha") << report.name;
          EXPECT_EQ(report.alpha, 0.8) << report.name;
        } else if (method != Method::kHaq) {
          EXPECT_EQ(report.smoothing, "none") << report.name;
          EXPECT_FALSE(report.alpha || report.threshold) << report.name;
        }
        EXPECT_EQ(report.error_final != report.error_smooth, solved) << report.name;
      }
    }
    EXPECT_LE(test::mean_error(run, &ModuleReport::error_final),
              test::mean_error(run, &ModuleReport::error_smooth) * 1.001)
        << to_string(method);
  }
}

TEST_F(Pipeline, ExpertsOnlyLeavesTheRestInSixteenBits) {
  recipe_.experts_only = true;
  for (const std::string name : {"mixtral", "deepseek_v2", "qwen2_moe"}) {
    const auto source = golden(name);
    const PipelineRun run = test::run_pipeline(source, recipe_, sequences_);
    for (const LayerOutput& layer : run.layers) {
      for (const OutputTensor& tensor : layer.tensors) {
        const bool expert = tensor.name.find("experts.") != std::string::npos &&
                            tensor.name.find("shared") == std::string::npos;
        EXPECT_EQ(tensor.dtype == DType::kI8, expert && !tensor.name.ends_with("_scale"))
            << tensor.name;
      }
      for (const ModuleReport& report : layer.modules) EXPECT_GE(report.expert, 0);
    }
    const PipelineRun resumed = test::resume_pipeline(source, run.layers, sequences_);
    EXPECT_TRUE(test::equal_bits(run.logits, resumed.logits));
  }
  const auto dense = golden("llama");
  const Error error = error_of([&] { test::run_pipeline(dense, recipe_, sequences_); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
}

TEST_F(Pipeline, CountsTheTokensOfEachExpertAndComparesTheRouters) {
  const PipelineRun run = test::run_pipeline(source_, recipe_, sequences_);
  std::int64_t tokens = 0;
  for (const auto& sequence : sequences_) tokens += static_cast<std::int64_t>(sequence.size());
  for (const LayerOutput& layer : run.layers) {
    std::int64_t routed = 0;
    ASSERT_EQ(layer.experts.size(), static_cast<std::size_t>(source_->config().experts));
    for (const ExpertReport& expert : layer.experts) {
      EXPECT_EQ(expert.layer, layer.layer);
      routed += expert.tokens;
    }
    EXPECT_EQ(routed, tokens * source_->config().top_k);
    EXPECT_EQ(layer.router_choices, tokens);
    EXPECT_GE(layer.router_equal, tokens * 95 / 100);
  }
}

TEST_F(Pipeline, RotatedModelsAreQuantizedLikewise) {
  RunSettings settings;
  settings.rotation = std::make_shared<Rotation>(source_->config(), 7);
  const PipelineRun run = test::run_pipeline(source_, recipe_, sequences_, settings);
  const PipelineRun plain =
      test::run_pipeline(source_, LayerRecipe::of(Method::kRtn, source_->config()), sequences_);
  // What plain rounding of the source costs is a property of the source alone, but for what the
  // layers before put out.
  for (std::size_t i = 0; i < plain.layers[0].modules.size(); ++i) {
    const ModuleReport& a = run.layers[0].modules[i];
    const ModuleReport& b = plain.layers[0].modules[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_NEAR(a.error_rtn, b.error_rtn, 0.35 * b.error_rtn) << a.name;
  }
  EXPECT_TRUE(test::equal_bits(run.logits, logits_of_folder(source_, run, sequences_)));
}

}  // namespace
}  // namespace haq::quant
