// SPDX-License-Identifier: GPL-3.0-or-later
// The part of ChatStore that deals with messages and search.
#include <utf8proc.h>

#include "engine/base/clock.h"
#include "engine/profile/chats/chat_store.h"
#include "engine/profile/store/store_file.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

/// What the FTS5 tokenizer unicode61 takes as part of a word: letters, numbers, private use.
bool is_word(utf8proc_int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

std::string like_pattern(const std::string& text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

}  // namespace

std::string fts_query(const std::string& text) {
  std::string query;
  std::string word;
  const auto end_word = [&] {
    if (word.empty()) return;
    query += (query.empty() ? "\"" : " \"") + word + "\"";
    word.clear();
  };
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t code = -1;
    const auto length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (length <= 0) {
      end_word();
      ++at;
      continue;
    }
    if (is_word(code)) {
      word.append(text, at, static_cast<std::size_t>(length));
    } else {
      end_word();
    }
    at += static_cast<std::size_t>(length);
  }
  end_word();
  if (!query.empty()) query += " *";
  return query;
}

std::vector<Message> ChatStore::messages(Id conversation) {
  Statement rows = file_->database.prepare(
      "SELECT id, conversation, parent, role, state, created_ms, metrics, content || coalesce("
      "(SELECT group_concat(text, '') FROM (SELECT text FROM message_chunks WHERE message = m.id "
      "ORDER BY id)), '') FROM messages m WHERE conversation = ? ORDER BY id");
  rows.bind(1, conversation);
  std::vector<Message> result;
  while (rows.step()) {
    Message message;
    message.id = rows.integer(0);
    message.conversation = rows.integer(1);
    message.parent = rows.integer(2);
    message.role = role_from(rows.text(3));
    message.state = state_from(rows.text(4));
    message.created_ms = rows.integer(5);
    message.metrics = rows.text(6);
    message.content = rows.text(7);
    result.push_back(std::move(message));
  }
  return result;
}

Id ChatStore::add(Message message) {
  check_json_object(message.metrics, "metrics");
  Database& database = file_->database;
  if (message.created_ms == 0) message.created_ms = now_ms();
  Transaction transaction(database);
  if (message.parent != 0) {
    Statement parent = database.prepare("SELECT conversation FROM messages WHERE id = ?");
    parent.bind(1, message.parent);
    if (!parent.step() || parent.integer(0) != message.conversation) {
      fail(ErrorCode::kNotFound, "{}: conversation {} has no message {}", path().string(),
           message.conversation, message.parent);
    }
  }
  Statement insert = database.prepare(
      "INSERT INTO messages (id, conversation, parent, role, content, state, created_ms, metrics) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  if (message.id == 0) {
    insert.bind_null(1);
  } else {
    insert.bind(1, message.id);
  }
  insert.bind(2, message.conversation);
  if (message.parent == 0) {
    insert.bind_null(3);
  } else {
    insert.bind(3, message.parent);
  }
  insert.bind(4, to_string(message.role))
      .bind(5, message.content)
      .bind(6, to_string(message.state))
      .bind(7, message.created_ms)
      .bind(8, message.metrics)
      .run();
  const Id id = database.last_insert_id();
  if (message.state != MessageState::kStreaming) {
    database.prepare("INSERT INTO messages_fts(rowid, content) VALUES (?, ?)")
        .bind(1, id)
        .bind(2, message.content)
        .run();
  }
  database.prepare("UPDATE conversations SET active_leaf = ?, updated_ms = ? WHERE id = ?")
      .bind(1, id)
      .bind(2, message.created_ms)
      .bind(3, message.conversation)
      .run();
  check_changed("conversation", message.conversation);
  transaction.commit();
  return id;
}

void ChatStore::append(Id message, const std::string& text) {
  file_->database
      .prepare(
          "INSERT INTO message_chunks (message, text) "
          "SELECT id, ? FROM messages WHERE id = ? AND state = 'streaming'")
      .bind(1, text)
      .bind(2, message)
      .run();
  check_changed("streaming message", message);
}

void ChatStore::finish(Id message, MessageState state, const std::string& metrics_json) {
  if (state == MessageState::kStreaming) {
    fail(ErrorCode::kInvalidArgument, "message {}: cannot end in state streaming", message);
  }
  check_json_object(metrics_json, "metrics");
  Database& database = file_->database;
  Transaction transaction(database);
  database
      .prepare(
          "UPDATE messages SET state = ?, metrics = ?, content = content || coalesce("
          "(SELECT group_concat(text, '') FROM (SELECT text FROM message_chunks "
          "WHERE message = ?3 ORDER BY id)), '') WHERE id = ?3 AND state = 'streaming'")
      .bind(1, to_string(state))
      .bind(2, metrics_json)
      .bind(3, message)
      .run();
  check_changed("streaming message", message);
  database.prepare("DELETE FROM message_chunks WHERE message = ?").bind(1, message).run();
  database
      .prepare(
          "INSERT INTO messages_fts(rowid, content) SELECT id, content FROM messages WHERE id = ?")
      .bind(1, message)
      .run();
  transaction.commit();
}

std::vector<SearchHit> ChatStore::search(const std::string& text, int limit) {
  std::vector<SearchHit> hits;
  const std::string query = fts_query(text);
  if (query.empty()) return hits;
  {
    Statement titles = file_->database.prepare(
        "SELECT id, title, updated_ms FROM conversations WHERE deleted_ms IS NULL AND "
        "title LIKE ? ESCAPE '\\' ORDER BY updated_ms DESC LIMIT ?");
    titles.bind(1, like_pattern(text)).bind(2, limit);
    while (titles.step()) {
      hits.push_back({titles.integer(0), 0, titles.text(1), {}, titles.integer(2)});
    }
  }
  Statement rows = file_->database.prepare(
      "SELECT c.id, m.id, c.title, snippet(messages_fts, 0, char(2), char(3), '…', 16), "
      "m.created_ms "
      "FROM messages_fts JOIN messages m ON m.id = messages_fts.rowid "
      "JOIN conversations c ON c.id = m.conversation "
      "WHERE messages_fts MATCH ? AND c.deleted_ms IS NULL ORDER BY rank LIMIT ?");
  rows.bind(1, query).bind(2, limit);
  while (rows.step()) {
    hits.push_back({rows.integer(0), rows.integer(1), rows.text(2), rows.text(3), rows.integer(4)});
  }
  return hits;
}

}  // namespace haq::profile
