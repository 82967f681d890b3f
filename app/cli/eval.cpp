// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/expert_options.h"
#include "app/cli/model_options.h"
#include "engine/session/evaluate.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--text", Kind::kFile, "FILE", "", "UTF-8 text to measure on"},
    {"--context", Kind::kInteger, "N", "",
     "ids per window, the BOS included; default: the smaller of 2048 and the model's maximum", "",
     2, 100000000},
    {"--stride", Kind::kInteger, "S", "",
     "start a window every S ids and score its last S ids; default: no overlap", "", 1, 100000000},
    {"--max-tokens", Kind::kInteger, "N", "", "use only the first N ids of the text; default: all",
     "", 1, 1e15},
    {"--bos", Kind::kFlag, "", "", "put the model's BOS id before each window"},
    {"--base", Kind::kFolder, "MODEL16", "",
     "a model to compare with: divergence, agreement, perplexity ratio"},
};

session::EvaluateOptions evaluate_options(const Arguments& arguments) {
  session::EvaluateOptions options;
  if (arguments.given("--context")) options.context = arguments.integer("--context");
  if (arguments.given("--stride")) options.stride = arguments.integer("--stride");
  if (arguments.given("--max-tokens")) options.max_tokens = arguments.integer("--max-tokens");
  options.bos = arguments.flag("--bos");
  const std::int64_t width = options.context - (options.bos ? 1 : 0);
  if (options.context > 0 && options.stride > width) {
    throw UsageError(fmt::format("--stride is {}", options.stride),
                     fmt::format("use at most the {} ids of a window", width));
  }
  return options;
}

void print_plain(const session::EvaluateResult& result) {
  const auto interval = [](const std::optional<session::Interval>& range, int digits) {
    return range
               ? fmt::format(" (95 %: {:.{}f} to {:.{}f})", range->low, digits, range->high, digits)
               : std::string();
  };
  std::string text = fmt::format(
      "perplexity  {:.4f}{}\nloss        {:.6f} nats per id\ntokens      {} scored in {} windows\n",
      result.perplexity, interval(result.ci95, 4), result.nll, result.tokens, result.windows);
  if (result.comparison) {
    const session::Comparison& c = *result.comparison;
    text += fmt::format(
        "base        perplexity {:.4f}, ratio {:.5f}{}\ndivergence  {:.6f} nats{}\nagreement   "
        "{:.3f} % "
        "of most probable ids\n",
        c.base_perplexity, c.ppl_ratio, interval(c.ppl_ratio_ci95, 5), c.kld_mean,
        interval(c.kld_ci95, 6), 100 * c.top1_agreement);
  }
  text += fmt::format("recipe      {}\ninterval    {}\n", result.recipe, result.interval_method);
  print(text);
}

Json result_json(session::Model& model, const session::EvaluateResult& result) {
  Json json;
  json["perplexity"] = result.perplexity;
  json["ci95"] = interval_json(result.ci95);
  json["tokens"] = result.tokens;
  json["nll"] = result.nll;
  json["windows"] = result.windows;
  json["windows_planned"] = result.windows_planned;
  json["context"] = result.context;
  json["complete"] = !result.cancelled;
  if (result.comparison) {
    const session::Comparison& c = *result.comparison;
    json["kld_mean"] = c.kld_mean;
    json["kld_ci95"] = interval_json(c.kld_ci95);
    json["top1_agreement"] = c.top1_agreement;
    json["ppl_ratio"] = c.ppl_ratio;
    json["ppl_ratio_ci95"] = interval_json(c.ppl_ratio_ci95);
    json["base_perplexity"] = c.base_perplexity;
  }
  json["recipe"] = result.recipe;
  json["interval_method"] = result.interval_method;
  json["seconds"] = result.seconds;
  json["model"] = model_json(model);
  json["peak_rss_bytes"] = session::peak_rss_bytes();
  return json;
}

int run(const Arguments& arguments) {
  if (!arguments.given("--text")) {
    throw UsageError("--text is missing", "name a UTF-8 text file");
  }
  const session::EvaluateOptions options = evaluate_options(arguments);
  const std::string text = read_utf8_file(arguments.text("--text"));
  const session::LoadOptions load = load_options(arguments);
  const session::ExpertOptions expert_options = expert_options_from(arguments);
  const std::shared_ptr<session::Model> model = load_model(arguments, load);
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  const std::vector<std::int32_t> ids = model->tokenizer().encode(text, plain);
  std::shared_ptr<session::Model> base;
  if (arguments.given("--base")) {
    session::LoadOptions base_load = load;
    base_load.folder = arguments.text("--base");
    base = load_model(arguments, base_load);
    if (base->has_tokenizer() && base->tokenizer().encode(text, plain) != ids) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} and {} encode the text differently", model->checkpoint().name(),
                              base->checkpoint().name()),
                  "compare models with the same tokenizer");
    }
  }
  const auto experts = attach_experts(arguments, model, expert_options);
  if (experts) experts->begin_prompt();
  session::EvaluateResult result;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    result =
        session::evaluate(*model, base.get(), ids, options, progress.callback(), interrupt_token());
  }
  Json json = result_json(*model, result);
  if (experts) json["experts"] = finish_experts(arguments, *experts, result.seconds);
  if (arguments.flag("--json")) {
    print_json(json);
  } else {
    print_plain(result);
    note_experts(arguments, experts.get());
  }
  return result.cancelled ? kExitInterrupted : kExitDone;
}

}  // namespace

Command eval_command() {
  return {
      "eval",
      "measure perplexity, and the distance from another model",
      "Reads a text as one stream of ids, without special tokens, in windows that each start from "
      "an empty cache, and reports the perplexity with a 95 % interval. With --base both models "
      "read the same windows: mean KL divergence (base to model), share of equal most probable "
      "ids, ratio of the perplexities with a paired interval. The options about experts are "
      "MODEL's "
      "alone and change no figure.",
      {model_positional()},
      {kOptions, run_options(), expert_options(), record_option()},
      {{"haq eval --text book.txt --context 512 --json", "perplexity of the demo model"},
       {"haq eval model-w8a8 --base model-16bit --text book.txt", "what quantization cost"}},
      run};
}

}  // namespace haq::cli
