// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/chat_types.h"

#include <algorithm>
#include <unordered_map>

#include "engine/base/error.h"

namespace haq::profile {

const char* to_string(Role role) {
  return role == Role::kUser ? "user" : "assistant";
}

const char* to_string(MessageState state) {
  switch (state) {
    case MessageState::kStreaming:
      return "streaming";
    case MessageState::kDone:
      return "done";
    case MessageState::kStopped:
      return "stopped";
    case MessageState::kFailed:
      return "failed";
    case MessageState::kInterrupted:
      return "interrupted";
  }
  return "failed";
}

Role role_from(std::string_view text) {
  if (text == "user") return Role::kUser;
  if (text == "assistant") return Role::kAssistant;
  fail(ErrorCode::kCorrupt, "message role \"{}\": expected user or assistant", text);
}

MessageState state_from(std::string_view text) {
  for (const auto state : {MessageState::kStreaming, MessageState::kDone, MessageState::kStopped,
                           MessageState::kFailed, MessageState::kInterrupted}) {
    if (text == to_string(state)) return state;
  }
  fail(ErrorCode::kCorrupt,
       "message state \"{}\": expected streaming, done, stopped, failed or interrupted", text);
}

std::vector<const Message*> branch_to(const std::vector<Message>& messages, Id leaf) {
  std::unordered_map<Id, const Message*> by_id;
  for (const Message& message : messages) by_id.emplace(message.id, &message);
  std::vector<const Message*> branch;
  for (auto at = by_id.find(leaf); at != by_id.end();) {
    const Message* message = at->second;
    branch.push_back(message);
    // Ids fall on the way up; a file that says otherwise would send us round in a circle.
    if (message->parent == 0 || message->parent >= message->id) break;
    at = by_id.find(message->parent);
  }
  std::reverse(branch.begin(), branch.end());
  return branch;
}

}  // namespace haq::profile
