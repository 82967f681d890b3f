// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "engine/base/error.h"
#include "engine/session/session.h"

namespace haq::session {

namespace {

std::string role_of(const nlohmann::ordered_json& message) {
  return message.is_object() && message.contains("role") && message["role"].is_string()
             ? message["role"].get<std::string>()
             : std::string();
}

/// Removes the oldest turn: the first user message and all that follows it up to the next one.
/// False when only one turn is left.
bool drop_oldest_turn(nlohmann::ordered_json& messages, int& dropped) {
  const auto is_user = [](const nlohmann::ordered_json& m) { return role_of(m) == "user"; };
  const auto first = std::find_if(messages.begin(), messages.end(), is_user);
  if (first == messages.end()) return false;
  const auto next = std::find_if(first + 1, messages.end(), is_user);
  if (next == messages.end()) return false;
  // A system message inside the turn stays: it is never left out.
  nlohmann::ordered_json kept = nlohmann::ordered_json::array();
  for (auto it = messages.begin(); it != messages.end(); ++it) {
    const bool inside = it >= first && it < next && role_of(*it) != "system";
    if (inside) {
      ++dropped;
    } else {
      kept.push_back(*it);
    }
  }
  messages = std::move(kept);
  return true;
}

}  // namespace

std::vector<std::int32_t> Model::chat_prompt(const nlohmann::ordered_json& messages,
                                             bool parse_special, bool add_generation_prompt) const {
  if (!template_) {
    throw Error(ErrorCode::kNotFound, fmt::format("{} has no chat template", checkpoint_->name()),
                "use plain text generation, or a model with a chat template");
  }
  nlohmann::ordered_json copy = messages;
  text::TemplateInput input;
  input.messages = &copy;
  input.add_generation_prompt = add_generation_prompt;
  return text::encode_prompt(tokenizer(), template_->render(input), parse_special);
}

FittedPrompt fit_chat(const Model& model, const nlohmann::ordered_json& messages,
                      std::int64_t reserve, OverflowPolicy policy, bool parse_special) {
  nlohmann::ordered_json work = messages;
  const std::int64_t context = model.max_context();
  FittedPrompt fitted;
  for (;;) {
    fitted.ids = model.chat_prompt(work, parse_special);
    const auto tokens = static_cast<std::int64_t>(fitted.ids.size());
    const bool has_room = tokens < context;
    if (policy == OverflowPolicy::kStop && has_room) return fitted;
    if (policy == OverflowPolicy::kDropOldest) {
      if (tokens + reserve <= context) return fitted;
      if (drop_oldest_turn(work, fitted.dropped_messages)) continue;
      if (has_room) return fitted;
    }
    throw Error(ErrorCode::kLimit,
                fmt::format("the conversation has {} tokens, the model's context holds {}", tokens,
                            context),
                policy == OverflowPolicy::kStop
                    ? "start a new conversation, or let the oldest turns be left out"
                    : "shorten the last message");
  }
}

}  // namespace haq::session
