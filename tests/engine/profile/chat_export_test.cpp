// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/chat_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace haq::profile {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kMetrics =
    R"({"prompt_tokens":12,"generated_tokens":412,"decode_tokens_per_s":38.21,"ttft_s":0.0904,)"
    R"("finish_reason":"eos","sampling":{"temperature":0.7,"seed":42}})";

class ExportTest : public testing::Test {
 protected:
  ExportTest() {
    chat_.id = 3;
    chat_.title = "A <b>dog</b> & story";
    chat_.model = "demo-moe";
    chat_.system_prompt = "Be *brief*.";
    chat_.sampling = R"({"temperature":0.7})";
    chat_.active_leaf = 3;
    messages_ = {
        Message{1, 3, 0, Role::kUser, "Tell <script>alert(1)</script> me", MessageState::kDone,
                1000, "{}"},
        Message{2, 3, 1, Role::kAssistant, "The branch not shown", MessageState::kDone, 2000, "{}"},
        Message{3, 3, 1, Role::kAssistant,
                "**Once**\n\n```python\nif a < b: pass\n```\n\n[x](javascript:alert(1)) "
                "[y](https://example.org) ![i](https://example.org/a.png) <img src=x onerror=y>",
                MessageState::kStopped, 3000, kMetrics}};
  }
  Conversation chat_;
  std::vector<Message> messages_;
};

TEST_F(ExportTest, MarkdownHoldsTheBranchOnShow) {
  const std::string text = export_conversation(chat_, messages_, ExportFormat::kMarkdown);
  EXPECT_THAT(text, HasSubstr("# A <b>dog</b> & story\n"));
  EXPECT_THAT(text, HasSubstr("## You\n\nTell <script>"));
  EXPECT_THAT(text, HasSubstr("## Model\n\n**Once**"));
  EXPECT_THAT(text, HasSubstr("Be *brief*."));
  EXPECT_THAT(text, HasSubstr("412 tokens"));
  EXPECT_THAT(text, Not(HasSubstr("The branch not shown")));
}

TEST_F(ExportTest, HtmlEscapesAndLoadsNothing) {
  const std::string page = export_conversation(chat_, messages_, ExportFormat::kHtml);
  EXPECT_THAT(page, HasSubstr("<title>A &lt;b&gt;dog&lt;/b&gt; &amp; story</title>"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("<strong>Once</strong>"));
  EXPECT_THAT(page, HasSubstr("if a &lt; b: pass"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(page, Not(HasSubstr("javascript:")));
  EXPECT_THAT(page, HasSubstr("href=\"https://example.org\""));
}

TEST_F(ExportTest, JsonHoldsTheWholeTreeWithMetrics) {
  const auto json =
      nlohmann::json::parse(export_conversation(chat_, messages_, ExportFormat::kJson));
  EXPECT_EQ(json["messages"].size(), 3U);
  EXPECT_EQ(json["active_branch"], nlohmann::json::parse("[1,3]"));
  EXPECT_TRUE(json["messages"][0]["parent"].is_null());
  EXPECT_EQ(json["messages"][2]["metrics"]["sampling"]["seed"], 42);
  EXPECT_EQ(json["messages"][2]["state"], "stopped");
  EXPECT_EQ(json["messages"][0]["created"], "1970-01-01T00:00:01Z");
  EXPECT_EQ(json["sampling"]["temperature"], 0.7);
}

TEST_F(ExportTest, BadTextAndMetricsDoNotStopAnExport) {
  messages_[2].content = "bad \xff\xfe utf-8 \x01";
  messages_[2].metrics = "not json";
  for (const auto format : {ExportFormat::kMarkdown, ExportFormat::kHtml, ExportFormat::kJson}) {
    EXPECT_FALSE(export_conversation(chat_, messages_, format).empty());
  }
  chat_.active_leaf = 77;
  EXPECT_THAT(export_conversation(chat_, messages_, ExportFormat::kMarkdown), HasSubstr("# A"));
}

TEST(MetricsLine, HasThreeFiguresAndUnits) {
  EXPECT_EQ(metrics_line(kMetrics),
            "12 prompt · 412 tokens · 38.2\u2009tok/s · TTFT 90.4\u2009ms · seed 42");
  EXPECT_EQ(metrics_line(R"({"ttft_s":2.345})"), "TTFT 2.35\u2009s");
  EXPECT_EQ(metrics_line("{}"), "");
  EXPECT_EQ(metrics_line("broken"), "");
}

TEST(ExportFormatName, UnknownOnesAreRefused) {
  EXPECT_EQ(export_format_from("md"), ExportFormat::kMarkdown);
  EXPECT_EQ(file_suffix(export_format_from("html")), std::string(".html"));
  EXPECT_THROW(export_format_from("pdf"), Error);
}

}  // namespace
}  // namespace haq::profile
