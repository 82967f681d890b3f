// SPDX-License-Identifier: GPL-3.0-or-later
#include <bit>
#include <cstring>
#include <limits>

#include "engine/profile/recordings/recording_rows.h"

namespace haq::profile {
namespace {

static_assert(std::endian::native == std::endian::little,
              "paths are stored little-endian and copied as they are");

std::int64_t first_key(std::int64_t recording) {
  return recording << kTokenKeyBits;
}

}  // namespace

std::optional<std::string> TokenOrder::problem(const RecordedToken& token) {
  const std::size_t width =
      static_cast<std::size_t>(shape_.layers) * static_cast<std::size_t>(shape_.top_k);
  if (token.path.size() != width) {
    return fmt::format("the path has {} choices, expected {} ({} layers of top-{})",
                       token.path.size(), width, shape_.layers, shape_.top_k);
  }
  for (std::size_t i = 0; i < width; ++i) {
    const std::uint16_t id = token.path[i];
    if (id < shape_.experts || id == experts::Trace::kAbsent) continue;
    return fmt::format("the path names expert {} in layer {}, expected 0 to {}", id,
                       i / static_cast<std::size_t>(shape_.top_k), shape_.experts - 1);
  }
  if (token.prompt < 0) return fmt::format("prompt is {}, expected 0 or more", token.prompt);
  if (token.batch < 0 || (any_ && token.batch < batch_)) {
    return fmt::format("batch is {}, expected {} or more", token.batch, any_ ? batch_ : 0);
  }
  if (any_ && token.batch == batch_ && (token.prompt != prompt_ || token.decode != decode_)) {
    return fmt::format("batch {} changes its prompt or phase", token.batch);
  }
  new_prompt_ = !any_ || token.prompt != prompt_;
  resume(token.prompt, token.batch, token.decode);
  return {};
}

void TokenOrder::resume(std::int32_t prompt, std::int64_t batch, bool decode) {
  any_ = true;
  prompt_ = prompt;
  batch_ = batch;
  decode_ = decode;
}

TokenWriter::TokenWriter(Database& database, const Recording& recording)
    : database_(database),
      recording_(recording),
      order_(recording.shape),
      insert_(database.prepare(
          "INSERT INTO recording_tokens (key, prompt, batch, decode, path) VALUES (?, ?, ?, ?, "
          "?)")) {
  for (auto& uses : uses_) uses.assign(static_cast<std::size_t>(recording.shape.total()), 0);
  if (recording.tokens == 0) return;
  Statement last =
      database.prepare("SELECT prompt, batch, decode FROM recording_tokens WHERE key = ?");
  last.bind(1, first_key(recording.id) + recording.tokens - 1);
  if (!last.step()) {
    fail(ErrorCode::kCorrupt, "{}: recording \"{}\": token {} is missing", database.path().string(),
         recording.name, recording.tokens - 1);
  }
  order_.resume(static_cast<std::int32_t>(last.integer(0)), last.integer(1), last.integer(2) != 0);
}

void TokenWriter::add(const RecordedToken& token) {
  if (recording_.tokens + 1 >= std::int64_t{1} << kTokenKeyBits) {
    fail(ErrorCode::kLimit, "recording \"{}\": too many tokens", recording_.name);
  }
  if (const auto problem = order_.problem(token)) {
    fail(ErrorCode::kInvalidArgument, "recording \"{}\": token {}: {}", recording_.name,
         recording_.tokens, *problem);
  }
  insert_.reset()
      .bind(1, first_key(recording_.id) + recording_.tokens)
      .bind(2, std::int64_t{token.prompt})
      .bind(3, token.batch)
      .bind(4, std::int64_t{token.decode})
      .bind_blob(5, std::as_bytes(token.path))
      .run();
  ++recording_.tokens;
  if (token.decode) ++recording_.decode_tokens;
  if (order_.new_prompt()) ++recording_.prompts;
  std::vector<std::int64_t>& uses = uses_[token.decode ? 1 : 0];
  const auto top_k = static_cast<std::size_t>(recording_.shape.top_k);
  const auto experts = static_cast<std::size_t>(recording_.shape.experts);
  for (std::size_t i = 0; i < token.path.size(); ++i) {
    if (token.path[i] != experts::Trace::kAbsent) ++uses[i / top_k * experts + token.path[i]];
  }
}

void TokenWriter::finish() {
  for (const bool decode : {false, true}) {
    add_uses(database_, recording_.id, decode, recording_.shape, uses_[decode ? 1 : 0]);
  }
  database_.prepare("UPDATE recordings SET tokens = ?, decode_tokens = ?, prompts = ? WHERE id = ?")
      .bind(1, recording_.tokens)
      .bind(2, recording_.decode_tokens)
      .bind(3, recording_.prompts)
      .bind(4, recording_.id)
      .run();
}

TokenReader::TokenReader(Database& database, const Recording& recording, Home home)
    : recording_(recording),
      file_(database.path().string()),
      order_(recording.shape),
      first_key_(home == Home::kStore ? first_key(recording.id) : 0),
      rows_(database.prepare(
          home == Home::kStore
              ? "SELECT key, prompt, batch, decode, path FROM recording_tokens WHERE key >= ? AND "
                "key < ? ORDER BY key"
              : "SELECT token, prompt, batch, decode, path FROM tokens WHERE token >= ? AND "
                "token < ? ORDER BY token")) {
  // Only what the recording's row counts: a writer beside this reader may be ahead of it.
  rows_.bind(1, first_key_).bind(2, first_key_ + recording.tokens);
}

void TokenReader::corrupt(const std::string& why) const {
  throw Error(
      ErrorCode::kCorrupt,
      fmt::format("{}: recording \"{}\": token {}: {}", file_, recording_.name, number_, why),
      "record or import it again");
}

bool TokenReader::next(RecordedToken& token) {
  if (!rows_.step()) {
    if (number_ != recording_.tokens) corrupt("missing");
    return false;
  }
  if (rows_.integer(0) != first_key_ + number_) corrupt("missing");
  const std::int64_t prompt = rows_.integer(1), decode = rows_.integer(3);
  if (prompt < 0 || prompt > std::numeric_limits<std::int32_t>::max()) {
    corrupt(fmt::format("prompt is {}", prompt));
  }
  if (decode != 0 && decode != 1) corrupt(fmt::format("decode is {}, expected 0 or 1", decode));
  const std::span<const std::byte> bytes = rows_.blob(4);
  const std::size_t width = static_cast<std::size_t>(recording_.shape.layers) *
                            static_cast<std::size_t>(recording_.shape.top_k);
  if (bytes.size() != 2 * width) {
    corrupt(fmt::format("the path has {} bytes, expected {}", bytes.size(), 2 * width));
  }
  path_.resize(width);
  std::memcpy(path_.data(), bytes.data(), bytes.size());
  token = {static_cast<std::int32_t>(prompt), rows_.integer(2), decode != 0, path_};
  if (const auto problem = order_.problem(token)) corrupt(*problem);
  ++number_;
  return true;
}

}  // namespace haq::profile
