// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/error.h"

namespace haq::text {

IdSet::IdSet(std::vector<TokenId> ids) : ids_(std::move(ids)) {
  std::sort(ids_.begin(), ids_.end());
}

bool IdSet::contains(TokenId id) const {
  return !ids_.empty() && id >= ids_.front() && id <= ids_.back() &&
         std::binary_search(ids_.begin(), ids_.end(), id);
}

void Model::read_vocab(const TokenizerFile& file, std::string_view what) {
  if (!file.has_vocab || file.vocab_is_list) {
    fail(ErrorCode::kCorrupt, "{}: model.vocab: expected an object of tokens and ids", what);
  }
  vocab_.reserve(file.vocab.size(), file.strings.size());
  for (const TokenizerFile::Token& token : file.vocab) {
    const std::string_view piece = file.piece(token);
    const std::string_view shown = piece.substr(0, 100);
    if (token.id < 0 || token.id >= kMaxTokenId) {
      fail(ErrorCode::kCorrupt, "{}: model.vocab: the id {} of \"{}\" is not in 0..{}", what,
           token.id, shown, kMaxTokenId - 1);
    }
    if (piece.size() > kMaxTokenBytes) {
      fail(ErrorCode::kLimit, "{}: model.vocab: a token of {} bytes, longer than the limit of {}",
           what, piece.size(), kMaxTokenBytes);
    }
    if (!vocab_.add(piece, static_cast<TokenId>(token.id))) {
      fail(ErrorCode::kCorrupt, "{}: model.vocab: the token \"{}\" occurs twice", what, shown);
    }
  }
  if (const auto twice = vocab_.finish()) {
    fail(ErrorCode::kCorrupt, "{}: model.vocab: two tokens have the id {}", what, *twice);
  }
}

std::unique_ptr<const Model> Model::parse(const TokenizerFile& file, const Fields& fields,
                                          std::string_view what) {
  std::string type;
  if (fields.has("type")) {
    type = fields.type();
  } else if (file.has_merges) {  // files older than the type field
    type = "BPE";
  } else if (file.vocab_is_list) {
    type = "Unigram";
  } else {
    type = fields.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
  }
  if (type == "BPE") return make_bpe(file, fields, what);
  if (type != "Unigram" && type != "WordPiece" && type != "WordLevel") fields.refuse_type("model");
  if (file.has_merges) {
    fail(ErrorCode::kCorrupt, "{}: model.merges: not expected in a {} model", what, type);
  }
  if (type == "Unigram") return make_unigram(file, fields, what);
  return type == "WordPiece" ? make_wordpiece(file, fields, what)
                             : make_wordlevel(file, fields, what);
}

std::string byte_token(unsigned char byte) {
  return fmt::format("<0x{:02X}>", byte);
}

std::optional<unsigned char> byte_of_token(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<unsigned char>(value);
}

}  // namespace haq::text
