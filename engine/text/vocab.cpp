// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/vocab.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

namespace haq::text {

std::uint32_t Vocab::hash(std::string_view piece) {
  const std::uint64_t wide = std::hash<std::string_view>{}(piece);
  return static_cast<std::uint32_t>(wide ^ (wide >> 32));
}

void Vocab::reserve(std::size_t tokens, std::size_t bytes) {
  entries_.reserve(tokens);
  arena_.reserve(bytes);
  rehash(std::bit_ceil(std::max<std::size_t>(64, tokens * 2)));
}

void Vocab::rehash(std::size_t slots) {
  slots_.assign(slots, 0);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    std::size_t at = entries_[i].hash & (slots - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots - 1);
    slots_[at] = i + 1;
  }
}

bool Vocab::add(std::string_view piece, TokenId id) {
  if (entries_.size() * 2 >= slots_.size()) rehash(std::max<std::size_t>(64, slots_.size() * 2));
  const std::uint32_t code = hash(piece);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = code & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    const Entry& entry = entries_[slots_[at] - 1];
    if (entry.hash == code && text(entry) == piece) return false;
  }
  entries_.push_back({static_cast<std::uint32_t>(arena_.size()),
                      static_cast<std::uint32_t>(piece.size()), id, code});
  arena_ += piece;
  slots_[at] = static_cast<std::uint32_t>(entries_.size());
  return true;
}

std::optional<TokenId> Vocab::finish() {
  by_id_.resize(entries_.size());
  std::iota(by_id_.begin(), by_id_.end(), 0u);
  const auto id_of = [&](std::uint32_t entry) { return entries_[entry].id; };
  if (!std::is_sorted(by_id_.begin(), by_id_.end(),
                      [&](std::uint32_t a, std::uint32_t b) { return id_of(a) < id_of(b); })) {
    std::sort(by_id_.begin(), by_id_.end(),
              [&](std::uint32_t a, std::uint32_t b) { return id_of(a) < id_of(b); });
  }
  end_id_ = by_id_.empty() ? 0 : id_of(by_id_.back()) + 1;
  const auto twin =
      std::adjacent_find(by_id_.begin(), by_id_.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return id_of(a) == id_of(b); });
  if (twin == by_id_.end()) return std::nullopt;
  return id_of(*twin);
}

std::optional<TokenId> Vocab::find(std::string_view piece) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t code = hash(piece);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = code & mask; slots_[at] != 0; at = (at + 1) & mask) {
    const Entry& entry = entries_[slots_[at] - 1];
    if (entry.hash == code && text(entry) == piece) return entry.id;
  }
  return std::nullopt;
}

std::optional<std::string_view> Vocab::piece(TokenId id) const {
  if (id < 0 || id >= end_id_) return std::nullopt;
  // Without holes the id is the position; otherwise search.
  const auto guess = static_cast<std::size_t>(id);
  if (guess < by_id_.size() && entries_[by_id_[guess]].id == id) {
    return text(entries_[by_id_[guess]]);
  }
  const auto found = std::lower_bound(
      by_id_.begin(), by_id_.end(), id,
      [&](std::uint32_t entry, TokenId wanted) { return entries_[entry].id < wanted; });
  if (found == by_id_.end() || entries_[*found].id != id) return std::nullopt;
  return text(entries_[*found]);
}

}  // namespace haq::text
