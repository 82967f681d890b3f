// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/chat_store.h"

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/profile/store/store_file.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

constexpr const char* kConversationColumns =
    "id, title, created_ms, updated_ms, deleted_ms, model, system_prompt, sampling, active_leaf";

Conversation read_conversation(const Statement& row) {
  Conversation result;
  result.id = row.integer(0);
  result.title = row.text(1);
  result.created_ms = row.integer(2);
  result.updated_ms = row.integer(3);
  result.deleted_ms = row.integer(4);
  result.model = row.text(5);
  result.system_prompt = row.text(6);
  result.sampling = row.text(7);
  result.active_leaf = row.integer(8);
  return result;
}

void bind_id(Statement& statement, int index, Id id) {
  if (id == 0) {
    statement.bind_null(index);
  } else {
    statement.bind(index, id);
  }
}

/// Ids are never used again (AUTOINCREMENT), so the next one follows the largest ever given.
Id next_id(Database& database, const char* table) {
  return database.query_integer(fmt::format(
      "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{}'), 0) + 1", table));
}

}  // namespace

ChatStore::ChatStore(StoreFile file) : file_(std::make_unique<StoreFile>(std::move(file))) {}
ChatStore::ChatStore(ChatStore&&) noexcept = default;
ChatStore& ChatStore::operator=(ChatStore&&) noexcept = default;
ChatStore::~ChatStore() = default;

ChatStore ChatStore::open(const std::filesystem::path& path) {
  ChatStore store(StoreFile::open(path, Database::Access::kReadWrite));
  store.recover();
  store.quantization_runs().recover();
  return store;
}

ChatStore ChatStore::open_read_only(const std::filesystem::path& path) {
  return ChatStore(StoreFile::open_to_read(path));
}

std::filesystem::path ChatStore::default_path() {
  return user_data_dir() / "haq.db";
}

const std::filesystem::path& ChatStore::path() const {
  return file_->database.path();
}

const std::vector<std::string>& ChatStore::notices() const {
  return file_->notices;
}

QuantizationRuns ChatStore::quantization_runs() {
  return QuantizationRuns(file_->database);
}

void ChatStore::recover() {
  std::vector<std::pair<Id, std::string>> unfinished;
  {
    Statement rows =
        file_->database.prepare("SELECT id, metrics FROM messages WHERE state = 'streaming'");
    while (rows.step()) unfinished.emplace_back(rows.integer(0), rows.text(1));
  }
  for (auto& [id, metrics] : unfinished) {
    try {
      check_json_object(metrics, "metrics");
    } catch (const Error&) {
      metrics = "{}";  // one damaged field must not keep the user from everything else
    }
    finish(id, MessageState::kInterrupted, metrics);
  }
}

void ChatStore::check_changed(const char* kind, Id id) {
  if (file_->database.changes() == 0) {
    fail(ErrorCode::kNotFound, "{}: there is no {} {}", path().string(), kind, id);
  }
}

std::vector<Conversation> ChatStore::conversations(bool deleted) {
  Statement rows = file_->database.prepare(
      fmt::format("SELECT {} FROM conversations WHERE deleted_ms IS {} NULL "
                  "ORDER BY updated_ms DESC, id DESC",
                  kConversationColumns, deleted ? "NOT" : ""));
  std::vector<Conversation> result;
  while (rows.step()) result.push_back(read_conversation(rows));
  return result;
}

Conversation ChatStore::conversation(Id id) {
  Statement rows = file_->database.prepare(
      fmt::format("SELECT {} FROM conversations WHERE id = ?", kConversationColumns));
  rows.bind(1, id);
  if (!rows.step())
    fail(ErrorCode::kNotFound, "{}: there is no conversation {}", path().string(), id);
  return read_conversation(rows);
}

Id ChatStore::add(Conversation conversation) {
  check_json_object(conversation.sampling, "sampling");
  if (conversation.created_ms == 0) conversation.created_ms = now_ms();
  if (conversation.updated_ms == 0) conversation.updated_ms = conversation.created_ms;
  Statement insert = file_->database.prepare(
      "INSERT INTO conversations (id, title, created_ms, updated_ms, model, system_prompt, "
      "sampling) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)");
  bind_id(insert, 1, conversation.id);
  insert.bind(2, conversation.title)
      .bind(3, conversation.created_ms)
      .bind(4, conversation.updated_ms)
      .bind(5, conversation.model)
      .bind(6, conversation.system_prompt)
      .bind(7, conversation.sampling)
      .run();
  return file_->database.last_insert_id();
}

void ChatStore::set_text(Id id, const char* column, const std::string& value) {
  file_->database.prepare(fmt::format("UPDATE conversations SET {} = ? WHERE id = ?", column))
      .bind(1, value)
      .bind(2, id)
      .run();
  check_changed("conversation", id);
}

void ChatStore::rename(Id id, const std::string& title) {
  set_text(id, "title", title);
}
void ChatStore::set_model(Id id, const std::string& model) {
  set_text(id, "model", model);
}
void ChatStore::set_system_prompt(Id id, const std::string& text) {
  set_text(id, "system_prompt", text);
}
void ChatStore::set_sampling(Id id, const std::string& json) {
  check_json_object(json, "sampling");
  set_text(id, "sampling", json);
}

void ChatStore::set_active_leaf(Id id, Id leaf) {
  Statement update =
      file_->database.prepare("UPDATE conversations SET active_leaf = ? WHERE id = ?");
  bind_id(update, 1, leaf);
  update.bind(2, id).run();
  check_changed("conversation", id);
}

void ChatStore::remove(Id id) {
  file_->database.prepare("UPDATE conversations SET deleted_ms = ? WHERE id = ?")
      .bind(1, now_ms())
      .bind(2, id)
      .run();
  check_changed("conversation", id);
}

void ChatStore::restore(Id id) {
  file_->database.prepare("UPDATE conversations SET deleted_ms = NULL WHERE id = ?")
      .bind(1, id)
      .run();
  check_changed("conversation", id);
}

void ChatStore::unindex(Id conversation) {
  // An external-content index must be told the old text; streaming messages are not in it yet.
  file_->database
      .prepare(
          "INSERT INTO messages_fts(messages_fts, rowid, content) SELECT 'delete', id, content "
          "FROM messages WHERE conversation = ? AND state <> 'streaming'")
      .bind(1, conversation)
      .run();
}

void ChatStore::purge(Id id) {
  Transaction transaction(file_->database);
  unindex(id);
  file_->database.prepare("DELETE FROM conversations WHERE id = ?").bind(1, id).run();
  check_changed("conversation", id);
  // Merges the index, so that the words of what was purged do not stay in old segments.
  file_->database.exec("INSERT INTO messages_fts(messages_fts) VALUES ('optimize')");
  transaction.commit();
}

int ChatStore::purge_removed(std::int64_t before_ms) {
  std::vector<Id> ids;
  {
    Statement rows = file_->database.prepare("SELECT id FROM conversations WHERE deleted_ms < ?");
    rows.bind(1, before_ms);
    while (rows.step()) ids.push_back(rows.integer(0));
  }
  for (const Id id : ids) purge(id);
  return static_cast<int>(ids.size());
}

Id ChatStore::next_conversation_id() {
  return next_id(file_->database, "conversations");
}
Id ChatStore::next_message_id() {
  return next_id(file_->database, "messages");
}

}  // namespace haq::profile
