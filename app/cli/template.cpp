// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"
#include "engine/base/json.h"
#include "engine/text/chat_template.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--messages", Kind::kFile, "FILE", "", "JSON array of {role, content} objects"},
    {"--tools", Kind::kFile, "FILE", "", "JSON array of tool descriptions"},
    {"--no-generation-prompt", Kind::kFlag, "", "",
     "do not open the assistant's answer at the end"},
    {"--set", Kind::kText, "KEY=JSON", "", "a further template variable", "", 0, 0, true},
    {"--parse-special", Kind::kFlag, "", "",
     "let text of messages become special tokens if it spells them"},
};

Json read_array(const std::string& path) {
  Json json = parse_ordered_json(read_utf8_file(path), path);
  if (!json.is_array()) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{}: expected a JSON array", path),
                "put the objects into [ ]");
  }
  return json;
}

Json extra_variables(const Arguments& arguments) {
  Json extra = Json::object();
  for (const std::string& setting : arguments.list("--set")) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(fmt::format("--set is '{}'", setting), "write it as key=json");
    }
    const std::string key = setting.substr(0, equals);
    try {
      extra[key] = parse_ordered_json(setting.substr(equals + 1), key);
    } catch (const Error& error) {
      throw UsageError(fmt::format("--set {}: {}", key, error.what()),
                       "the value must be JSON: text needs quotes, as in key='\"text\"'");
    }
  }
  return extra;
}

int run(const Arguments& arguments) {
  if (!arguments.given("--messages")) {
    throw UsageError("--messages is missing", "name a JSON file with the messages");
  }
  Json extra = extra_variables(arguments);
  const std::filesystem::path folder = model_folder(arguments);
  const auto chat_template = text::ChatTemplate::load(folder);
  if (!chat_template) {
    throw Error(
        ErrorCode::kNotFound, fmt::format("{} has no chat template", folder.string()),
        "use a model with a chat_template.jinja or a chat_template in tokenizer_config.json");
  }
  Json messages = read_array(arguments.text("--messages"));
  Json tools;
  text::TemplateInput input;
  input.messages = &messages;
  if (arguments.given("--tools")) {
    tools = read_array(arguments.text("--tools"));
    input.tools = &tools;
  }
  input.extra = &extra;
  input.add_generation_prompt = !arguments.flag("--no-generation-prompt");
  const std::vector<text::PromptPiece> pieces = chat_template->render(input);
  std::string text;
  for (const text::PromptPiece& piece : pieces) text += piece.text;
  if (!arguments.flag("--json")) {
    print(text);
    return kExitDone;
  }
  Json ids;
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    const auto tokenizer = text::Tokenizer::load(folder);
    ids = text::encode_prompt(*tokenizer, pieces, arguments.flag("--parse-special"));
  }
  print_json({{"text", text}, {"ids", ids}});
  return kExitDone;
}

}  // namespace

Command template_command() {
  return {
      "template",
      "render the model's chat template",
      "Renders messages with the model's chat template and shows the exact text, with --json also "
      "the token ids that a chat would use (null when the folder has no tokenizer.json).",
      {model_positional()},
      {kOptions},
      {{"haq template --messages messages.json",
        "the prompt for [{\"role\": \"user\", \"content\": \"Hi\"}]"},
       {"haq template ~/models/Qwen3 --messages m.json --set enable_thinking=false --json",
        "with a template variable"}},
      run};
}

}  // namespace haq::cli
