// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/message_tree.h"

#include <algorithm>

namespace haq::ui {

using profile::Id;
using profile::Message;

MessageTree::MessageTree(std::vector<Message> messages, Id leaf) {
  Id newest = 0;
  for (Message& message : messages) {
    const Id id = message.id;
    m_children[message.parent].push_back(id);
    m_messages.emplace(id, std::move(message));
    newest = std::max(newest, id);
  }
  if (!show(leaf)) show(newest);
}

const Message* MessageTree::find(Id id) const {
  const auto at = m_messages.find(id);
  return at == m_messages.end() ? nullptr : &at->second;
}

std::vector<Id> MessageTree::siblings(Id id) const {
  std::vector<Id> result;
  const Message* message = find(id);
  if (message == nullptr) return result;
  for (const Id child : m_children.at(message->parent)) {
    if (find(child)->role == message->role) result.push_back(child);
  }
  return result;
}

Id MessageTree::leafBelow(Id id) const {
  for (;;) {
    const auto children = m_children.find(id);
    if (children == m_children.end() || children->second.empty()) return id;
    const auto shown = m_lastShown.find(id);
    id = shown != m_lastShown.end() ? shown->second : children->second.back();
  }
}

bool MessageTree::show(Id leaf) {
  const Message* message = find(leaf);
  if (message == nullptr) return false;
  m_branch.clear();
  while (message != nullptr) {
    m_branch.push_back(message->id);
    m_lastShown[message->parent] = message->id;
    // Parents are older; a damaged file that says otherwise must not send us round in a circle.
    message = message->parent < message->id ? find(message->parent) : nullptr;
  }
  std::reverse(m_branch.begin(), m_branch.end());
  return true;
}

void MessageTree::add(const Message& message) {
  m_messages[message.id] = message;
  m_children[message.parent].push_back(message.id);
  show(message.id);
}

void MessageTree::append(Id id, const std::string& text) {
  const auto at = m_messages.find(id);
  if (at != m_messages.end()) at->second.content += text;
}

void MessageTree::finish(Id id, profile::MessageState state, const std::string& metrics) {
  const auto at = m_messages.find(id);
  if (at == m_messages.end()) return;
  at->second.state = state;
  at->second.metrics = metrics;
}

}  // namespace haq::ui
