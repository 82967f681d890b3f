// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/logits.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tests/engine/session/session_models.h"
#include "tests/support/golden.h"

namespace haq::session {
namespace {

void expect_near(const std::vector<float>& found, const std::vector<float>& expected,
                 const std::string& name) {
  ASSERT_EQ(found.size(), expected.size()) << name;
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 1e-3) << name << " " << i;
  }
}

TEST(WriteLogits, FileHoldsWhatTheReferenceHolds) {
  const test::GoldenCase reference = test::golden_case("mixtral", "t33");
  const test::TempDir folder;
  const auto model = test::load_fp32(test::golden_model_dir("mixtral"), 10);
  LogitsOptions options;
  options.hidden = true;
  const auto path = folder.path() / "out.safetensors";
  const LogitsResult result = write_logits(*model, reference.ids, path, options);
  EXPECT_EQ(result.tokens, 33);
  const test::TensorFile file = test::read_tensor_file(path);
  EXPECT_EQ(file.size(), result.tensors.size());
  int compared = 0;
  for (const auto& [name, tensor] : file) {
    ASSERT_TRUE(reference.has(name)) << name;
    ++compared;
    if (tensor.dtype == "I32") {
      EXPECT_EQ(tensor.ints(), reference.tensors.at(name).ints()) << name;
    } else {
      expect_near(tensor.floats(), reference.floats(name), name);
    }
    EXPECT_EQ(tensor.shape, reference.tensors.at(name).shape) << name;
  }
  EXPECT_EQ(compared, 1 + 4 + 2 * 3);
  Hash128 digest;
  digest.update(std::span<const std::byte>(file.at("logits").bytes));
  EXPECT_EQ(result.digest, digest.hex());
}

TEST(WriteLogits, HandlesAHeadNarrowerThanTheResidualStream) {
  const test::GoldenCase reference = test::golden_case("opt_350m", "t33");
  const test::TempDir folder;
  const auto model = test::load_fp32(test::golden_model_dir("opt_350m"));
  LogitsOptions options;
  options.hidden = true;
  const auto path = folder.path() / "out.safetensors";
  write_logits(*model, reference.ids, path, options);
  const test::TensorFile file = test::read_tensor_file(path);
  expect_near(file.at("logits").floats(), reference.floats("logits"), "logits");
  EXPECT_EQ(file.at("hidden.final").shape[0], 33);
}

TEST(WriteLogits, WithoutHiddenThereAreOnlyLogits) {
  const test::TempDir folder;
  const auto model = test::load_fp32(test::golden_model_dir("llama"));
  const auto path = folder.path() / "out.safetensors";
  const LogitsResult result = write_logits(*model, std::vector<std::int32_t>{3, 1, 4}, path);
  EXPECT_EQ(result.tensors, std::vector<std::string>{"logits"});
  EXPECT_EQ(test::read_tensor_file(path).at("logits").shape, (std::vector<std::int64_t>{3, 256}));
}

TEST(WriteLogits, LeavesNothingBehindWhenItFails) {
  const test::TempDir folder;
  const auto model = test::load_fp32(test::golden_model_dir("llama"));
  const auto path = folder.path() / "out.safetensors";
  EXPECT_THROW(write_logits(*model, std::vector<std::int32_t>{3, 256}, path), Error);
  EXPECT_THROW(write_logits(*model, std::vector<std::int32_t>{}, path), Error);
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(write_logits(*model, std::vector<std::int32_t>{3}, path, {}, {}, cancel), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THROW(write_logits(*model, std::vector<std::int32_t>{3}, folder.path() / "no" / "x"),
               Error);
}

}  // namespace
}  // namespace haq::session
