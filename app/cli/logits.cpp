// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/logits.h"

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"

namespace haq::cli {

namespace {

constexpr Option kOptions[] = {
    {"--ids", Kind::kText, "IDS", "", "token ids, for example 1,2,3"},
    {"--file", Kind::kFile, "FILE", "", "file with token ids, separated by commas or blanks"},
    {"--out", Kind::kFile, "FILE", "", "safetensors file to write"},
    {"--hidden", Kind::kFlag, "", "",
     "also hidden states and, per layer with experts, the routing"},
};

int run(const Arguments& arguments) {
  if (arguments.given("--ids") == arguments.given("--file")) {
    throw UsageError("one of --ids and --file is needed", "give exactly one of them");
  }
  if (!arguments.given("--out") || arguments.text("--out").empty()) {
    throw UsageError("--out is missing", "name the safetensors file to write");
  }
  const std::vector<std::int32_t> ids =
      arguments.given("--ids")
          ? parse_ids(arguments.text("--ids"), "--ids")
          : parse_ids(read_utf8_file(arguments.text("--file")), arguments.text("--file"));
  const std::shared_ptr<session::Model> model = load_model(arguments, load_options(arguments));
  ProgressDisplay progress(arguments.flag("--quiet"));
  session::LogitsOptions options;
  options.hidden = arguments.flag("--hidden");
  const session::LogitsResult result = session::write_logits(
      *model, ids, arguments.text("--out"), options, progress.callback(), interrupt_token());
  progress.clear();
  if (arguments.flag("--json")) {
    print_json({{"tokens", result.tokens},
                {"digest", result.digest},
                {"out", arguments.text("--out")},
                {"tensors", result.tensors},
                {"model", model_json(*model)}});
  } else {
    print(fmt::format("{} tokens, digest {}\n", result.tokens, result.digest));
  }
  return kExitDone;
}

}  // namespace

Command logits_command() {
  return {
      "logits",
      "write the logits of every position to a file",
      "Runs the model over token ids as they are (no special token is added) and writes 'logits' "
      "[T, vocab] float32 to a safetensors file. With --hidden also 'hidden.in', 'hidden.N' (the "
      "residual stream after layer N), 'hidden.final' (what enters the output layer) and for "
      "layers with experts 'router_logits.N', 'topk_ids.N' and 'topk_weights.N'.",
      {model_positional()},
      {kOptions, run_options()},
      {{"haq logits --ids 1,2,3 --out logits.safetensors --compute fp32",
        "logits of three positions in the checking mode"}},
      run};
}

}  // namespace haq::cli
