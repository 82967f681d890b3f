// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/experts/shape.h"

namespace haq::experts {

/// Doubly linked lists of experts, most recent first, over one array: `lists` of them, an expert in
/// at most one. Every operation takes constant time.
class RecencyLists {
 public:
  RecencyLists(int experts, int lists)
      : first_list_(experts), links_(static_cast<std::size_t>(experts + lists)) {
    for (int list = 0; list < lists; ++list) {
      const std::int32_t head = first_list_ + list;
      at(head) = {head, head};
    }
  }

  void push_front(int list, ExpertIndex expert) {
    const std::int32_t head = first_list_ + list;
    const std::int32_t next = at(head).next;
    at(expert) = {head, next};
    at(head).next = expert;
    at(next).previous = expert;
  }
  void remove(ExpertIndex expert) {
    const Link link = at(expert);
    at(link.previous).next = link.next;
    at(link.next).previous = link.previous;
  }
  void touch(int list, ExpertIndex expert) {
    remove(expert);
    push_front(list, expert);
  }
  /// The least recent expert; -1 for an empty list.
  ExpertIndex back(int list) const { return expert_or_end(at(first_list_ + list).previous); }
  /// The one used just after `expert` was; -1 at the front.
  ExpertIndex more_recent(ExpertIndex expert) const { return expert_or_end(at(expert).previous); }

 private:
  struct Link {
    std::int32_t previous = -1, next = -1;
  };
  Link& at(std::int32_t index) { return links_[static_cast<std::size_t>(index)]; }
  const Link& at(std::int32_t index) const { return links_[static_cast<std::size_t>(index)]; }
  ExpertIndex expert_or_end(std::int32_t index) const { return index < first_list_ ? index : -1; }

  std::int32_t first_list_;
  std::vector<Link> links_;
};

}  // namespace haq::experts
