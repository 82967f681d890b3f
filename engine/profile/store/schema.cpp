// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/schema.h"

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

// Version 3: what the expert runtime measures and records.
//  - A recorded token's key is recording * 2^40 + its number in the recording: tokens lie in order
//    of reading, and a row is as long as its path.
//  - path: [layers][top_k] expert numbers, unsigned 16 bits, little-endian, most probable first,
//    0xFFFF for what is not known. batch: running number of the forward pass.
//  - recording_uses: how many tokens chose an expert; decode 0 is prefill. It is kept with every
//    append, so that lists and plans by frequency need not read the paths.
//  - A recording of state 'counts' has uses and no tokens; its top_k may be 0: not known.
constexpr const char* kRecordings = R"sql(
CREATE TABLE machines (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE cost_tables (
  machine INTEGER NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
  device TEXT NOT NULL,
  experts TEXT NOT NULL,
  updated_ms INTEGER NOT NULL,
  observations INTEGER NOT NULL DEFAULT 0 CHECK (observations >= 0),
  costs TEXT NOT NULL,
  PRIMARY KEY (machine, device, experts)
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  name TEXT NOT NULL,
  architecture TEXT NOT NULL,
  layers INTEGER NOT NULL CHECK (layers BETWEEN 1 AND 1024),
  experts INTEGER NOT NULL CHECK (experts BETWEEN 1 AND 4096),
  top_k INTEGER NOT NULL CHECK (top_k BETWEEN 0 AND 256),
  UNIQUE (fingerprint, name, architecture, layers, experts, top_k)
) STRICT;

CREATE TABLE recordings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('recording', 'done', 'interrupted', 'counts')),
  model INTEGER NOT NULL REFERENCES models(id),
  tokens INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0),
  decode_tokens INTEGER NOT NULL DEFAULT 0 CHECK (decode_tokens BETWEEN 0 AND tokens),
  prompts INTEGER NOT NULL DEFAULT 0 CHECK (prompts BETWEEN 0 AND tokens),
  dropped_events INTEGER NOT NULL DEFAULT 0 CHECK (dropped_events >= 0),
  source TEXT NOT NULL DEFAULT '',
  run TEXT NOT NULL DEFAULT '{}',
  notes TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX recordings_by_time ON recordings(created_ms DESC);
CREATE INDEX recordings_by_model ON recordings(model);

CREATE TABLE recording_tokens (
  key INTEGER PRIMARY KEY,
  prompt INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  decode INTEGER NOT NULL CHECK (decode IN (0, 1)),
  path BLOB NOT NULL
) STRICT;

CREATE TABLE recording_uses (
  recording INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
  decode INTEGER NOT NULL CHECK (decode IN (0, 1)),
  layer INTEGER NOT NULL,
  expert INTEGER NOT NULL,
  uses INTEGER NOT NULL CHECK (uses >= 0),
  PRIMARY KEY (recording, decode, layer, expert)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER recordings_take_their_tokens AFTER DELETE ON recordings BEGIN
  DELETE FROM recording_tokens WHERE key >= old.id << 40 AND key < (old.id + 1) << 40;
  DELETE FROM models WHERE id = old.model
    AND NOT EXISTS (SELECT 1 FROM recordings WHERE model = old.model);
END;

CREATE TABLE plans (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL,
  plan TEXT NOT NULL,
  scores TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX plans_by_time ON plans(created_ms DESC);
)sql";

constexpr const char* kMigrations[] = {kChats, kQuantizationRuns, kRecordings};

}  // namespace

std::span<const char* const> migrations() {
  return kMigrations;
}

}  // namespace haq::profile
