// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace haq::profile {

/// Row ids; 0 means none.
using Id = std::int64_t;

enum class Role { kUser, kAssistant };
enum class MessageState {
  kStreaming,    ///< being written now
  kDone,         ///< ended by itself
  kStopped,      ///< ended by the user
  kFailed,       ///< ended by an error (metrics: "error")
  kInterrupted,  ///< the program died while it was being written
};
const char* to_string(Role role);           ///< user, assistant
const char* to_string(MessageState state);  ///< streaming, done, stopped, failed, interrupted
Role role_from(std::string_view text);      ///< throws kCorrupt
MessageState state_from(std::string_view text);

struct Conversation {
  Id id = 0;
  std::string title = {};
  std::int64_t created_ms = 0;  ///< since 1970, UTC
  std::int64_t updated_ms = 0;
  std::int64_t deleted_ms = 0;  ///< 0: not deleted
  std::string model = {};       ///< folder it last ran on
  std::string system_prompt = {};
  std::string sampling = "{}";  ///< JSON object: what differs from the model's defaults
  Id active_leaf = 0;           ///< last message of the branch on show
};

/// One message of a conversation's tree. Siblings share a parent: the answers of "regenerate", the
/// versions of an edited question.
struct Message {
  Id id = 0;
  Id conversation = 0;
  Id parent = 0;  ///< always a smaller id
  Role role = Role::kUser;
  std::string content = {};
  MessageState state = MessageState::kDone;
  std::int64_t created_ms = 0;
  /// JSON object. Answers: model, fingerprint, prompt_tokens, reused_tokens, generated_tokens,
  /// ttft_s, prefill_tokens_per_s, decode_tokens_per_s, finish_reason, sampling{},
  /// dropped_messages, error.
  std::string metrics = "{}";
};

/// The messages from the root down to `leaf`, oldest first; empty for an unknown leaf.
std::vector<const Message*> branch_to(const std::vector<Message>& messages, Id leaf);

}  // namespace haq::profile
