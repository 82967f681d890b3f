// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/prompt_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/json.h"

namespace haq::session {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostPrompts = 1'000'000;
constexpr std::size_t kLongestSetName = 200;
constexpr std::string_view kBlanks = " \t\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlanks) == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// The next line, without its end; `rest` moves behind it.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

void check_messages(const Json& messages, const std::string& where) {
  if (!messages.is_array() || messages.empty()) {
    fail(ErrorCode::kCorrupt, "{}: \"messages\" is {}, expected an array of messages", where,
         messages.is_array() ? "empty" : messages.type_name());
  }
  for (const Json& message : messages) {
    const auto role = message.is_object() ? message.find("role") : message.end();
    if (!message.is_object() || role == message.end() || !role->is_string()) {
      fail(ErrorCode::kCorrupt, "{}: a message is not an object with a text \"role\"", where);
    }
  }
}

PromptText prompt_of(const Json& line, const std::string& where) {
  if (!line.is_object()) {
    fail(ErrorCode::kCorrupt, "{}: found {}, expected an object", where, line.type_name());
  }
  PromptText prompt;
  prompt.where = where;
  if (const auto set = line.find("set"); set != line.end() && !set->is_null()) {
    if (!set->is_string() || set->get_ref<const std::string&>().size() > kLongestSetName) {
      fail(ErrorCode::kCorrupt, "{}: \"set\" is {}, expected a name of up to {} bytes", where,
           set->type_name(), kLongestSetName);
    }
    prompt.set = set->get<std::string>();
  }
  const auto text = line.find("prompt"), messages = line.find("messages");
  if ((text == line.end()) == (messages == line.end())) {
    fail(ErrorCode::kCorrupt, "{}: {} \"prompt\" and \"messages\", expected one of them", where,
         text == line.end() ? "neither" : "both");
  }
  if (text != line.end()) {
    if (!text->is_string() || text->get_ref<const std::string&>().empty()) {
      fail(ErrorCode::kCorrupt, "{}: \"prompt\" is {}, expected a text", where,
           text->is_string() ? "empty" : text->type_name());
    }
    prompt.text = text->get<std::string>();
  } else {
    check_messages(*messages, where);
    prompt.messages = *messages;
  }
  return prompt;
}

std::vector<std::string_view> paragraphs_of(std::string_view text) {
  std::vector<std::string_view> paragraphs;
  const char* begin = nullptr;
  const char* end = nullptr;
  const auto finish = [&] {
    if (begin == nullptr) return;
    paragraphs.push_back(trimmed({begin, static_cast<std::size_t>(end - begin)}));
    begin = nullptr;
  };
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (is_blank(line)) {
      finish();
      continue;
    }
    if (begin == nullptr) begin = line.data();
    end = line.data() + line.size();
  }
  finish();
  return paragraphs;
}

/// A place to cut at `wanted` or behind it: after a blank, never within a character.
std::size_t cut_at(std::string_view text, std::size_t wanted) {
  if (wanted >= text.size()) return text.size();
  const std::size_t blank = text.find_first_of(kBlanks, wanted);
  if (blank != std::string_view::npos && blank < 2 * wanted) return blank;
  while (wanted < text.size() && (static_cast<unsigned char>(text[wanted]) & 0xC0) == 0x80) {
    ++wanted;
  }
  return wanted;
}

}  // namespace

std::vector<PromptText> parse_prompt_lines(std::string_view jsonl, const std::string& what) {
  std::vector<PromptText> prompts;
  for (int number = 1; !jsonl.empty(); ++number) {
    const std::string_view line = take_line(jsonl);
    if (is_blank(line)) continue;
    if (prompts.size() == kMostPrompts) {
      fail(ErrorCode::kLimit, "{}: more than {} prompts", what, kMostPrompts);
    }
    const std::string where = fmt::format("{} line {}", what, number);
    prompts.push_back(prompt_of(parse_ordered_json(line, where), where));
  }
  if (prompts.empty()) fail(ErrorCode::kCorrupt, "{}: there is no prompt in it", what);
  return prompts;
}

std::vector<PromptText> split_text(std::string_view text, const std::string& what,
                                   const text::Tokenizer& tokenizer, int tokens) {
  if (tokens < 1) fail(ErrorCode::kInvalidArgument, "prompts of {} tokens", tokens);
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  std::vector<PromptText> prompts;
  std::string joined;
  std::size_t joined_tokens = 0;
  const auto finish = [&] {
    if (joined.empty()) return;
    prompts.push_back({fmt::format("{} part {}", what, prompts.size() + 1), {}, joined, nullptr});
    joined.clear();
    joined_tokens = 0;
  };
  const auto limit = static_cast<std::size_t>(tokens);
  for (std::string_view paragraph : paragraphs_of(text)) {
    const std::size_t count = tokenizer.encode(paragraph, plain).size();
    if (joined_tokens + count > limit) finish();
    std::size_t rest = count;
    if (count > limit) {
      // Cut by bytes, as far as a paragraph's tokens are of one length.
      const std::size_t piece = std::max<std::size_t>(paragraph.size() * limit / count, 1);
      while (paragraph.size() > piece) {
        const std::size_t end = cut_at(paragraph, piece);
        joined = trimmed(paragraph.substr(0, end));
        paragraph = trimmed(paragraph.substr(end));
        finish();
      }
      rest = limit * paragraph.size() / piece;
    }
    if (paragraph.empty()) continue;
    if (!joined.empty()) joined += "\n\n";
    joined += paragraph;
    joined_tokens += rest;
  }
  finish();
  if (prompts.empty()) fail(ErrorCode::kCorrupt, "{}: there is no text in it", what);
  return prompts;
}

std::vector<EncodedPrompt> encode_prompts(const Model& model,
                                          const std::vector<PromptText>& prompts, bool chat,
                                          const CancelToken& cancel) {
  std::vector<EncodedPrompt> encoded;
  encoded.reserve(prompts.size());
  for (const PromptText& prompt : prompts) {
    cancel.check();
    EncodedPrompt one{prompt.where, prompt.set, {}};
    try {
      if (!prompt.messages.is_null()) {
        one.ids = model.chat_prompt(prompt.messages);
      } else if (chat) {
        one.ids = model.chat_prompt(Json::array({{{"role", "user"}, {"content", prompt.text}}}));
      } else {
        one.ids = model.tokenizer().encode(prompt.text);
      }
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", prompt.where, error.what()), error.hint());
    }
    const auto size = static_cast<std::int64_t>(one.ids.size());
    if (size == 0) fail(ErrorCode::kCorrupt, "{}: the prompt has no tokens", prompt.where);
    if (size >= model.max_context()) {
      throw Error(ErrorCode::kLimit,
                  fmt::format("{}: the prompt has {} tokens, the model's context is {}",
                              prompt.where, size, model.max_context()),
                  "shorten it or leave it out");
    }
    encoded.push_back(std::move(one));
  }
  return encoded;
}

}  // namespace haq::session
