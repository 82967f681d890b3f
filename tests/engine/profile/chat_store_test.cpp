// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/chat_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/clock.h"
#include "engine/profile/chats/store_thread.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using test::code_of;

class ChatStoreTest : public testing::Test {
 protected:
  Id conversation(const std::string& title) {
    Conversation fresh;
    fresh.title = title;
    return store_.add(fresh);
  }
  Id message(Id conversation, Id parent, Role role, const std::string& text) {
    Message fresh;
    fresh.conversation = conversation;
    fresh.parent = parent;
    fresh.role = role;
    fresh.content = text;
    return store_.add(fresh);
  }

  test::TempDir folder_;
  ChatStore store_ = ChatStore::open(folder_.path() / "haq.db");
};

TEST_F(ChatStoreTest, KeepsEveryFieldOfAConversation) {
  Conversation fresh;
  fresh.title = "A dog story";
  fresh.created_ms = 1000;
  fresh.updated_ms = 2000;
  fresh.model = "/models/demo";
  fresh.system_prompt = "Be brief.";
  fresh.sampling = R"({"temperature":0.5})";
  const Id id = store_.add(fresh);
  const Conversation read = store_.conversation(id);
  EXPECT_EQ(read.title, fresh.title);
  EXPECT_EQ(read.created_ms, 1000);
  EXPECT_EQ(read.updated_ms, 2000);
  EXPECT_EQ(read.model, fresh.model);
  EXPECT_EQ(read.system_prompt, fresh.system_prompt);
  EXPECT_EQ(read.sampling, fresh.sampling);
  EXPECT_EQ(read.active_leaf, 0);
  store_.rename(id, "Another");
  store_.set_system_prompt(id, "");
  store_.set_sampling(id, "{}");
  store_.set_model(id, "/models/other");
  EXPECT_EQ(store_.conversation(id).title, "Another");
  EXPECT_EQ(store_.conversation(id).system_prompt, "");
  EXPECT_EQ(store_.conversation(id).model, "/models/other");
}

TEST_F(ChatStoreTest, ListsTheNewestFirst) {
  const Id first = conversation("first");
  const Id second = conversation("second");
  message(first, 0, Role::kUser, "hello");
  store_.add(Message{0, second, 0, Role::kUser, "earlier", MessageState::kDone, 5, "{}"});
  const auto list = store_.conversations();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].id, first);
  EXPECT_EQ(list[1].id, second);
}

TEST_F(ChatStoreTest, MessagesFormATreeAndBranchesStay) {
  const Id chat = conversation("tree");
  const Id question = message(chat, 0, Role::kUser, "2+2?");
  const Id one = message(chat, question, Role::kAssistant, "4");
  const Id two = message(chat, question, Role::kAssistant, "four");
  EXPECT_EQ(store_.conversation(chat).active_leaf, two);
  const auto messages = store_.messages(chat);
  ASSERT_EQ(messages.size(), 3U);
  const auto branch = branch_to(messages, one);
  ASSERT_EQ(branch.size(), 2U);
  EXPECT_EQ(branch[0]->id, question);
  EXPECT_EQ(branch[1]->content, "4");
  store_.set_active_leaf(chat, one);
  EXPECT_EQ(store_.conversation(chat).active_leaf, one);
  EXPECT_TRUE(branch_to(messages, 999).empty());
}

TEST_F(ChatStoreTest, AParentMustBelongToTheSameConversation) {
  const Id one = conversation("one");
  const Id two = conversation("two");
  const Id question = message(one, 0, Role::kUser, "hi");
  EXPECT_EQ(code_of([&] { message(two, question, Role::kAssistant, "x"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { message(two, 999, Role::kAssistant, "x"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { message(999, 0, Role::kUser, "x"); }), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store_.messages(two).empty());
}

TEST_F(ChatStoreTest, StreamedTextIsThereBeforeAndAfterTheEnd) {
  const Id chat = conversation("stream");
  const Id answer =
      store_.add(Message{0, chat, 0, Role::kAssistant, "Once", MessageState::kStreaming, 0, "{}"});
  store_.append(answer, " upon");
  store_.append(answer, " a time ✓");
  EXPECT_EQ(store_.messages(chat).at(0).content, "Once upon a time ✓");
  EXPECT_EQ(store_.messages(chat).at(0).state, MessageState::kStreaming);
  EXPECT_TRUE(store_.search("upon").empty());
  store_.finish(answer, MessageState::kStopped, R"({"generated_tokens":5})");
  const Message read = store_.messages(chat).at(0);
  EXPECT_EQ(read.content, "Once upon a time ✓");
  EXPECT_EQ(read.state, MessageState::kStopped);
  EXPECT_EQ(read.metrics, R"({"generated_tokens":5})");
  EXPECT_EQ(store_.search("upon").size(), 1U);
  EXPECT_EQ(code_of([&] { store_.append(answer, "more"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { store_.finish(answer, MessageState::kDone, "{}"); }),
            ErrorCode::kNotFound);
}

TEST_F(ChatStoreTest, RefusesMetricsThatAreNoJson) {
  const Id chat = conversation("json");
  const Id answer =
      store_.add(Message{0, chat, 0, Role::kAssistant, "", MessageState::kStreaming, 0, "{}"});
  EXPECT_EQ(code_of([&] { store_.finish(answer, MessageState::kDone, "{"); }),
            ErrorCode::kInvalidArgument);
  store_.finish(answer, MessageState::kDone, "{}");  // the failed attempt has left it as it was
}

TEST_F(ChatStoreTest, SearchFindsWordsBeginningsTitlesAndAccents) {
  const Id chat = conversation("Café in Paris");
  message(chat, 0, Role::kUser, "Where is the crème brûlée? It costs 100% of \"my\" money");
  EXPECT_EQ(store_.search("creme").size(), 1U);
  EXPECT_EQ(store_.search("cost").size(), 1U);           // a beginning
  EXPECT_EQ(store_.search("brulee crème").size(), 1U);   // any order
  EXPECT_EQ(store_.search("brulee absent").size(), 0U);  // all words
  EXPECT_EQ(store_.search("paris").at(0).message, 0);    // the title
  for (const char* text :
       {"\"", "100%", "my\" OR", "*", "NEAR(", "a AND", "-x", "", "  ", "\xff"}) {
    EXPECT_NO_THROW(store_.search(text)) << text;
  }
  EXPECT_TRUE(store_.search("%").empty());
  const std::string snippet = store_.search("creme").at(0).snippet;
  EXPECT_THAT(snippet, testing::HasSubstr("\x02"
                                          "crème"
                                          "\x03"));
}

TEST_F(ChatStoreTest, RemovedIsHiddenRestoredIsBackPurgedIsGone) {
  const Id chat = conversation("secret plans");
  message(chat, 0, Role::kUser, "the treasure is buried");
  store_.remove(chat);
  EXPECT_TRUE(store_.conversations().empty());
  EXPECT_EQ(store_.conversations(true).size(), 1U);
  EXPECT_TRUE(store_.search("treasure").empty());
  EXPECT_TRUE(store_.search("secret").empty());
  store_.restore(chat);
  EXPECT_EQ(store_.search("treasure").size(), 1U);
  EXPECT_EQ(store_.purge_removed(now_ms() + 1000), 0);
  store_.remove(chat);
  EXPECT_EQ(store_.purge_removed(now_ms() - 60000), 0);
  EXPECT_EQ(store_.purge_removed(now_ms() + 1000), 1);
  EXPECT_EQ(code_of([&] { store_.conversation(chat); }), ErrorCode::kNotFound);
  EXPECT_TRUE(store_.messages(chat).empty());
  // An index out of step with its table would fail here.
  const Id other = conversation("other");
  message(other, 0, Role::kUser, "treasure");
  EXPECT_EQ(store_.search("treasure").size(), 1U);
}

TEST_F(ChatStoreTest, IdsAreNeverUsedAgain) {
  EXPECT_EQ(store_.next_conversation_id(), 1);
  const Id chat = conversation("one");
  message(chat, 0, Role::kUser, "a");
  store_.purge(chat);
  EXPECT_EQ(store_.next_conversation_id(), 2);
  EXPECT_EQ(store_.next_message_id(), 2);
  EXPECT_EQ(store_.add(Conversation{.id = 7, .title = "seven"}), 7);
  EXPECT_EQ(store_.next_conversation_id(), 8);
}

TEST_F(ChatStoreTest, UnknownIdsAreErrors) {
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { store_.rename(5, "x"); }, [&] { store_.remove(5); }, [&] { store_.restore(5); },
           [&] { store_.purge(5); }, [&] { store_.set_active_leaf(5, 0); },
           [&] { store_.append(5, "x"); }}) {
    EXPECT_EQ(code_of(call), ErrorCode::kNotFound);
  }
}

TEST_F(ChatStoreTest, AThreadRunsJobsInOrderAndReportsFailures) {
  const Id chat = conversation("thread");
  std::vector<std::string> failures;
  std::vector<Message> read;
  {
    StoreThread thread(std::move(store_),
                       [&](const Error& error) { failures.push_back(error.what()); });
    thread.post([&](ChatStore& store) {
      store.add(Message{10, chat, 0, Role::kAssistant, "", MessageState::kStreaming, 0, "{}"});
    });
    for (int i = 0; i < 50; ++i) {
      thread.post([i](ChatStore& store) { store.append(10, fmt::format("{} ", i)); });
    }
    thread.post([](ChatStore& store) { store.rename(404, "nobody"); });
    thread.post([](ChatStore& store) { store.finish(10, MessageState::kDone, "{}"); });
    thread.flush();
    EXPECT_EQ(failures.size(), 1U);
    thread.post([&](ChatStore& store) { read = store.messages(chat); });
  }  // what is left runs before the thread ends
  ASSERT_EQ(read.size(), 1U);
  EXPECT_THAT(read[0].content, testing::StartsWith("0 1 2 "));
  EXPECT_THAT(read[0].content, testing::EndsWith("48 49 "));
}

}  // namespace
}  // namespace haq::profile
