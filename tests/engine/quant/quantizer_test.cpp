// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/quantizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/session/session.h"
#include "tests/engine/quant/run_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/golden.h"
#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"
#include "tests/support/tensor_file.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::small_run;
using test::TempDir;
using testing::HasSubstr;

/// The weights and small files of a finished folder; reports tell times.
std::map<std::string, std::string> model_files(const fs::path& folder) {
  auto files = test::read_files(folder);
  files.erase(kReportFile);
  return files;
}

class EveryArchitecture : public testing::TestWithParam<std::string> {};

TEST_P(EveryArchitecture, BecomesAModelThatRuns) {
  const TempDir folder;
  const QuantizeOptions options = small_run(folder.path(), GetParam(), Method::kHaq);
  const auto source = test::read_files(options.source);
  const QuantizeResult result = quantize(options);
  EXPECT_EQ(test::read_files(options.source), source) << "the source was touched";
  EXPECT_FALSE(result.held_out.empty());
  EXPECT_FALSE(result.report.modules.empty());
  EXPECT_LT(result.report.bytes_after, result.report.bytes_before);
  for (const ModuleReport& module : result.report.modules) {
    SCOPED_TRACE(module.name);
    EXPECT_GT(module.snr_db, 15);
  }
  session::LoadOptions load;
  load.folder = options.target;
  load.threads = 2;
  const auto model = session::Model::load(load);
  EXPECT_TRUE(model->decoder().int8());
  EXPECT_EQ(model->checkpoint().base_fingerprint(), result.report.base_fingerprint);
  session::Context context(model);
  session::GenerateOptions generate;
  generate.max_tokens = 4;
  generate.ignore_eos = true;
  const std::vector<std::int32_t> prompt = {3, 14, 15};
  EXPECT_EQ(context.generate(prompt, generate).ids.size(), 4U);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryArchitecture, testing::ValuesIn(test::golden_models()),
                         [](const auto& subject) { return subject.param; });

TEST(Quantize, EveryMethodAndSettingGivesItsReport) {
  for (const Method method : {Method::kRtn, Method::kGptq, Method::kSmoothQuant, Method::kHaq}) {
    SCOPED_TRACE(to_string(method));
    const TempDir folder;
    QuantizeOptions options = small_run(folder.path(), "mixtral", method);
    options.rotate = RotateMode::kOff;
    int started = 0, done = 0, modules = 0;
    std::uint64_t last = 0;
    QuantizeEvents events;
    events.layer_started = [&](int layer, int layers) {
      EXPECT_EQ(layer, started++);
      EXPECT_EQ(layers, 2);
    };
    events.layer_done = [&](const LayerOutput& layer, bool resumed) {
      EXPECT_EQ(layer.layer, done++);
      EXPECT_FALSE(resumed);
    };
    events.module_done = [&](const ModuleReport&) { ++modules; };
    events.progress = [&](const Progress& progress) {
      EXPECT_GE(progress.done, last);
      EXPECT_EQ(progress.total, 1000U);
      last = progress.done;
    };
    const Report report = quantize(options, events).report;
    EXPECT_EQ(last, 1000U);
    EXPECT_EQ(done, 2);
    EXPECT_EQ(modules, static_cast<int>(report.modules.size()));
    EXPECT_EQ(report.modules.size(), 2U * (4 + 4 * 3));
    EXPECT_EQ(report.experts.size(), 2U * 4);
    EXPECT_EQ(report.calib_tokens, 256);
    EXPECT_EQ(report.method, method);
    EXPECT_FALSE(report.rotated);
    EXPECT_FALSE(report.rotation_reason.empty());
    std::ifstream file(options.target / kReportFile);
    const Report read = report_from_json(nlohmann::json::parse(file), kReportFile);
    EXPECT_EQ(read.modules.size(), report.modules.size());
    EXPECT_EQ(read.run_fingerprint, report.run_fingerprint);
  }
}

TEST(Quantize, ThreadsDoNotChangeTheBytes) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path(), "mixtral", Method::kHaq);
  options.rotate = RotateMode::kOn;
  options.threads = 1;
  quantize(options);
  const auto one = model_files(options.target);
  options.threads = 3;
  options.target = folder.path() / "three";
  quantize(options);
  EXPECT_EQ(model_files(options.target), one);
}

TEST(Quantize, AStoppedRunGoesOnWithTheSameBytes) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path(), "olmoe", Method::kHaq);
  options.rotate = RotateMode::kOn;
  quantize(options);
  const auto whole = model_files(options.target);

  options.target = folder.path() / "stopped";
  const CancelToken cancel;
  QuantizeEvents events;
  events.layer_done = [&](const LayerOutput&, bool) { cancel.cancel(); };
  expect_error(ErrorCode::kCancelled, {}, [&] { quantize(options, events, cancel); });
  EXPECT_FALSE(fs::exists(options.target / "config.json"));
  const WorkFolder::Status status = WorkFolder::inspect(options.target);
  EXPECT_FALSE(status.finished);
  EXPECT_FALSE(status.running);
  EXPECT_EQ(status.layers_done, 1);

  expect_error(ErrorCode::kConflict, {}, [&] { quantize(options); });
  options.resume = ResumeMode::kResume;
  QuantizeOptions other = options;
  other.calibration.seed = 5;
  expect_error(ErrorCode::kConflict, {"seed"}, [&] { quantize(other); });
  int resumed = 0;
  events.layer_done = [&](const LayerOutput&, bool was) { resumed += was ? 1 : 0; };
  quantize(options, events);
  EXPECT_EQ(resumed, 1);
  EXPECT_EQ(model_files(options.target), whole);

  // Once more: nothing is left to do.
  const auto before = test::read_files(options.target);
  events.layer_started = [](int, int) { ADD_FAILURE() << "worked again"; };
  const QuantizeResult again = quantize(options, events);
  EXPECT_FALSE(again.report.modules.empty());
  EXPECT_FALSE(again.held_out.empty());
  EXPECT_EQ(test::read_files(options.target), before);
  options.calibration.seed = 9;
  expect_error(ErrorCode::kConflict, {"finished"}, [&] { quantize(options); });
}

TEST(Quantize, ExpertsOnlyLeavesTheRestAlone) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  options.experts_only = true;
  const Report report = quantize(options).report;
  EXPECT_EQ(report.modules.size(), 2U * 4 * 3);
  const test::TensorFile before = test::read_tensor_folder(options.source);
  const test::TensorFile after = test::read_tensor_folder(options.target);
  const std::string q = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_EQ(after.at(q).bytes, before.at(q).bytes);
  EXPECT_EQ(after.at("model.layers.0.block_sparse_moe.experts.1.w1.weight").dtype, "I8");
}

TEST(Quantize, ExpertsOnlyNeedsExperts) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path(), "llama");
  options.experts_only = true;
  expect_error(ErrorCode::kInvalidArgument, {"no experts"}, [&] { quantize(options); });
  EXPECT_FALSE(fs::exists(options.target));
}

TEST(Quantize, AnAlreadyQuantizedSourceIsRefused) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  test::write_quantized_folder(options.source, folder.path() / "w8a8");
  options.source = folder.path() / "w8a8";
  expect_error(ErrorCode::kUnsupported, {"w8a8", "already quantized"}, [&] { quantize(options); });
  expect_error(ErrorCode::kUnsupported, {"already quantized"}, [&] { estimate(options); });
  EXPECT_FALSE(fs::exists(options.target));
}

TEST(Quantize, NonFiniteWeightsAreNamed) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const char* name :
         {"model.layers.1.self_attn.k_proj", "model.layers.0.block_sparse_moe.experts.2.w2",
          "model.layers.1.block_sparse_moe.gate", "lm_head", "model.embed_tokens"}) {
      SCOPED_TRACE(name);
      const TempDir folder;
      const QuantizeOptions options = small_run(folder.path());
      test::TensorFile tensors = test::read_tensor_folder(options.source);
      test::TestTensor& tensor = tensors.at(std::string(name) + ".weight");
      std::vector<float> values = tensor.floats();
      // A row that a calibration word reads.
      values[values.size() / 8] = value;
      tensor = test::make_f32(tensor.shape, values);
      // One type for all: the reader refuses a mixture.
      for (auto& [other, entry] : tensors) entry = test::make_f32(entry.shape, entry.floats());
      test::write_tensor_file(options.source / "model.safetensors", tensors);
      const auto source = test::read_files(options.source);
      expect_error(ErrorCode::kNumeric, {name}, [&] { quantize(options); });
      EXPECT_FALSE(fs::exists(options.target / "config.json"));
      EXPECT_EQ(test::read_files(options.source), source);
    }
  }
}

TEST(Quantize, ASourceThatChangesIsNoticed) {
  const TempDir folder;
  const QuantizeOptions options = small_run(folder.path());
  QuantizeEvents events;
  events.layer_started = [&](int layer, int) {
    if (layer != 1) return;
    fs::last_write_time(options.source / "model.safetensors",
                        fs::file_time_type::clock::now() + std::chrono::seconds(5));
  };
  expect_error(ErrorCode::kConflict, {"model.safetensors", "changed"},
               [&] { quantize(options, events); });
  EXPECT_FALSE(fs::exists(options.target / "config.json"));
  EXPECT_EQ(WorkFolder::inspect(options.target).layers_done, 1);
}

TEST(Quantize, ARemovedTokenizerIsNoticed) {
  const TempDir folder;
  const QuantizeOptions options = small_run(folder.path());
  QuantizeEvents events;
  events.layer_started = [&](int, int) { fs::remove(options.source / "tokenizer.json"); };
  expect_error(ErrorCode::kConflict, {"tokenizer.json", "removed"},
               [&] { quantize(options, events); });
}

TEST(Quantize, TwoRunsOnOneFolderAreRefused) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  QuantizeEvents events;
  bool tried = false;
  events.layer_started = [&](int, int) {
    if (std::exchange(tried, true)) return;
    for (const ResumeMode mode : {ResumeMode::kFresh, ResumeMode::kResume, ResumeMode::kRestart}) {
      QuantizeOptions second = options;
      second.resume = mode;
      expect_error(ErrorCode::kConflict, {"another run"}, [&] { quantize(second); });
    }
  };
  quantize(options, events);
  EXPECT_TRUE(tried);
  EXPECT_TRUE(WorkFolder::inspect(options.target).finished);
}

TEST(Quantize, TargetsThatCannotBeAreRefused) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  const auto source = test::read_files(options.source);
  for (const fs::path& target :
       {options.source, options.source / "inside", folder.path(), fs::path()}) {
    options.target = target;
    expect_error(ErrorCode::kInvalidArgument, {}, [&] { quantize(options); });
  }
  std::ofstream(folder.path() / "file") << "x";
  options.target = folder.path() / "file";
  expect_error(ErrorCode::kInvalidArgument, {"not a folder"}, [&] { quantize(options); });
  options.target = folder.path() / "file" / "below";
  EXPECT_THROW(quantize(options), Error);
  EXPECT_EQ(test::read_files(options.source), source);
}

TEST(Quantize, IdsBeyondTheVocabularyAreRefused) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  const fs::path demo = test::source_dir() / "resources/models/demo-moe";
  fs::copy_file(demo / "tokenizer.json", options.source / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  expect_error(ErrorCode::kInvalidArgument, {"the model's vocabulary has 256"},
               [&] { quantize(options); });
}

TEST(Quantize, ARotationOnDemandNeedsAnArchitectureThatAllowsIt) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path(), "opt_350m", Method::kHaq);
  options.rotate = RotateMode::kOn;
  expect_error(ErrorCode::kUnsupported, {"cannot be rotated"}, [&] { quantize(options); });
  options.rotate = RotateMode::kAuto;
  options.resume = ResumeMode::kRestart;
  const Report report = quantize(options).report;
  EXPECT_FALSE(report.rotated);
  EXPECT_THAT(report.rotation_reason, testing::Not(HasSubstr("better")));
}

TEST(Preflight, NamesWhatIsMissing) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  Preflight needs = estimate(options);
  EXPECT_GT(needs.disk_weights, 0);
  EXPECT_GT(needs.disk_free, 0);
  EXPECT_GT(needs.memory(), 0);
  EXPECT_GT(needs.seconds, 0);
  EXPECT_EQ(needs.disk_spill, 0);
  check(needs, options);
  options.activation_budget = 1024;
  EXPECT_EQ(estimate(options).disk_spill, 256 * 64 * 4 - 1024);
  needs.disk_free = 10;
  expect_error(ErrorCode::kNoSpace, {"10 B are free", "weights"}, [&] { check(needs, options); });
  needs = estimate(options);
  needs.memory_available = 1000;
  expect_error(ErrorCode::kOutOfMemory, {"1000 B are available", "Hessians"},
               [&] { check(needs, options); });
}

TEST(Preflight, LargerWorkNeedsMore) {
  const TempDir folder;
  QuantizeOptions options = small_run(folder.path());
  const Preflight rtn = estimate(options);
  options.experts_only = true;
  EXPECT_GT(estimate(options).disk_weights, rtn.disk_weights);
  options.experts_only = false;
  options.calibration.tokens = 1 << 20;
  EXPECT_GT(estimate(options).memory_activations, rtn.memory_activations);
}

}  // namespace
}  // namespace haq::quant
