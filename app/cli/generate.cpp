// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/expert_options.h"
#include "app/cli/model_options.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--prompt", Kind::kText, "TEXT", "", "the prompt"},
    {"--prompt-file", Kind::kFile, "FILE", "", "UTF-8 file with the prompt"},
    {"--ids", Kind::kText, "IDS", "", "the prompt as token ids, for example 1,2,3"},
    {"--chat", Kind::kFlag, "", "", "the prompt is a user's message: render the chat template"},
    {"--system", Kind::kText, "TEXT", "", "system message, with --chat"},
    {"--parse-special", Kind::kFlag, "", "",
     "with --chat, let text of messages become special tokens if it spells them"},
};

struct Prompt {
  std::string text;
  std::vector<std::int32_t> ids;
};

Prompt read_prompt(const Arguments& arguments) {
  const int sources = static_cast<int>(arguments.given("--prompt")) +
                      static_cast<int>(arguments.given("--prompt-file")) +
                      static_cast<int>(arguments.given("--ids"));
  if (sources != 1) {
    throw UsageError("one of --prompt, --prompt-file and --ids is needed",
                     "give exactly one of them");
  }
  const bool chat = arguments.flag("--chat");
  if (chat && arguments.given("--ids")) {
    throw UsageError("--chat and --ids exclude each other", "give the prompt as text");
  }
  for (const char* name : {"--system", "--parse-special"}) {
    if (!chat && arguments.given(name)) {
      throw UsageError(fmt::format("{} needs --chat", name), "add --chat");
    }
  }
  for (const std::string& stop : arguments.list("--stop")) {
    if (stop.empty()) throw UsageError("--stop is empty", "give the text at which to stop");
  }
  Prompt prompt;
  if (arguments.given("--ids")) {
    prompt.ids = parse_ids(arguments.text("--ids"), "--ids");
  } else {
    prompt.text = arguments.given("--prompt") ? arguments.text("--prompt")
                                              : read_utf8_file(arguments.text("--prompt-file"));
  }
  return prompt;
}

std::vector<std::int32_t> encode(const Arguments& arguments, const session::Model& model,
                                 const Prompt& prompt) {
  if (!prompt.ids.empty()) return prompt.ids;
  if (!arguments.flag("--chat")) return model.tokenizer().encode(prompt.text);
  Json messages = Json::array();
  if (arguments.given("--system")) {
    messages.push_back({{"role", "system"}, {"content", arguments.text("--system")}});
  }
  messages.push_back({{"role", "user"}, {"content", prompt.text}});
  return model.chat_prompt(messages, arguments.flag("--parse-special"));
}

Json result_json(session::Model& model, const session::GenerateResult& result,
                 const session::GenerateOptions& options) {
  Json json;
  json["text"] = result.text;
  json["ids"] = result.ids;
  json["prompt_tokens"] = result.prompt_tokens;
  json["generated_tokens"] = result.generated_tokens;
  json["finish_reason"] = session::to_string(result.finish);
  json["ttft_s"] = result.ttft_s;
  json["prefill_tokens_per_s"] = result.prefill_tokens_per_s;
  json["decode_tokens_per_s"] = result.decode_tokens_per_s;
  json["digest"] = result.digest;
  json["sampling"] = sampling_json(options.sampling);
  json["sampling"]["max_tokens"] = options.max_tokens;
  json["sampling"]["stop"] = options.stop;
  json["model"] = model_json(model);
  json["peak_rss_bytes"] = session::peak_rss_bytes();
  return json;
}

int run(const Arguments& arguments) {
  const Prompt prompt = read_prompt(arguments);
  const bool json = arguments.flag("--json");
  const session::ExpertOptions expert_options = expert_options_from(arguments);
  const std::shared_ptr<session::Model> model = load_model(arguments, load_options(arguments));
  const std::vector<std::int32_t> prompt_ids = encode(arguments, *model, prompt);
  const auto experts = attach_experts(arguments, model, expert_options);

  session::GenerateOptions options;
  options.sampling = sampling_from(arguments, {});
  options.max_tokens = static_cast<int>(arguments.integer("--max-tokens"));
  options.stop = arguments.list("--stop");
  options.digest = json;

  session::Context context(model);
  if (experts) experts->begin_prompt();
  bool at_line_start = true;
  session::GenerateResult result;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    result = context.generate(
        prompt_ids, options,
        [&](const session::GeneratedToken& token) {
          if (json || token.text.empty()) return true;
          progress.clear();
          print(token.text);
          at_line_start = token.text.back() == '\n';
          return true;
        },
        interrupt_token(), progress.callback());
  }
  Json expert_json;
  if (experts) {
    expert_json = finish_experts(arguments, *experts, result.prefill_s + result.decode_s);
  }
  if (json) {
    Json object = result_json(*model, result, options);
    if (experts) object["experts"] = expert_json;
    print_json(object);
  } else {
    if (!at_line_start) print("\n");
    if (!model->has_tokenizer()) {
      std::string ids;
      for (const std::int32_t id : result.ids)
        ids += fmt::format("{}{}", ids.empty() ? "" : ",", id);
      print(ids + "\n");
    }
    note(arguments,
         fmt::format(
             "[{} prompt tokens, {} generated, {}; first token after {:.2f} s, {:.1f} tokens/s]",
             result.prompt_tokens, result.generated_tokens, session::to_string(result.finish),
             result.ttft_s, result.decode_tokens_per_s));
    note_experts(arguments, experts.get());
  }
  return result.finish == session::FinishReason::kCancelled ? kExitInterrupted : kExitDone;
}

}  // namespace

Command generate_command() {
  return {
      "generate",
      "continue a prompt",
      "Streams the model's continuation of a prompt to stdout. Sampling is greedy unless a "
      "temperature is given. --prompt is encoded as 'haq tokenize' does, --ids are taken as "
      "they are; with --chat the prompt becomes a user's message of the model's chat template, "
      "and its text never becomes a special token unless --parse-special.",
      {model_positional()},
      {kOptions, sampling_options(), run_options(), expert_options(), record_option()},
      {{"haq generate --chat --prompt \"Tell me a story about a dog\"", "a story"},
       {"haq generate ~/models/OLMoE --prompt \"Once\" --temperature 0.8 --seed 7 --json",
        "sampled, with figures as JSON"},
       {"haq generate model-w8a8 --prompt \"Once\" --device emulated --card rtx-3060 --vram 25%",
        "a quarter of the experts on a card that is not there"}},
      run};
}

}  // namespace haq::cli
