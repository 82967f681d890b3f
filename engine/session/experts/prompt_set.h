// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session/session.h"

namespace haq::session {

/// A prompt as a file gives it.
struct PromptText {
  std::string where;                ///< "prompts.jsonl line 3", for messages
  std::string set;                  ///< name of the group it belongs to; may be empty
  std::string text;                 ///< unless messages are given
  nlohmann::ordered_json messages;  ///< array of {role, content, ...}; null when `text` is given
};

/// JSON lines, each {"prompt": "..."} or {"messages": [{"role", "content"}, ...]} with an optional
/// "set": "name"; blank lines are passed over, other fields are left alone. Untrusted: kCorrupt
/// naming `what`, the line, what was found and expected; kLimit for more than a million prompts.
std::vector<PromptText> parse_prompt_lines(std::string_view jsonl, const std::string& what);

/// A text as prompts of about `tokens` tokens: paragraphs (parted by blank lines) that fit are
/// joined, longer ones are cut at a blank or line end. kCorrupt when there is nothing in it.
std::vector<PromptText> split_text(std::string_view text, const std::string& what,
                                   const text::Tokenizer& tokenizer, int tokens);

/// A prompt ready to be run.
struct EncodedPrompt {
  std::string where, set;
  std::vector<std::int32_t> ids;
};

/// Messages go through the chat template, texts are encoded as they are; with `chat` a text is a
/// user's message. kLimit naming the place for a prompt that leaves the model's context no room
/// for one more token, kCorrupt for messages that the template refuses, kNotFound where a
/// tokenizer or template is needed and missing, kCancelled.
std::vector<EncodedPrompt> encode_prompts(const Model& model,
                                          const std::vector<PromptText>& prompts, bool chat,
                                          const CancelToken& cancel = {});

}  // namespace haq::session
