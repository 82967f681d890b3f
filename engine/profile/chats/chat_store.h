// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile/chats/chat_types.h"
#include "engine/profile/store/quantization_runs.h"
#include "engine/profile/store/sqlite.h"

namespace haq::profile {

struct StoreFile;

/// One place where a search found something.
struct SearchHit {
  Id conversation = 0;
  Id message = 0;  ///< 0: found in the title
  std::string title;
  std::string snippet;  ///< plain text; a match stands between kMatchBegin and kMatchEnd
  std::int64_t created_ms = 0;
};
inline constexpr char kMatchBegin = '\x02';
inline constexpr char kMatchEnd = '\x03';

/// Conversations and their messages in the user's database. Every call is one transaction: when it
/// returns, what it wrote survives the death of the process (WAL, synchronous = NORMAL: a power cut
/// may cost the last moments, never the file). Errors: see Database; an unknown id is kNotFound.
/// Used by one thread at a time.
class ChatStore {
 public:
  /// Opens for writing, as the only writer (see StoreFile::open for what can go wrong). Answers
  /// that a dead program left half-written become "interrupted", its quantizations "stopped".
  static ChatStore open(const std::filesystem::path& path);
  /// Opens for reading, also beside a running writer; the writing calls then throw kIo. A file of
  /// an older version is brought up to date first (StoreFile::open_to_read).
  static ChatStore open_read_only(const std::filesystem::path& path);
  /// The user's database: haq.db in the user's data folder.
  static std::filesystem::path default_path();

  ChatStore(ChatStore&&) noexcept;
  ChatStore& operator=(ChatStore&&) noexcept;
  ~ChatStore();

  const std::filesystem::path& path() const;
  /// Sentences for the user about opening (a damaged file that was kept aside); may be empty.
  const std::vector<std::string>& notices() const;

  // --- conversations
  /// Newest first. `deleted`: those in the bin instead.
  std::vector<Conversation> conversations(bool deleted = false);
  Conversation conversation(Id id);
  /// Stores a new one; an id of 0 is chosen here, another must be unused. Times of 0 become now.
  Id add(Conversation conversation);
  void rename(Id id, const std::string& title);
  void set_model(Id id, const std::string& model);
  void set_system_prompt(Id id, const std::string& text);
  void set_sampling(Id id, const std::string& json);
  void set_active_leaf(Id id, Id leaf);
  void remove(Id id);   ///< into the bin: hidden everywhere, but still there
  void restore(Id id);  ///< out of the bin
  void purge(Id id);    ///< gone for good, with its messages
  /// Purges what has been in the bin since before `before_ms`; returns how many.
  int purge_removed(std::int64_t before_ms);

  // --- messages
  /// All messages of a conversation in order of id, with the streamed part of an unfinished one.
  std::vector<Message> messages(Id conversation);
  /// Stores a new message and makes it the active leaf. Id and time as in add(Conversation).
  Id add(Message message);
  /// Appends text to a message in state streaming.
  void append(Id message, const std::string& text);
  /// Ends a streaming message: from now on it is found by search and never changes.
  void finish(Id message, MessageState state, const std::string& metrics_json);

  /// Full-text search over titles and ended messages outside the bin: every word must occur, the
  /// last one may be a beginning. Best first within messages, titles before them.
  std::vector<SearchHit> search(const std::string& text, int limit = 200);

  /// The quantizations in the same file; borrows this store.
  QuantizationRuns quantization_runs();

  /// Smallest id that no conversation / message has had; a single writer may count on from it.
  Id next_conversation_id();
  Id next_message_id();

 private:
  explicit ChatStore(StoreFile file);
  void recover();
  void set_text(Id id, const char* column, const std::string& value);
  void check_changed(const char* kind, Id id);
  void unindex(Id conversation);
  std::unique_ptr<StoreFile> file_;
};

/// The FTS5 query for what a person typed: each word quoted, the last as a prefix. Empty when there
/// is no word in it.
std::string fts_query(const std::string& text);

}  // namespace haq::profile
