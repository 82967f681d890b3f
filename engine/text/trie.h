// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace haq::text {

/// Byte strings to values, searched one byte at a time. Filled once, then immutable.
class Trie {
 public:
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = 0xFFFFFFFFu;
  /// Bounds the memory that a vocabulary can claim (32 bytes an edge).
  static constexpr std::size_t kMaxEdges = std::size_t{8} << 20;

  Trie() : slots_(64), values_(1, -1) {}

  /// False when the trie is full. A key that is already there keeps `value` from now on.
  bool add(std::string_view key, std::int32_t value);
  Node step(Node node, char byte) const;
  /// Follows all bytes of `key`; kNone when no string begins with it.
  Node walk(Node node, std::string_view key) const;
  /// The value of the string that ends at `node`, or -1.
  std::int32_t value(Node node) const { return values_[node]; }

 private:
  struct Slot {
    std::uint64_t key = kFree;
    Node to = 0;
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  std::size_t locate(std::uint64_t key) const;
  void grow();

  std::vector<Slot> slots_;
  std::vector<std::int32_t> values_;
};

}  // namespace haq::text
