// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/added_tokens.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "engine/base/error.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

std::size_t blanks_before(std::string_view text, std::size_t end) {
  while (end > 0) {
    const std::size_t begin = last_char_begin(text.substr(0, end));
    std::size_t pos = begin;
    if (!is_white_space(next_char(text, pos))) break;
    end = begin;
  }
  return end;
}

std::size_t blanks_after(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    std::size_t pos = begin;
    if (!is_white_space(next_char(text, pos))) break;
    begin = pos;
  }
  return begin;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0) {
    std::size_t pos = last_char_begin(text.substr(0, begin));
    if (is_word(next_char(text, pos))) return false;
  }
  std::size_t pos = end;
  return end == text.size() || !is_word(next_char(text, pos));
}

}  // namespace

void AddedTokens::Finder::add(std::string_view key, std::int32_t index) {
  if (key.empty()) return;
  // Two tokens may look alike once normalized: the earlier one wins.
  const Trie::Node node = trie.walk(Trie::kRoot, key);
  if (node != Trie::kNone && trie.value(node) >= 0) return;
  if (!trie.add(key, index)) fail(ErrorCode::kLimit, "added_tokens: too many");
  first[static_cast<unsigned char>(key[0])] = true;
  empty = false;
}

AddedTokens AddedTokens::parse(const Fields& file, const Vocab& vocab,
                               const Normalizer* normalizer) {
  AddedTokens out;
  if (!file.has("added_tokens")) return out;
  std::unordered_map<std::string, std::size_t> by_content;
  for (const Fields& fields : file.children("added_tokens")) {
    fields.allow({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    Token token;
    token.content = fields.text("content");
    token.id = static_cast<TokenId>(fields.number("id", 0, kMaxTokenId - 1));
    token.single_word = fields.flag("single_word", false);
    token.lstrip = fields.flag("lstrip", false);
    token.rstrip = fields.flag("rstrip", false);
    token.special = fields.flag("special", false);
    token.normalized = fields.flag("normalized", !token.special);
    if (token.content.empty()) continue;  // never found in any text
    if (token.content.size() > kMaxTokenBytes) {
      fail(ErrorCode::kLimit, "{}: a token of {} bytes, longer than the limit of {}",
           fields.place(), token.content.size(), kMaxTokenBytes);
    }
    const auto known = vocab.find(token.content);
    if (known && *known != token.id) {
      fail(ErrorCode::kCorrupt, "{}: \"{}\" has the id {}, in model.vocab it has {}",
           fields.place(), token.content.substr(0, 100), token.id, *known);
    }
    const auto owner = vocab.piece(token.id);
    if (owner && *owner != token.content) {
      fail(ErrorCode::kCorrupt, "{}: the id {} of \"{}\" is that of \"{}\" in model.vocab",
           fields.place(), token.id, token.content.substr(0, 100), owner->substr(0, 100));
    }
    Normalized shown{token.content, 0};
    if (token.normalized && normalizer != nullptr) normalizer->apply(shown);
    token.shown = std::move(shown.text);
    const auto [entry, fresh] = by_content.try_emplace(token.content, out.tokens_.size());
    if (fresh) {
      out.tokens_.push_back(std::move(token));
      continue;
    }
    Token& earlier = out.tokens_[entry->second];
    if (earlier.id != token.id) {
      fail(ErrorCode::kCorrupt, "{}: \"{}\" has the id {}, before it had {}", fields.place(),
           token.content.substr(0, 100), token.id, earlier.id);
    }
    earlier = std::move(token);  // listed again: the later settings count
  }
  std::stable_partition(out.tokens_.begin(), out.tokens_.end(),
                        [](const Token& token) { return token.special; });

  std::vector<TokenId> special_ids;
  for (std::size_t i = 0; i < out.tokens_.size(); ++i) {
    const Token& token = out.tokens_[i];
    const auto index = static_cast<std::int32_t>(i);
    if (!out.by_content_.add(token.content, index)) {
      fail(ErrorCode::kLimit, "{}: added_tokens: too many", file.place());
    }
    if (token.special) special_ids.push_back(token.id);
    out.end_id_ = std::max(out.end_id_, token.id + 1);
    out.finders_[token.normalized][1].add(token.shown, index);
    if (!token.special) out.finders_[token.normalized][0].add(token.shown, index);
  }
  out.special_ids_ = IdSet(std::move(special_ids));

  out.by_id_.resize(out.tokens_.size());
  std::iota(out.by_id_.begin(), out.by_id_.end(), std::size_t{0});
  const auto id_at = [&](std::size_t i) { return out.tokens_[i].id; };
  std::sort(out.by_id_.begin(), out.by_id_.end(),
            [&](std::size_t a, std::size_t b) { return id_at(a) < id_at(b); });
  const auto twin =
      std::adjacent_find(out.by_id_.begin(), out.by_id_.end(),
                         [&](std::size_t a, std::size_t b) { return id_at(a) == id_at(b); });
  if (twin != out.by_id_.end()) {
    fail(ErrorCode::kCorrupt, "{}: added_tokens: two tokens have the id {}", file.place(),
         id_at(*twin));
  }
  return out;
}

std::vector<AddedTokens::Found> AddedTokens::search(const Finder& finder,
                                                    std::string_view text) const {
  std::vector<Found> out;
  if (finder.empty) return out;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    const Token* token = nullptr;
    if (finder.first[static_cast<unsigned char>(text[begin])]) {
      Trie::Node node = Trie::kRoot;
      for (std::size_t pos = begin; pos < text.size();) {
        node = finder.trie.step(node, text[pos++]);
        if (node == Trie::kNone) break;
        if (finder.trie.value(node) >= 0) {
          token = &tokens_[static_cast<std::size_t>(finder.trie.value(node))];
          end = pos;
        }
      }
    }
    if (token == nullptr) {
      ++begin;
      continue;
    }
    // A token that must stand alone and does not still uses up the text it matched.
    if (!token->single_word || stands_alone(text, begin, end)) out.push_back({begin, end, token});
    begin = end;
  }
  return out;
}

std::vector<AddedTokens::Cut> AddedTokens::cut(std::string_view text, bool normalized,
                                               bool specials) const {
  std::vector<Cut> out;
  std::size_t done = 0;
  for (const Found& found : search(finders_[normalized][specials], text)) {
    std::size_t begin = found.begin;
    if (found.token->lstrip) begin = std::max(blanks_before(text, begin), done);
    const std::size_t end = found.token->rstrip ? blanks_after(text, found.end) : found.end;
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, end, found.token->id});
    // Not the maximum: blanks that the previous token swallowed and that are a token themselves
    // come again, and so does what follows them, as in the reference implementation.
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
  return out;
}

std::vector<Tokenizer::SpecialMatch> AddedTokens::find_special(std::string_view text) const {
  std::vector<Tokenizer::SpecialMatch> out;
  std::size_t done = 0;
  const auto add = [&](std::size_t begin, std::size_t end, TokenId id) {
    begin = std::max(begin, done);
    if (!is_special(id) || begin >= end) return;
    out.push_back({begin, end, id});
    done = end;
  };
  for (const Cut& raw : cut(text, false, true)) {
    if (raw.id >= 0) {
      add(raw.begin, raw.end, raw.id);
      continue;
    }
    for (const Cut& inner : cut(text.substr(raw.begin, raw.end - raw.begin), true, true)) {
      if (inner.id >= 0) add(raw.begin + inner.begin, raw.begin + inner.end, inner.id);
    }
  }
  return out;
}

std::optional<TokenId> AddedTokens::id_of(std::string_view content) const {
  const Trie::Node node = by_content_.walk(Trie::kRoot, content);
  if (node == Trie::kNone || by_content_.value(node) < 0) return std::nullopt;
  return tokens_[static_cast<std::size_t>(by_content_.value(node))].id;
}

const AddedTokens::Token* AddedTokens::token(TokenId id) const {
  const auto found =
      std::lower_bound(by_id_.begin(), by_id_.end(), id,
                       [&](std::size_t i, TokenId wanted) { return tokens_[i].id < wanted; });
  if (found == by_id_.end() || tokens_[*found].id != id) return nullptr;
  return &tokens_[*found];
}

}  // namespace haq::text
