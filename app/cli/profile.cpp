// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/profile_run.h"

#include <map>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/expert_options.h"
#include "app/cli/model_options.h"
#include "engine/model/fingerprint.h"
#include "engine/profile/recordings/recording_append.h"
#include "engine/profile/store/stored_values.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--prompts", Kind::kFile, "FILE", "",
     "prompts as JSON lines: {\"prompt\": \"...\"} or {\"messages\": [...]}, each with an optional "
     "\"set\": \"name\""},
    {"--text", Kind::kFile, "FILE", "",
     "a UTF-8 text instead: its paragraphs, joined or cut to --prompt-tokens, are the prompts"},
    {"--name", Kind::kText, "NAME", "", "name of the recording"},
    {"--append", Kind::kFlag, "", "", "add to the recording of that name"},
    {"--repeat", Kind::kInteger, "N", "1",
     "run the prompts N times; it pays with a temperature, the seed counts up", "", 1, 1000000},
    {"--set", Kind::kText, "SET", "", "only the prompts of this set", "", 0, 0, true},
    {"--chat", Kind::kFlag, "", "", "a \"prompt\" is a user's message: render the chat template"},
    {"--prompt-tokens", Kind::kInteger, "N", "256", "with --text, about as many tokens a prompt",
     "", 1, 1000000},
};

void check_usage(const Arguments& arguments) {
  if (arguments.text("--name").empty()) {
    throw UsageError("--name is missing", "name the recording, such as --name stories");
  }
  if (arguments.given("--prompts") == arguments.given("--text")) {
    throw UsageError("one of --prompts and --text is needed", "give exactly one of them");
  }
  for (const char* option : {"--set", "--chat"}) {
    if (arguments.given(option) && arguments.given("--text")) {
      throw UsageError(fmt::format("{} needs --prompts", option), "leave it out for a text");
    }
  }
  if (arguments.given("--prompt-tokens") && !arguments.given("--text")) {
    throw UsageError("--prompt-tokens needs --text", "prompts of JSON lines are taken whole");
  }
}

/// The recording of this name, if there is one that can be seen without writing. A database that
/// cannot be read is reported when it is opened for the recording.
std::optional<profile::Recording> existing(const std::filesystem::path& database,
                                           const std::string& name) {
  try {
    profile::StoreFile store = profile::StoreFile::open_to_read(database);
    return profile::Recordings(store.database).find(name);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The name to record under: with --append, for a name that is taken, one of its own until the end.
std::string recording_name(const Arguments& arguments, const std::filesystem::path& database,
                           const std::optional<profile::Recording>& old) {
  const std::string name = arguments.text("--name");
  profile::check_stored_name(name, "a recording");
  if (!old) return name;
  if (!arguments.flag("--append")) {
    throw Error(
        ErrorCode::kConflict,
        fmt::format("there is a recording named \"{}\" already, with {} tokens", name, old->tokens),
        "choose another name, or add to it with --append");
  }
  profile::StoreFile store = profile::StoreFile::open_to_read(database);
  profile::Recordings recordings(store.database);
  return profile::continuation_name(recordings, name);
}

/// Paths of another model, or counts without paths, cannot be added to.
void check_continues(const profile::Recording& old, session::Model& model) {
  const experts::ExpertShape shape = experts::shape_of(model.decoder());
  const model::Checkpoint& checkpoint = model.checkpoint();
  std::string why;
  if (old.state == "counts") {
    why = "it holds uses per expert only, no paths";
  } else if (!(old.shape == shape)) {
    why = fmt::format("it has {} layers of {} experts, top {}; {} has {} of {}, top {}",
                      old.shape.layers, old.shape.experts, old.shape.top_k, checkpoint.name(),
                      shape.layers, shape.experts, shape.top_k);
  } else if (!old.fingerprint.empty()) {
    if (model::base_fingerprint_of(checkpoint) != old.fingerprint) {
      why = fmt::format("it is of {}, not of {}", old.model.empty() ? "another model" : old.model,
                        checkpoint.name());
    }
  }
  if (why.empty()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("nothing can be added to the recording \"{}\": {}", old.name, why),
              "choose another name");
}

std::vector<session::PromptText> read_prompts(const Arguments& arguments,
                                              const session::Model& model) {
  if (arguments.given("--text")) {
    const std::string file = arguments.text("--text");
    // Half the context at most, so that there is room for an answer.
    const std::int64_t tokens = std::min(arguments.integer("--prompt-tokens"),
                                         std::max<std::int64_t>(model.max_context() / 2, 1));
    return session::split_text(read_utf8_file(file), file, model.tokenizer(),
                               static_cast<int>(tokens));
  }
  const std::string file = arguments.text("--prompts");
  std::vector<session::PromptText> prompts =
      session::parse_prompt_lines(read_utf8_file(file), file);
  const std::vector<std::string> sets = arguments.list("--set");
  if (sets.empty()) return prompts;
  std::erase_if(prompts, [&](const session::PromptText& prompt) {
    return std::find(sets.begin(), sets.end(), prompt.set) == sets.end();
  });
  if (prompts.empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: no prompt belongs to the set {}", file, sets.front()),
                "look at the \"set\" of its lines");
  }
  return prompts;
}

Json sets_json(const std::vector<session::EncodedPrompt>& prompts) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> sets;
  for (const session::EncodedPrompt& prompt : prompts) {
    auto& [count, tokens] = sets[prompt.set];
    ++count;
    tokens += static_cast<std::int64_t>(prompt.ids.size());
  }
  Json json = Json::array();
  if (sets.size() == 1 && sets.begin()->first.empty()) return json;
  for (const auto& [name, sums] : sets) {
    json.push_back({{"set", name}, {"prompts", sums.first}, {"prompt_tokens", sums.second}});
  }
  return json;
}

/// Joins what was recorded to the old recording.
void join(const Arguments& arguments, const std::filesystem::path& database,
          const std::string& part) {
  ProgressDisplay progress(arguments.flag("--quiet"));
  try {
    profile::StoreFile store =
        profile::StoreFile::open(database, profile::Database::Access::kReadWrite);
    profile::Recordings recordings(store.database);
    profile::join_continuation(recordings, arguments.text("--name"), part, progress.callback());
  } catch (const Error& error) {
    throw Error(
        error.code(),
        fmt::format("the new paths are stored as \"{}\", but cannot be joined to \"{}\": {}", part,
                    arguments.text("--name"), error.what()),
        "join them with 'haq recordings merge'");
  }
}

std::string plain_text(const Json& json) {
  const auto count = [&](const char* key) { return json[key].get<std::int64_t>(); };
  const double coverage = json["coverage"].get<double>();
  const double half = json["coverage_first_half"].get<double>();
  std::string text = fmt::format(
      "recording   {}: {} tokens ({} decoded) of {} prompts\n"
      "experts     {} layers of {}, {} a token; {:.1f} % chosen at least once, {:.1f} % after the "
      "first half of the tokens\n"
      "            'haq stats {}' tells whether more tokens would change a plan\n",
      json["recording"].get<std::string>(), count("tokens"), count("decode_tokens"),
      count("prompts"), count("layers"), count("experts"), count("top_k"), 100 * coverage,
      100 * half, json["recording"].get<std::string>());
  if (count("dropped_events") > 0) {
    text += fmt::format("dropped     {} events; {} tokens are left out\n", count("dropped_events"),
                        count("dropped_tokens"));
  }
  return text;
}

int run(const Arguments& arguments) {
  check_usage(arguments);
  session::ExpertOptions options = expert_options_from(arguments);
  options.recording_required = true;
  const std::optional<profile::Recording> old =
      existing(options.database, arguments.text("--name"));
  options.record = recording_name(arguments, options.database, old);
  const bool appends = options.record != arguments.text("--name");

  const std::shared_ptr<session::Model> model = load_model(arguments, load_options(arguments));
  if (old) check_continues(*old, *model);
  const std::vector<session::EncodedPrompt> prompts = session::encode_prompts(
      *model, read_prompts(arguments, *model), arguments.flag("--chat"), interrupt_token());
  session::ProfileOptions profile;
  profile.repeat = static_cast<int>(arguments.integer("--repeat"));
  profile.generate.sampling = sampling_from(arguments, {});
  profile.generate.max_tokens = static_cast<int>(arguments.integer("--max-tokens"));
  profile.generate.stop = arguments.list("--stop");

  const auto experts = attach_experts(arguments, model, options);
  if (experts == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is dense: it has no experts to record", model->checkpoint().name()),
                "choose a Mixture-of-Experts model");
  }
  session::ProfileResult result;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    result = session::profile_prompts(model, *experts, prompts, profile, progress.callback(),
                                      interrupt_token());
  }
  experts->add_seconds(result.seconds);
  const profile::Recorder::Summary summary = experts->finish().value();
  if (!summary.failure.empty()) {
    throw Error(ErrorCode::kIo,
                fmt::format("the recording {} ended early, with {} tokens: {}", summary.name,
                            summary.tokens, summary.failure),
                "make room on the disk, or name another database with --db");
  }
  if (appends) join(arguments, options.database, options.record);

  const experts::ExpertShape& shape = experts->runtime().shape();
  Json json;
  json["recording"] = arguments.text("--name");
  json["appended"] = appends;
  json["tokens"] = summary.tokens;
  json["decode_tokens"] = summary.decode_tokens;
  json["prompts"] = result.prompts;
  json["layers"] = shape.layers;
  json["experts"] = shape.experts;
  json["top_k"] = shape.top_k;
  json["coverage"] = result.coverage;
  json["coverage_first_half"] = result.coverage_first_half;
  json["dropped_events"] = summary.dropped_events;
  json["dropped_tokens"] = summary.dropped_tokens;
  json["prompt_tokens"] = result.prompt_tokens;
  json["generated_tokens"] = result.generated_tokens;
  json["sets"] = sets_json(prompts);
  json["seconds"] = result.seconds;
  json["complete"] = !result.cancelled;
  json["sampling"] = sampling_json(profile.generate.sampling);
  json["run"] = experts->json();
  json["model"] = model_json(*model);
  if (arguments.flag("--json")) {
    print_json(json);
  } else {
    print(plain_text(json));
    note(arguments, experts->summary());
  }
  return result.cancelled ? kExitInterrupted : kExitDone;
}

}  // namespace

Command profile_command() {
  return {
      "profile",
      "record which experts real prompts choose",
      "Runs prompts one after the other and records the experts that every token chose in every "
      "layer, for plans, statistics and replays. Ctrl+C keeps what was recorded so far, and so "
      "does a kill but for the last moment. A recording of that name is only touched with "
      "--append. Coverage is the share of all experts that any token chose: when it has hardly "
      "grown over the second half of the tokens, more of the same prompts tell little more.",
      {model_positional()},
      {kOptions, sampling_options(), run_options(), expert_options()},
      {{"haq profile --text book.txt --name book --max-tokens 64",
        "a text, paragraph by "
        "paragraph"},
       {"haq profile ~/models/OLMoE --prompts mine.jsonl --set code --name code --chat",
        "one set of own prompts"}},
      run};
}

}  // namespace haq::cli
