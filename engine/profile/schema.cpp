// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/schema.h"

namespace haq::profile {
namespace {

// Version 1: conversations. Times are milliseconds since 1970, UTC.
//  - A message's parent has a smaller id, so the tree cannot hold a loop.
//  - Text that streams in goes to message_chunks, one small row for each batch of tokens, and moves
//    to messages.content when the message ends: an append costs the same however long the text is.
//  - messages_fts holds ended messages only; an ended message never changes.
constexpr const char* kChats = R"sql(
CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  deleted_ms INTEGER,
  model TEXT NOT NULL DEFAULT '',
  system_prompt TEXT NOT NULL DEFAULT '',
  sampling TEXT NOT NULL DEFAULT '{}',
  active_leaf INTEGER REFERENCES messages(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX conversations_by_time ON conversations(updated_ms DESC);

CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
  parent INTEGER REFERENCES messages(id) ON DELETE CASCADE CHECK (parent < id),
  role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
  content TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL
    CHECK (state IN ('streaming', 'done', 'stopped', 'failed', 'interrupted')),
  created_ms INTEGER NOT NULL,
  metrics TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX messages_by_conversation ON messages(conversation, id);
CREATE INDEX messages_by_parent ON messages(parent);
CREATE INDEX messages_streaming ON messages(id) WHERE state = 'streaming';

CREATE TABLE message_chunks (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX chunks_by_message ON message_chunks(message, id);

CREATE VIRTUAL TABLE messages_fts USING fts5(
  content, content = 'messages', content_rowid = 'id',
  tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3');
)sql";

// Version 2: quantizations. `options` lets a run be ordered again, `report` is the JSON text that
// lies in the written folder; the columns beside them are what lists and comparisons show.
constexpr const char* kQuantizationRuns = R"sql(
CREATE TABLE quantization_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  started_ms INTEGER NOT NULL,
  finished_ms INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped')),
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  method TEXT NOT NULL,
  options TEXT NOT NULL DEFAULT '{}',
  error TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL DEFAULT 0,
  ppl_before REAL,
  ppl_after REAL,
  kld_mean REAL,
  bytes_before INTEGER NOT NULL DEFAULT 0,
  bytes_after INTEGER NOT NULL DEFAULT 0,
  report TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX quantization_runs_by_time ON quantization_runs(started_ms DESC);
)sql";

constexpr const char* kMigrations[] = {kChats, kQuantizationRuns};

}  // namespace

std::span<const char* const> migrations() {
  return kMigrations;
}

}  // namespace haq::profile
