// SPDX-License-Identifier: GPL-3.0-or-later
// Every published chat template, rendered as transformers renders it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/text/chat_template.h"
#include "tests/engine/text/fixed_clock.h"
#include "tests/support/paths.h"

namespace haq::text {
namespace {

using nlohmann::ordered_json;

std::vector<std::filesystem::path> template_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::golden_dir() / "chat_templates")) {
    if (entry.path().extension() == ".jinja") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class GoldenTemplate : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenTemplate, RendersEveryCase) {
  const std::filesystem::path path = GetParam();
  const auto parsed =
      ChatTemplate::parse(read_text_file(path, std::size_t{1} << 20), path.filename().string());
  const auto chat = std::const_pointer_cast<ChatTemplate>(parsed);
  chat->set_clock(fixed_time);
  std::filesystem::path cases = path;
  cases.replace_extension(".cases.jsonl");
  std::ifstream lines(cases);
  ASSERT_TRUE(lines) << cases;
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    ordered_json test = parse_ordered_json(line, cases.string());
    SCOPED_TRACE(test["case"].get<std::string>());
    ordered_json extra = test["kwargs"];
    TemplateInput input;
    input.messages = &test["messages"];
    ordered_json tools;
    if (extra.contains("tools")) {
      tools = extra["tools"];
      input.tools = &tools;
      extra.erase("tools");
    }
    input.add_generation_prompt = extra["add_generation_prompt"].get<bool>();
    extra.erase("add_generation_prompt");
    input.extra = &extra;
    if (test.contains("expected")) {
      try {
        EXPECT_EQ(chat->render_text(input), test["expected"].get<std::string>());
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
      continue;
    }
    try {
      const std::string text = chat->render_text(input);
      ADD_FAILURE() << "rendered \"" << text << "\", expected " << test["error"];
    } catch (const Error& error) {
      if (test["error_type"] == "TemplateError") {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
        EXPECT_EQ(error.what(), test["error"].get<std::string>());
      }
    }
  }
  EXPECT_GT(count, 10);
}

std::string test_name(const ::testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = info.param.stem().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Published, GoldenTemplate, ::testing::ValuesIn(template_files()),
                         test_name);

TEST(GoldenTemplates, AreAllThere) {
  EXPECT_EQ(template_files().size(), 33U);
}

}  // namespace
}  // namespace haq::text
