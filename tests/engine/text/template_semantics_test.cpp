// SPDX-License-Identifier: GPL-3.0-or-later
// Small templates with the output of Python's jinja2 3.1.6 (immutable sandbox, trim_blocks,
// lstrip_blocks, tojson as transformers defines it). The first line holds their variables.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/text/chat_template.h"
#include "tests/engine/text/fixed_clock.h"
#include "tests/support/paths.h"

namespace haq::text {
namespace {

using nlohmann::ordered_json;

TEST(TemplateSemantics, AgreeWithJinja) {
  const auto path = test::source_dir() / "tests/engine/text/template_semantics.jsonl";
  std::ifstream lines(path);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line)) << path;
  ordered_json variables = parse_ordered_json(line, "variables")["variables"];
  ordered_json messages = ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
  int count = 0;
  for (; std::getline(lines, line); ++count) {
    const ordered_json test = parse_ordered_json(line, "case");
    const auto source = test["template"].get<std::string>();
    SCOPED_TRACE(source);
    std::string text;
    std::string problem;
    try {
      const auto chat = std::const_pointer_cast<ChatTemplate>(ChatTemplate::parse(source, "test"));
      chat->set_clock(fixed_time);
      TemplateInput input;
      input.messages = &messages;
      input.extra = &variables;
      text = chat->render_text(input);
    } catch (const Error& error) {
      problem = error.what();
    }
    if (test.contains("expected")) {
      EXPECT_EQ(text, test["expected"].get<std::string>());
      EXPECT_EQ(problem, "");
    } else {
      EXPECT_NE(problem, "") << "rendered: " << text;
    }
  }
  EXPECT_GT(count, 900);
}

}  // namespace
}  // namespace haq::text
