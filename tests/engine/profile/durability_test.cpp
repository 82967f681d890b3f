// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/profile/chats/chat_store.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

/// What the child does until it is killed: streams numbered words, and after each that has been
/// stored says so through the pipe.
[[noreturn]] void stream_until_killed(const std::filesystem::path& path, int report) {
  try {
    ChatStore store = ChatStore::open(path);
    const Id chat = store.add(Conversation{.title = "killed"});
    const Id answer =
        store.add(Message{0, chat, 0, Role::kAssistant, "", MessageState::kStreaming, 0, "{}"});
    for (int word = 0;; ++word) {
      store.append(answer, fmt::format("{} ", word));
      if (::write(report, &word, sizeof word) != sizeof word) ::_exit(3);
    }
  } catch (const std::exception&) {
    ::_exit(2);
  }
}

TEST(Durability, AKillLosesNothingThatWasReportedStored) {
  for (const int words_before_kill : {1, 40, 700}) {
    const test::TempDir folder;
    const auto path = folder.path() / "haq.db";
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) stream_until_killed(path, ends[1]);
    ::close(ends[1]);
    int last = -1;
    while (last + 1 < words_before_kill) {
      ASSERT_EQ(::read(ends[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    // Reports still in the pipe count too: those words had been stored.
    int word = 0;
    while (::read(ends[0], &word, sizeof word) == static_cast<ssize_t>(sizeof word)) last = word;
    ::close(ends[0]);

    ChatStore store = ChatStore::open(path);
    EXPECT_TRUE(store.notices().empty());
    const auto chats = store.conversations();
    ASSERT_EQ(chats.size(), 1U);
    const auto messages = store.messages(chats[0].id);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(messages[0].state, MessageState::kInterrupted);
    std::string expected;
    for (int i = 0; i <= last; ++i) expected += fmt::format("{} ", i);
    // The kill may have come between storing a word and reporting it.
    EXPECT_TRUE(messages[0].content == expected ||
                messages[0].content == expected + fmt::format("{} ", last + 1))
        << messages[0].content;
    EXPECT_EQ(store.search("0").size(), 1U);
  }
}

}  // namespace
}  // namespace haq::profile
