// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/trie.h"

#include <utility>

namespace haq::text {
namespace {

std::uint64_t edge_key(Trie::Node node, char byte) {
  return (static_cast<std::uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
}

}  // namespace

std::size_t Trie::locate(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::uint64_t mixed = key * 0x9E3779B97F4A7C15u;
  mixed ^= mixed >> 32;
  std::size_t at = mixed & mask;
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask;
  return at;
}

void Trie::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  std::swap(old, slots_);
  for (const Slot& slot : old) {
    if (slot.key != kFree) slots_[locate(slot.key)] = slot;
  }
}

bool Trie::add(std::string_view key, std::int32_t value) {
  Node node = kRoot;
  for (const char byte : key) {
    const std::uint64_t edge = edge_key(node, byte);
    std::size_t at = locate(edge);
    if (slots_[at].key == kFree) {
      if (values_.size() > kMaxEdges) return false;
      if (values_.size() * 2 > slots_.size()) {
        grow();
        at = locate(edge);
      }
      slots_[at] = {edge, static_cast<Node>(values_.size())};
      values_.push_back(-1);
    }
    node = slots_[at].to;
  }
  values_[node] = value;
  return true;
}

Trie::Node Trie::step(Node node, char byte) const {
  const Slot& slot = slots_[locate(edge_key(node, byte))];
  return slot.key == kFree ? kNone : slot.to;
}

Trie::Node Trie::walk(Node node, std::string_view key) const {
  for (const char byte : key) {
    if (node == kNone) break;
    node = step(node, byte);
  }
  return node;
}

}  // namespace haq::text
