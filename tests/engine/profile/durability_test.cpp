// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <functional>

#include "engine/profile/chats/chat_store.h"
#include "tests/support/killed_child.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

/// What the child does until it is killed: streams numbered words, and reports each that has been
/// stored.
[[noreturn]] void stream_until_killed(const std::filesystem::path& path,
                                      const std::function<void(std::int64_t)>& report) {
  ChatStore store = ChatStore::open(path);
  const Id chat = store.add(Conversation{.title = "killed"});
  const Id answer =
      store.add(Message{0, chat, 0, Role::kAssistant, "", MessageState::kStreaming, 0, "{}"});
  for (std::int64_t word = 0;; ++word) {
    store.append(answer, fmt::format("{} ", word));
    report(word);
  }
}

TEST(Durability, AKillLosesNothingThatWasReportedStored) {
  for (const int words_before_kill : {1, 40, 700}) {
    const test::TempDir folder;
    const auto path = folder.path() / "haq.db";
    const std::int64_t last = test::last_report_of_killed(
        [&](const auto& report) { stream_until_killed(path, report); },
        [&](std::int64_t word) { return word + 1 >= words_before_kill; });

    ChatStore store = ChatStore::open(path);
    EXPECT_TRUE(store.notices().empty());
    const auto chats = store.conversations();
    ASSERT_EQ(chats.size(), 1U);
    const auto messages = store.messages(chats[0].id);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(messages[0].state, MessageState::kInterrupted);
    std::string expected;
    for (std::int64_t i = 0; i <= last; ++i) expected += fmt::format("{} ", i);
    // The kill may have come between storing a word and reporting it.
    EXPECT_TRUE(messages[0].content == expected ||
                messages[0].content == expected + fmt::format("{} ", last + 1))
        << messages[0].content;
    EXPECT_EQ(store.search("0").size(), 1U);
  }
}

}  // namespace
}  // namespace haq::profile
