// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/session/session.h"
#include "tests/engine/session/session_models.h"

namespace haq::session {
namespace {

/// The first greedy story of the model's documentation: the text between the command line and the
/// end of its code block.
std::string documented_story() {
  std::ifstream file(test::shared_dir() / "data/llama2c/stories260K.md");
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const std::size_t command = text.find("-t 0.0\n");
  const std::size_t begin = command + 7;
  return text.substr(begin, text.find("\n```", begin) - begin);
}

TEST(Stories260k, WritesItsDocumentedGreedyText) {
  HAQ_REQUIRE_SHARED();
  const std::string expected = documented_story();
  ASSERT_GT(expected.size(), 500U);
  const auto model = test::load_fp32(test::stories_folder());
  GenerateOptions options;
  options.max_tokens = 256;
  Context context(model);
  // The documented run starts from the BOS id alone.
  const GenerateResult result = context.generate(std::vector<std::int32_t>{1}, options);
  // It prints 256 steps, the first of which is the BOS.
  EXPECT_EQ(result.text.substr(0, expected.size()), expected);
  EXPECT_LT(result.text.size(), expected.size() + 16);
}

}  // namespace
}  // namespace haq::session
