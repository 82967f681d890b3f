// SPDX-License-Identifier: GPL-3.0-or-later
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/expert_options.h"
#include "app/cli/model_options.h"
#include "engine/base/file.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--system", Kind::kText, "TEXT", "", "system message"},
    {"--overflow", Kind::kChoice, "POLICY", "drop-oldest",
     "when the conversation outgrows the context: stop, or leave out the oldest turns",
     "stop|drop-oldest"},
    {"--parse-special", Kind::kFlag, "", "",
     "let text of messages become special tokens if it spells them"},
};

constexpr const char* kHelp =
    "/save FILE    write the conversation to a JSON file\n"
    "/system TEXT  set the system message and start anew\n"
    "/stats        speed, context use and resident experts so far\n"
    "/quit         leave\n"
    "Ctrl+C stops an answer; at the prompt it leaves.\n";

enum class Input { kLine, kEnd, kInterrupted };

/// Reads one line from stdin. Waits in short steps: Ctrl+C may come just before a blocking read,
/// which would then not notice it.
Input read_line(std::string& line) {
  line.clear();
  for (;;) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, 100);
    if (interrupt_token().cancelled()) return Input::kInterrupted;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char c = 0;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return line.empty() ? Input::kEnd : Input::kLine;
    if (c == '\n') return Input::kLine;
    line += c;
  }
}

/// One terminal conversation.
class Chat {
 public:
  /// `experts` may be null.
  Chat(const Arguments& arguments, std::shared_ptr<session::Model> model,
       session::ExpertSession* experts)
      : arguments_(arguments), model_(model), experts_(experts), context_(model) {
    options_.sampling = sampling_from(arguments, model->chat_sampling());
    options_.max_tokens = arguments.given("--max-tokens")
                              ? static_cast<int>(arguments.integer("--max-tokens"))
                              : model->checkpoint().generation().max_new_tokens.value_or(512);
    options_.stop = arguments.list("--stop");
    policy_ = arguments.text("--overflow") == "stop" ? session::OverflowPolicy::kStop
                                                     : session::OverflowPolicy::kDropOldest;
    if (arguments.given("--system")) set_system(arguments.text("--system"));
  }

  int run() {
    const session::SamplingOptions& s = options_.sampling;
    note(arguments_,
         fmt::format("{} (temperature {}, top-p {}, context {}); /help shows the commands",
                     model_->checkpoint().name(), s.temperature, s.top_p, model_->max_context()));
    for (;;) {
      if (!arguments_.flag("--json") && isatty(STDIN_FILENO) == 1) print("> ");
      std::string line;
      const Input input = read_line(line);
      if (input == Input::kInterrupted) return finish(kExitInterrupted);
      if (input == Input::kEnd || line == "/quit") return finish(kExitDone);
      if (line.empty()) continue;
      if (line[0] == '/') {
        command(line);
      } else if (!answer(line)) {
        return finish(kExitInterrupted);
      }
    }
  }

 private:
  void set_system(const std::string& text) {
    messages_ = Json::array();
    if (!text.empty()) messages_.push_back({{"role", "system"}, {"content", text}});
  }

  void command(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/save") {
      save(rest);
    } else if (name == "/system") {
      set_system(rest);
      note(arguments_, rest.empty() ? "no system message; a new conversation"
                                    : "system message set; a new conversation");
    } else if (name == "/stats") {
      print(fmt::format(
          "{} answers, {} tokens at {:.1f} tokens/s; context {} of {} tokens, cache {}\n", answers_,
          generated_, decode_s_ > 0 ? decoded_ / decode_s_ : 0.0, context_.cached_tokens(),
          model_->max_context(), session::format_bytes(context_.kv_bytes())));
      if (experts_ != nullptr) print(experts_->summary() + "\n");
    } else if (name == "/help") {
      print(kHelp);
    } else {
      print_error("chat", fmt::format("there is no command {}", name), "/help shows the commands");
    }
  }

  void save(const std::string& path) {
    if (path.empty()) {
      print_error("chat", "/save needs a file name", "write /save FILE");
      return;
    }
    try {
      write_file_atomically(
          path, conversation().dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
      note(arguments_, fmt::format("saved to {}", path));
    } catch (const Error& error) {
      print_error("chat", error.what(), advice_for(error));
    }
  }

  Json conversation() const {
    return {{"model", model_->checkpoint().name()},
            {"sampling", sampling_json(options_.sampling)},
            {"messages", messages_}};
  }

  /// False when a second Ctrl+C asked to leave.
  bool answer(const std::string& text) {
    Json asked = messages_;
    asked.push_back({{"role", "user"}, {"content", text}});
    session::GenerateResult result;
    try {
      check_utf8(text, "the message");
      const session::FittedPrompt prompt = session::fit_chat(
          *model_, asked, options_.max_tokens, policy_, arguments_.flag("--parse-special"));
      if (prompt.dropped_messages > 0) {
        note(arguments_, fmt::format("[context full: the oldest {} messages are left out]",
                                     prompt.dropped_messages));
      }
      const bool silent = arguments_.flag("--json");
      if (experts_ != nullptr) experts_->begin_prompt();
      result = context_.generate(
          prompt.ids, options_,
          [&](const session::GeneratedToken& token) {
            if (!silent) print(token.text);
            return true;
          },
          interrupt_token());
      if (experts_ != nullptr) experts_->add_seconds(result.prefill_s + result.decode_s);
      if (!silent) print("\n");
    } catch (const UsageError& error) {
      print_error("chat", error.what(), error.advice());
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kIo) throw;  // the terminal is gone
      print_error("chat", error.what(), advice_for(error));
      return true;
    }
    messages_ = std::move(asked);
    messages_.push_back({{"role", "assistant"}, {"content", result.text}});
    ++answers_;
    generated_ += result.generated_tokens;
    decoded_ += result.decode_tokens_per_s * result.decode_s;
    decode_s_ += result.decode_s;
    // Each answer draws from its own stream, and the whole chat repeats with the same first seed.
    ++options_.sampling.seed;
    if (result.finish == session::FinishReason::kCancelled) {
      note(arguments_, "[stopped]");
      renew_interrupt_token();
    } else if (result.finish == session::FinishReason::kContext) {
      note(arguments_, "[the context is full]");
    } else if (result.finish == session::FinishReason::kLength) {
      note(arguments_, fmt::format("[stopped after {} tokens]", result.generated_tokens));
    }
    return true;
  }

  int finish(int code) {
    Json experts;
    if (experts_ != nullptr) experts = finish_experts(arguments_, *experts_, 0);
    if (arguments_.flag("--json")) {
      Json json = conversation();
      json["answers"] = answers_;
      json["generated_tokens"] = generated_;
      if (experts_ != nullptr) json["experts"] = experts;
      print_json(json);
    } else if (isatty(STDIN_FILENO) == 1) {
      print("\n");
    }
    note_experts(arguments_, experts_);
    return code;
  }

  const Arguments& arguments_;
  std::shared_ptr<session::Model> model_;
  session::ExpertSession* experts_;
  session::Context context_;
  session::GenerateOptions options_;
  session::OverflowPolicy policy_ = session::OverflowPolicy::kDropOldest;
  Json messages_ = Json::array();
  std::int64_t answers_ = 0, generated_ = 0;
  double decoded_ = 0, decode_s_ = 0;
};

int run(const Arguments& arguments) {
  for (const std::string& stop : arguments.list("--stop")) {
    if (stop.empty()) throw UsageError("--stop is empty", "give the text at which to stop");
  }
  const session::ExpertOptions expert_options = expert_options_from(arguments);
  const std::shared_ptr<session::Model> model = load_model(arguments, load_options(arguments));
  if (model->chat_template() == nullptr) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} has no chat template", model->checkpoint().name()),
                "use 'haq generate' for plain text");
  }
  const auto experts = attach_experts(arguments, model, expert_options);
  return Chat(arguments, model, experts.get()).run();
}

}  // namespace

Command chat_command() {
  return {
      "chat",
      "chat in the terminal",
      "Reads messages line by line and streams the answers. Sampling defaults come from the "
      "model's "
      "generation_config.json. /save FILE, /system TEXT, /stats, /help and /quit are commands; "
      "Ctrl+C stops an answer, a second one or one at the prompt leaves.",
      {model_positional()},
      {kOptions, chat_sampling_options(), run_options(), expert_options(), record_option()},
      {{"haq chat", "talk to the demo model"},
       {"haq chat ~/models/OLMoE-Instruct --system \"Answer briefly.\"", "with a system message"},
       {"haq chat model-w8a8 --device emulated --vram 25%",
        "/stats shows what the expert cache does"}},
      run};
}

}  // namespace haq::cli
