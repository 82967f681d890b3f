// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_forms.h"

namespace haq::profile {
namespace {

// The comments are part of the file: SQLite keeps them, and ".schema" shows them.
constexpr const char* kTables = R"sql(
CREATE TABLE recording (  -- one row: which experts a mixture-of-experts model chose, and when
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,  -- milliseconds since 1970, UTC
  state TEXT NOT NULL,          -- recording, done, interrupted, or counts (no tokens, only uses)
  model TEXT NOT NULL,
  architecture TEXT NOT NULL,
  fingerprint TEXT NOT NULL,    -- of the model's 16-bit source; empty: not known
  layers INTEGER NOT NULL,      -- layers with routed experts
  experts INTEGER NOT NULL,     -- per layer
  top_k INTEGER NOT NULL,       -- experts of a token per layer; 0: not known
  tokens INTEGER NOT NULL,
  decode_tokens INTEGER NOT NULL,
  prompts INTEGER NOT NULL,
  dropped_events INTEGER NOT NULL,
  source TEXT NOT NULL,         -- "live", or the file it was imported from
  run TEXT NOT NULL,            -- JSON object: device, policy, costs, options
  notes TEXT NOT NULL
) STRICT;

CREATE TABLE tokens (
  token INTEGER PRIMARY KEY,  -- 0, 1, 2, ...
  prompt INTEGER NOT NULL,    -- running number of the prompt
  batch INTEGER NOT NULL,     -- running number of the forward pass
  decode INTEGER NOT NULL,    -- 0: prefill
  path BLOB NOT NULL          -- layers x top_k expert numbers, unsigned 16 bits, little-endian,
                              -- the most probable first; 65535: not known
) STRICT;

CREATE TABLE uses (  -- how many tokens chose an expert
  decode INTEGER NOT NULL,
  layer INTEGER NOT NULL,
  expert INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  PRIMARY KEY (decode, layer, expert)
) STRICT, WITHOUT ROWID;
)sql";

void write_row(Database& out, const Recording& recording) {
  Statement insert =
      out.prepare("INSERT INTO recording VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, recording.name)
      .bind(2, recording.created_ms)
      .bind(3, recording.state)
      .bind(4, recording.model)
      .bind(5, recording.architecture)
      .bind(6, recording.fingerprint)
      .bind(7, std::int64_t{recording.shape.layers})
      .bind(8, std::int64_t{recording.shape.experts})
      .bind(9, std::int64_t{recording.shape.top_k})
      .bind(10, recording.tokens)
      .bind(11, recording.decode_tokens)
      .bind(12, recording.prompts)
      .bind(13, recording.dropped_events)
      .bind(14, recording.source)
      .bind(15, recording.run_json)
      .bind(16, recording.notes)
      .run();
}

void write_uses(Database& out, Database& store, const Recording& recording) {
  Statement insert = out.prepare("INSERT INTO uses VALUES (?, ?, ?, ?)");
  const experts::ExpertShape& shape = recording.shape;
  for (const bool decode : {false, true}) {
    const auto uses = read_uses(store, recording, decode, Home::kStore);
    for (int index = 0; index < shape.total(); ++index) {
      const std::int64_t count = uses[static_cast<std::size_t>(index)];
      if (count == 0) continue;
      insert.reset()
          .bind(1, std::int64_t{decode})
          .bind(2, std::int64_t{shape.layer_of(index)})
          .bind(3, std::int64_t{shape.expert_of(index)})
          .bind(4, count)
          .run();
    }
  }
}

}  // namespace

void write_recording_file(Database& database, const Recording& recording, const NextToken& next,
                          const std::filesystem::path& file) {
  AtomicFile target(file);
  {
    Database out = Database::open(target.temporary_path(), Database::Access::kPrivate);
    Transaction transaction(out);
    out.exec(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                         kRecordingApplicationId, kRecordingFileVersion));
    out.exec(kTables);
    write_row(out, recording);
    write_uses(out, database, recording);
    Statement insert = out.prepare("INSERT INTO tokens VALUES (?, ?, ?, ?, ?)");
    RecordedToken token;
    std::int64_t number = 0;
    while (next(token)) {
      insert.reset()
          .bind(1, number++)
          .bind(2, std::int64_t{token.prompt})
          .bind(3, token.batch)
          .bind(4, std::int64_t{token.decode})
          .bind_blob(5, std::as_bytes(token.path))
          .run();
    }
    transaction.commit();
  }
  target.commit();
}

}  // namespace haq::profile
