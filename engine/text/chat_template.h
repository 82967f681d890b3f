// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace haq::text {

/// Rendered text, cut where its origin changes, so that text from messages can be tokenized without
/// ever becoming a special token.
struct PromptPiece {
  std::string text;
  bool from_message = false;  ///< true: came from message contents, tools or other user data
};

struct TemplateInput {
  nlohmann::ordered_json* messages = nullptr;  ///< array, not null
  nlohmann::ordered_json* tools = nullptr;     ///< array or null
  nlohmann::ordered_json* extra = nullptr;     ///< object of further variables or null
  bool add_generation_prompt = true;
};

/// A chat template: a sandboxed Jinja interpreter with limits on steps, depth, time and output.
/// Immutable, thread-safe.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// Parses; throws kCorrupt with line number on a syntax error.
  static std::shared_ptr<const ChatTemplate> parse(std::string source, std::string what);
  /// chat_template.jinja, or the "chat_template" of tokenizer_config.json (string or named list), with
  /// bos/eos/... tokens from it. Empty when the folder has none.
  static std::shared_ptr<const ChatTemplate> load(const std::filesystem::path& folder);

  /// Throws Error kInvalidArgument with the template's own message for raise_exception, kLimit for an
  /// endless template, kCorrupt for a run-time error.
  virtual std::vector<PromptPiece> render(const TemplateInput& input) const = 0;
  std::string render_text(const TemplateInput& input) const;
  virtual const std::string& source() const = 0;

  /// Fixes strftime_now for tests; default: the local clock.
  using Clock = std::function<std::chrono::system_clock::time_point()>;
  virtual void set_clock(Clock clock) = 0;
};

/// Encodes rendered pieces: template text with special tokens recognised, message text without unless
/// `parse_special`. No further specials are added. Neighbouring pieces are tokenized together where no
/// special token could arise across the seam, so that ids equal those of the plain text whenever no
/// message spells a special token.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const std::vector<PromptPiece>& pieces,
                                   bool parse_special);

}  // namespace haq::text
