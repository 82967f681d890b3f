// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/jinja/value.h"

namespace haq::text {
namespace {

using jinja::Origin;
using jinja::Value;
using nlohmann::ordered_json;

constexpr std::size_t kMaxTemplateBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxConfigBytes = std::size_t{64} << 20;

/// Names under which transformers hands the special tokens to a template.
constexpr const char* kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

/// What transformers' apply_chat_template does to a message: keys without a value go away, and the
/// reasoning is there under both names that templates read.
ordered_json prepare_message(const ordered_json& message) {
  ordered_json prepared = ordered_json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) prepared[key] = value;
  }
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto found = prepared.find(name);
    if (found == prepared.end()) continue;
    const ordered_json reasoning = *found;
    ordered_json aliased = ordered_json::object();
    aliased["thinking"] = reasoning;
    for (const auto& [key, value] : prepared.items()) aliased[key] = value;
    aliased["reasoning_content"] = reasoning;
    return aliased;
  }
  return prepared;
}

ordered_json prepare_messages(const ordered_json* messages, const std::string& what) {
  if (messages == nullptr || !messages->is_array()) {
    fail(ErrorCode::kInvalidArgument, "{}: the messages are not a list", what);
  }
  if (messages->empty()) {
    fail(ErrorCode::kInvalidArgument, "{}: a chat needs at least one message", what);
  }
  ordered_json prepared = ordered_json::array();
  for (const ordered_json& message : *messages) {
    if (!message.is_object()) {
      fail(ErrorCode::kInvalidArgument, "{}: message {} is a {}, expected an object", what,
           prepared.size() + 1, message.type_name());
    }
    prepared.push_back(prepare_message(message));
  }
  return prepared;
}

/// A parsed template with its source.
struct Program {
  std::string source;
  std::vector<jinja::Stmt> body;
};

Program compile(std::string source, const std::string& what) {
  if (source.size() > kMaxTemplateBytes) {
    fail(ErrorCode::kLimit, "{}: {} bytes, larger than the limit of {}", what, source.size(),
         kMaxTemplateBytes);
  }
  try {
    // Round trip through the JSON library's UTF-8 check; a template is text.
    (void)nlohmann::json(source).dump();
    Program program;
    program.body = jinja::parse_template(source);
    program.source = std::move(source);
    return program;
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kCorrupt, "{}: not valid UTF-8", what);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", what, error.what()), error.hint());
  }
}

using TokenList = std::vector<std::pair<std::string, std::string>>;

class JinjaChatTemplate : public ChatTemplate {
 public:
  JinjaChatTemplate(Program program, std::string what, TokenList tokens = {})
      : program_(std::move(program)), what_(std::move(what)), tokens_(std::move(tokens)) {}

  void set_tool_program(Program program) { tool_program_ = std::move(program); }
  const std::string& source() const override { return program_.source; }
  void set_clock(Clock clock) override { clock_ = std::move(clock); }

  std::vector<PromptPiece> render(const TemplateInput& input) const override {
    const jinja::Budget budget{jinja::Limits{}};
    const bool with_tools = input.tools != nullptr && !input.tools->is_null();
    const Program& program = with_tools && tool_program_ ? *tool_program_ : program_;
    jinja::Interpreter interpreter(checked_variables(input), clock_);
    jinja::StrBuilder out;
    try {
      interpreter.run(program.body, out);
    } catch (const Error& error) {
      // The template's own words (raise_exception) are for the user as they are.
      if (error.code() == ErrorCode::kInvalidArgument) throw;
      throw Error(error.code(),
                  fmt::format("{}: line {}: {}", what_, interpreter.line(), error.what()),
                  error.hint());
    }
    return to_pieces(out);
  }

 private:
  std::vector<std::pair<std::string, Value>> variables(const TemplateInput& input) const {
    std::vector<std::pair<std::string, Value>> variables;
    const auto set = [&](const std::string& name, Value value) {
      const auto found = std::find_if(variables.begin(), variables.end(),
                                      [&](const auto& entry) { return entry.first == name; });
      if (found != variables.end()) {
        found->second = std::move(value);
      } else {
        variables.emplace_back(name, std::move(value));
      }
    };
    for (const auto& [name, token] : tokens_) set(name, jinja::make_string(token));
    set("messages", jinja::from_json(prepare_messages(input.messages, what_), Origin::kUser));
    set("tools", input.tools == nullptr ? Value() : jinja::from_json(*input.tools, Origin::kUser));
    set("documents", Value());
    set("add_generation_prompt", Value(input.add_generation_prompt));
    if (input.extra == nullptr) return variables;
    if (!input.extra->is_object()) {
      fail(ErrorCode::kInvalidArgument, "{}: the template's variables are a {}, expected an object",
           what_, input.extra->type_name());
    }
    for (const auto& [name, value] : input.extra->items()) {
      const bool is_token =
          std::find(std::begin(kTokenNames), std::end(kTokenNames), name) != std::end(kTokenNames);
      set(name, jinja::from_json(value, is_token ? Origin::kTemplate : Origin::kUser));
    }
    return variables;
  }

  std::vector<std::pair<std::string, Value>> checked_variables(const TemplateInput& input) const {
    try {
      return variables(input);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInvalidArgument) throw;
      throw Error(error.code(), fmt::format("{}: {}", what_, error.what()), error.hint());
    }
  }

  static std::vector<PromptPiece> to_pieces(const jinja::StrBuilder& out) {
    std::vector<PromptPiece> pieces;
    std::size_t begin = 0;
    for (const jinja::Run& run : out.runs()) {
      pieces.push_back(
          {std::string(out.view().substr(begin, run.end - begin)), run.origin == Origin::kUser});
      begin = run.end;
    }
    return pieces;
  }

  Program program_;
  std::optional<Program> tool_program_;
  std::string what_;
  TokenList tokens_;
  Clock clock_ = [] { return std::chrono::system_clock::now(); };
};

/// bos_token and the like: a string, or an object with "content"; null when there is none.
TokenList read_tokens(const nlohmann::json& config, const std::string& what) {
  TokenList tokens;
  for (const char* name : kTokenNames) {
    const auto found = config.find(name);
    if (found == config.end() || found->is_null()) continue;
    const nlohmann::json& value =
        found->is_object() ? found->value("content", nlohmann::json()) : *found;
    if (!value.is_string()) {
      fail(ErrorCode::kCorrupt, "{}: {} is a {}, expected a string", what, name,
           found->type_name());
    }
    tokens.emplace_back(name, value.get<std::string>());
  }
  return tokens;
}

struct Sources {
  std::optional<std::string> main;
  std::optional<std::string> tool_use;
  std::string what;
};

/// A "chat_template" field: one template, or a list of {name, template}.
Sources read_field(const nlohmann::json& field, const std::string& what) {
  Sources sources;
  sources.what = what;
  if (field.is_string()) {
    sources.main = field.get<std::string>();
    return sources;
  }
  if (!field.is_array()) {
    fail(ErrorCode::kCorrupt, "{}: chat_template is a {}, expected a string or a list", what,
         field.type_name());
  }
  for (const nlohmann::json& entry : field) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
        !entry["name"].is_string() || !entry["template"].is_string()) {
      fail(ErrorCode::kCorrupt, "{}: an entry of chat_template has no name or no template", what);
    }
    if (entry["name"] == "default") sources.main = entry["template"].get<std::string>();
    if (entry["name"] == "tool_use") sources.tool_use = entry["template"].get<std::string>();
  }
  if (!sources.main) {
    fail(ErrorCode::kUnsupported, "{}: chat_template is a list without the name \"default\"", what);
  }
  return sources;
}

}  // namespace

std::shared_ptr<const ChatTemplate> ChatTemplate::parse(std::string source, std::string what) {
  Program program = compile(std::move(source), what);
  return std::make_shared<JinjaChatTemplate>(std::move(program), std::move(what));
}

std::shared_ptr<const ChatTemplate> ChatTemplate::load(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  nlohmann::json config = nlohmann::json::object();
  const fs::path config_path = folder / "tokenizer_config.json";
  if (fs::exists(config_path)) config = parse_json_file(config_path, {kMaxConfigBytes, 64});
  if (!config.is_object()) {
    fail(ErrorCode::kCorrupt, "{}: a {}, expected an object", config_path.string(),
         config.type_name());
  }
  Sources sources;
  const fs::path jinja_path = folder / "chat_template.jinja";
  const fs::path json_path = folder / "chat_template.json";
  if (fs::exists(jinja_path)) {
    sources.main = read_text_file(jinja_path, kMaxTemplateBytes);
    sources.what = jinja_path.string();
    const fs::path tool_path = folder / "additional_chat_templates" / "tool_use.jinja";
    if (fs::exists(tool_path)) sources.tool_use = read_text_file(tool_path, kMaxTemplateBytes);
  } else if (fs::exists(json_path)) {
    const nlohmann::json file = parse_json_file(json_path);
    if (!file.is_object() || !file.contains("chat_template")) {
      fail(ErrorCode::kCorrupt, "{}: no field chat_template", json_path.string());
    }
    sources = read_field(file["chat_template"], json_path.string());
  } else if (config.contains("chat_template") && !config["chat_template"].is_null()) {
    sources = read_field(config["chat_template"], config_path.string());
  } else {
    return nullptr;
  }
  auto loaded =
      std::make_shared<JinjaChatTemplate>(compile(std::move(*sources.main), sources.what),
                                          sources.what, read_tokens(config, config_path.string()));
  if (sources.tool_use) {
    loaded->set_tool_program(compile(std::move(*sources.tool_use), sources.what + " (tool_use)"));
  }
  return loaded;
}

std::string ChatTemplate::render_text(const TemplateInput& input) const {
  std::string text;
  for (const PromptPiece& piece : render(input)) text += piece.text;
  return text;
}

}  // namespace haq::text
