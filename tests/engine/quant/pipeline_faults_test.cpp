// SPDX-License-Identifier: GPL-3.0-or-later
// Outliers, damaged weights, and work that is halted or stopped.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "engine/base/error.h"
#include "tests/engine/quant/pipeline_fixture.h"
#include "tests/engine/quant/transform_fixture.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

using test::EditedModel;
using test::PipelineRun;
using test::RunSettings;
using test::Sequences;
using test::TensorFile;
using testing::HasSubstr;

double error_of_readers(const PipelineRun& run, double ModuleReport::*error) {
  double sum = 0;
  for (const LayerOutput& layer : run.layers) {
    for (const ModuleReport& report : layer.modules) {
      const bool norm_reader = report.role != model::Role::kO && report.role != model::Role::kDown;
      if (norm_reader) sum += report.*error;
    }
  }
  return sum;
}

TEST(PipelineOutliers, SmoothingAndRotationRepairWhatPlainRoundingLoses) {
  const EditedModel model("llama", test::plant_outliers);
  const auto source = model.checkpoint();
  const Sequences sequences = test::random_sequences(source->config(), 6, 40);
  const LayerRecipe haq = LayerRecipe::of(Method::kHaq, source->config());
  RunSettings rotated;
  rotated.rotation = std::make_shared<Rotation>(source->config(), 5);
  for (const RunSettings& settings : {RunSettings{}, rotated}) {
    const PipelineRun run = test::run_pipeline(source, haq, sequences, settings);
    const double rtn = error_of_readers(run, &ModuleReport::error_rtn);
    EXPECT_LT(error_of_readers(run, &ModuleReport::error_smooth), rtn / 20);
    EXPECT_LT(error_of_readers(run, &ModuleReport::error_final), rtn / 20);
  }
  const PipelineRun gptq =
      test::run_pipeline(source, LayerRecipe::of(Method::kGptq, source->config()), sequences);
  const double rtn = error_of_readers(gptq, &ModuleReport::error_rtn);
  EXPECT_GT(error_of_readers(gptq, &ModuleReport::error_final), rtn / 20)
      << "the loss is the activations'";
}

TEST(PipelineOutliers, NoSmoothingIsAmongTheCandidates) {
  const auto source = model::Checkpoint::open(test::golden_model_dir("mixtral"));
  const Sequences sequences = test::random_sequences(source->config(), 6, 40);
  LayerRecipe recipe = LayerRecipe::of(Method::kHaq, source->config());
  recipe.solve = false;
  const PipelineRun smooth = test::run_pipeline(source, recipe, sequences);
  const PipelineRun plain =
      test::run_pipeline(source, LayerRecipe::of(Method::kRtn, source->config()), sequences);
  EXPECT_LE(test::mean_error(smooth, &ModuleReport::error_final),
            test::mean_error(plain, &ModuleReport::error_final) * 1.02);
}

class PipelineFaults : public testing::Test {
 protected:
  static Error failure_of(const std::string& model, const std::string& tensor, float value,
                          Method method) {
    const EditedModel edited(model, [&](nlohmann::json&, TensorFile& tensors) {
      test::change(tensors, tensor,
                   [&](std::vector<float>& values) { values[values.size() / 2] = value; });
    });
    const auto source = edited.checkpoint();
    try {
      test::run_pipeline(source, LayerRecipe::of(method, source->config()),
                         test::random_sequences(source->config(), 3, 30));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error for " << tensor;
    return Error(ErrorCode::kInternal, "");
  }
};

TEST_F(PipelineFaults, AWeightThatIsNotFiniteIsNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  for (const Method method : {Method::kRtn, Method::kHaq}) {
    for (const std::string name :
         {"model.layers.1.self_attn.v_proj", "model.layers.0.self_attn.o_proj",
          "model.layers.1.block_sparse_moe.experts.2.w2",
          "model.layers.0.block_sparse_moe.experts.3.w1", "model.layers.1.block_sparse_moe.gate",
          "model.layers.1.post_attention_layernorm"}) {
      for (const float value : {nan, infinite}) {
        const Error error = failure_of("mixtral", name + ".weight", value, method);
        EXPECT_EQ(error.code(), ErrorCode::kNumeric) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(name));
      }
    }
    const Error embedding = failure_of("mixtral", "model.embed_tokens.weight", nan, method);
    EXPECT_EQ(embedding.code(), ErrorCode::kNumeric) << embedding.what();
    const Error dense = failure_of("llama", "model.layers.2.mlp.down_proj.weight", nan, method);
    EXPECT_THAT(dense.what(), HasSubstr("model.layers.2.mlp.down_proj"));
  }
}

TEST_F(PipelineFaults, RefusesSequencesThatDoNotFitTheModel) {
  const auto source = model::Checkpoint::open(test::golden_model_dir("llama"));
  const LayerRecipe recipe = LayerRecipe::of(Method::kRtn, source->config());
  const auto code_of = [&](const Sequences& sequences) {
    try {
      test::run_pipeline(source, recipe, sequences);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of({}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({{1, 2}, {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({{1, 100000}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({std::vector<std::int32_t>(257, 1)}), ErrorCode::kInvalidArgument);
}

class PipelineControl : public testing::Test {
 protected:
  std::shared_ptr<const model::Checkpoint> source_ =
      model::Checkpoint::open(test::golden_model_dir("mixtral"));
  Sequences sequences_ = test::random_sequences(source_->config(), 4, 30);
  LayerRecipe recipe_ = LayerRecipe::of(Method::kHaq, source_->config());
};

TEST_F(PipelineControl, StopsAtWhateverPointItIsAskedTo) {
  int reports = 0;
  RunSettings counting;
  counting.events.progress = [&](const Progress&) { ++reports; };
  test::run_pipeline(source_, recipe_, sequences_, counting);
  ASSERT_GT(reports, 10);
  for (int at = 1; at < reports; at += 3) {
    RunSettings settings;
    int seen = 0;
    settings.events.progress = [&](const Progress&) {
      if (++seen == at) settings.cancel.cancel();
    };
    try {
      test::run_pipeline(source_, recipe_, sequences_, settings);
      // Reports after the last module of the last layer find nothing left to stop.
      EXPECT_LE(std::abs(seen - at), 12);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCancelled) << error.what();
    }
  }
}

TEST_F(PipelineControl, EventsComeOnTheCallingThreadAndProgressGrows) {
  const auto here = std::this_thread::get_id();
  RunSettings settings;
  std::uint64_t last = 0;
  std::set<std::string> modules;
  settings.events.progress = [&](const Progress& progress) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_FALSE(progress.stage.empty());
    if (progress.done == 0) last = 0;
    EXPECT_GE(progress.done, last) << progress.stage;
    EXPECT_LE(progress.done, progress.total);
    last = progress.done;
  };
  settings.events.module_done = [&](const ModuleReport& report) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_TRUE(modules.insert(report.name).second) << report.name;
  };
  const PipelineRun run = test::run_pipeline(source_, recipe_, sequences_, settings);
  std::size_t expected = 0;
  for (const LayerOutput& layer : run.layers) expected += layer.modules.size();
  EXPECT_EQ(modules.size(), expected);
}

TEST_F(PipelineControl, APauseHoldsTheWorkAndChangesNothing) {
  const PipelineRun expected = test::run_pipeline(source_, recipe_, sequences_);
  RunSettings settings;
  settings.pause.pause();
  std::atomic<int> reports{0};
  settings.events.progress = [&](const Progress&) { ++reports; };
  std::thread resumer([&] {
    while (settings.pause.waited().count() == 0) std::this_thread::yield();
    EXPECT_EQ(reports.load(), 0);
    settings.pause.resume();
  });
  const PipelineRun run = test::run_pipeline(source_, recipe_, sequences_, settings);
  resumer.join();
  EXPECT_GT(reports.load(), 0);
  EXPECT_TRUE(test::equal_bits(run.logits, expected.logits));
}

TEST_F(PipelineControl, APausedRunCanBeStopped) {
  const PauseToken pause;
  const CancelToken cancel;
  pause.pause();
  EXPECT_TRUE(pause.paused());
  std::thread stopper([&] {
    while (pause.waited().count() == 0) std::this_thread::yield();
    cancel.cancel();
  });
  EXPECT_THROW(pause.wait(cancel), Error);
  stopper.join();
  pause.resume();
  EXPECT_FALSE(pause.paused());
  EXPECT_GT(pause.waited().count(), 0);
}

}  // namespace
}  // namespace haq::quant
