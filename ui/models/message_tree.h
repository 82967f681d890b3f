// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <map>
#include <vector>

#include "engine/profile/chats/chat_types.h"

namespace haq::ui {

/// The messages of one conversation as a tree, and the branch on show. Nothing is ever taken out:
/// another answer or another wording is a sibling.
class MessageTree {
 public:
  MessageTree() = default;
  /// An unknown leaf shows the newest branch.
  MessageTree(std::vector<profile::Message> messages, profile::Id leaf);

  bool empty() const { return m_messages.empty(); }
  const profile::Message* find(profile::Id id) const;
  /// Ids from the first message to the leaf.
  const std::vector<profile::Id>& branch() const { return m_branch; }
  profile::Id leaf() const { return m_branch.empty() ? 0 : m_branch.back(); }

  /// Messages with the same parent and role, oldest first; contains `id` itself.
  std::vector<profile::Id> siblings(profile::Id id) const;
  /// The leaf that was last shown below `id`, else the newest one.
  profile::Id leafBelow(profile::Id id) const;
  /// Shows the branch that ends in `leaf`; false when there is no such message.
  bool show(profile::Id leaf);

  /// Adds a message below its parent and shows the branch that ends in it.
  void add(const profile::Message& message);
  void append(profile::Id id, const std::string& text);
  void finish(profile::Id id, profile::MessageState state, const std::string& metrics);

 private:
  std::map<profile::Id, profile::Message> m_messages;
  std::map<profile::Id, std::vector<profile::Id>> m_children;  ///< by parent, oldest first
  std::map<profile::Id, profile::Id> m_lastShown;              ///< parent -> child
  std::vector<profile::Id> m_branch;
};

}  // namespace haq::ui
