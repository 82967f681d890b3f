// SPDX-License-Identifier: GPL-3.0-or-later
#include <chrono>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"
#include "app/cli/quantize_output.h"
#include "app/cli/quantize_record.h"
#include "engine/session/quantize_job.h"

namespace haq::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--calib", Kind::kFile, "FILE", "",
     "calibration text: UTF-8 text, or .jsonl with {\"messages\": [...]} or {\"text\": ...} per "
     "line; more files may follow",
     "", 0, 0, true},
    {"--method", Kind::kChoice, "METHOD", "haq", "how weights and activations are prepared",
     "haq|gptq|smoothquant|rtn"},
    {"--calib-tokens", Kind::kInteger, "N", "65536", "tokens for statistics", "", 2, 1e12},
    {"--sequence-length", Kind::kInteger, "N", "512", "tokens of a calibration sequence", "", 2,
     1e8},
    {"--seed", Kind::kInteger, "S", "0", "start of the random numbers: sample, rotations", "", 0,
     9.2e18},
    {"--resume", Kind::kFlag, "", "", "go on where the same run stopped"},
    {"--restart", Kind::kFlag, "", "", "throw away what an earlier run left in OUT"},
    {"--rotate", Kind::kChoice, "MODE", "auto", "rotation of the residual stream (haq)",
     "auto|on|off"},
    {"--rotation-seeds", Kind::kInteger, "N", "3", "rotations to try", "", 1, 64},
    {"--experts-only", Kind::kFlag, "", "", "leave attention and dense layers 16-bit"},
    {"--eval", Kind::kFile, "FILE", "",
     "text to measure quality on; default: calibration text that was held out"},
    {"--eval-context", Kind::kInteger, "N", "",
     "ids per window of --eval; default: the smaller of 2048 and the model's maximum", "", 2, 1e8},
    {"--eval-tokens", Kind::kInteger, "N", "", "use only the first N ids of --eval", "", 2, 1e15},
    {"--no-eval", Kind::kFlag, "", "", "do not measure quality"},
    {"--ablate", Kind::kFlag, "", "",
     "also measure rtn, smoothquant, gptq and each part of haq alone (several times the work)"},
    {"--report", Kind::kFile, "FILE", "", "also write the report (JSON) here"},
    {"--report-csv", Kind::kFile, "FILE", "", "also write a table of the modules (CSV) here"},
    {"--dry-run", Kind::kFlag, "", "", "only tell what the run needs: disk, memory, time"},
};

/// MODEL, OUT and calibration files: MODEL and OUT are folders, so a word that names a file is
/// calibration text, wherever it stands.
struct Words {
  std::vector<std::string> folders;
  std::vector<fs::path> files;
};

Words sort_words(const Arguments& arguments) {
  Words words;
  for (const std::string& file : arguments.list("--calib")) words.files.emplace_back(file);
  for (const char* name : {"MODEL", "OUT", "FILES"}) {
    for (const std::string& word : arguments.list(name)) {
      std::error_code ignored;
      if (fs::is_regular_file(word, ignored)) {
        words.files.emplace_back(word);
      } else {
        words.folders.push_back(word);
      }
    }
  }
  if (words.folders.empty()) throw UsageError("OUT is missing", "name a folder for the new model");
  if (words.folders.size() > 2) {
    throw UsageError(
        fmt::format("'{}' is no file, and MODEL and OUT are given already", words.folders[2]),
        "check the names of the calibration files");
  }
  return words;
}

/// The text that ships with the demo model, for a first try without a text of one's own.
void add_sample_text(session::QuantizeJobOptions& options) {
  if (!options.quantize.calibration.files.empty()) return;
  std::error_code ignored;
  const fs::path demo = model::demo_model_dir();
  const fs::path& source = options.quantize.source;
  const fs::path samples = model::demo_sample_text();
  const bool is_demo = source.empty() || fs::equivalent(source, demo, ignored);
  if (!is_demo || samples.empty()) {
    throw UsageError("--calib is missing",
                     "name text files like what the model will be used for, or .jsonl files with "
                     "chats");
  }
  options.quantize.calibration.files = {samples};
}

session::QuantizeJobOptions job_options(const Arguments& arguments) {
  const Words words = sort_words(arguments);
  session::QuantizeJobOptions options;
  quant::QuantizeOptions& run = options.quantize;
  if (words.folders.size() == 2) run.source = words.folders.front();
  run.target = words.folders.back();
  run.calibration.files = words.files;
  run.calibration.tokens = arguments.integer("--calib-tokens");
  run.calibration.sequence_length = arguments.integer("--sequence-length");
  run.calibration.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  run.method = quant::parse_method(arguments.text("--method"));
  const std::string rotate = arguments.text("--rotate");
  run.rotate = rotate == "on"    ? quant::RotateMode::kOn
               : rotate == "off" ? quant::RotateMode::kOff
                                 : quant::RotateMode::kAuto;
  run.rotation_seeds = static_cast<int>(arguments.integer("--rotation-seeds"));
  run.experts_only = arguments.flag("--experts-only");
  run.threads = static_cast<int>(arguments.integer("--threads"));
  if (arguments.flag("--resume") && arguments.flag("--restart")) {
    throw UsageError("both --resume and --restart are given", "give one of them");
  }
  if (arguments.flag("--resume")) run.resume = quant::ResumeMode::kResume;
  if (arguments.flag("--restart")) run.resume = quant::ResumeMode::kRestart;
  if (run.method != quant::Method::kHaq && run.rotate == quant::RotateMode::kOn) {
    throw UsageError(fmt::format("--rotate on with --method {}", quant::to_string(run.method)),
                     "only haq rotates");
  }
  options.measure_quality = !arguments.flag("--no-eval");
  for (const char* name : {"--eval", "--ablate"}) {
    if (!options.measure_quality && arguments.given(name)) {
      throw UsageError(fmt::format("both {} and --no-eval are given", name), "give one of them");
    }
  }
  options.eval_text = arguments.text("--eval");
  for (const char* name : {"--eval-context", "--eval-tokens"}) {
    if (arguments.given(name) && options.eval_text.empty()) {
      throw UsageError(fmt::format("{} without --eval", name), "name a text with --eval");
    }
  }
  if (arguments.given("--eval-context")) {
    options.eval_context = arguments.integer("--eval-context");
  }
  if (arguments.given("--eval-tokens")) options.eval_tokens = arguments.integer("--eval-tokens");
  options.ablate = arguments.flag("--ablate");
  options.report_json = arguments.text("--report");
  options.report_csv = arguments.text("--report-csv");
  add_sample_text(options);
  return options;
}

int dry_run(const Arguments& arguments, const session::QuantizeJobOptions& options) {
  const quant::Preflight needs = quant::estimate(options.quantize);
  if (arguments.flag("--json")) {
    print_json({{"dry_run", true}, {"preflight", preflight_json(needs)}});
  } else {
    print(preflight_text(needs));
  }
  quant::check(needs, options.quantize);
  return kExitDone;
}

/// What is shown while the run goes on: a line per layer on stdout, unless that is for JSON.
session::QuantizeJobEvents events_of(const Arguments& arguments, ProgressDisplay& progress) {
  session::QuantizeJobEvents events;
  events.run.progress = progress.callback();
  if (arguments.flag("--json")) return events;
  const auto show = [&progress](const std::string& text) {
    progress.clear();
    print(text);
  };
  struct State {
    quant::Preflight needs;
    int layers = 0;
    std::chrono::steady_clock::time_point start;
  };
  const auto state = std::make_shared<State>();
  events.run.preflight = [state](const quant::Preflight& needs) { state->needs = needs; };
  // Not before the data are known to be good: a refusal leaves stdout empty.
  events.run.calibration = [state, show](const quant::CalibrationData& data) {
    show(preflight_line(state->needs));
    show(calibration_line(data));
  };
  events.run.rotation_trial = [show](const quant::RotationTrial& trial) {
    show(trial_line(trial));
  };
  events.run.layer_started = [state](int, int layers) {
    state->layers = layers;
    state->start = std::chrono::steady_clock::now();
  };
  events.run.layer_done = [state, show](const quant::LayerOutput& layer, bool resumed) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - state->start;
    show(layer_line(layer, state->layers, took.count(), resumed));
  };
  events.ablation = [show](const quant::AblationRow& row) { show(ablation_line(row)); };
  return events;
}

int run(const Arguments& arguments) {
  const session::QuantizeJobOptions options = job_options(arguments);
  if (arguments.flag("--dry-run")) return dry_run(arguments, options);
  QuantizeRecord record(arguments, options);
  quant::Report report;
  try {
    ProgressDisplay progress(arguments.flag("--quiet"));
    report = session::run_quantize_job(options, events_of(arguments, progress), interrupt_token());
  } catch (const Error& error) {
    record.ended(error.code() == ErrorCode::kCancelled ? "stopped" : "failed", error.what());
    if (error.code() != ErrorCode::kCancelled) throw;
    const bool finished = quant::WorkFolder::inspect(options.quantize.target).finished;
    print_error("quantize", "stopped",
                finished ? fmt::format("the model in {} is complete, its quality was not measured",
                                       options.quantize.target.string())
                         : fmt::format("what is finished lies in {}; the same command with "
                                       "--resume goes on from there",
                                       options.quantize.target.string()));
    return kExitInterrupted;
  }
  record.done(report);
  if (arguments.flag("--json")) {
    print_json(quant::to_json(report));
  } else {
    print(report_text(report));
  }
  return kExitDone;
}

}  // namespace

Command quantize_command() {
  return {
      "quantize",
      "turn a 16-bit model into one with 8-bit weights and activations",
      "Writes a W8A8 model in the compressed-tensors layout, which this program, vLLM and "
      "transformers read, with quantization-report.json and a model card in it. The source is "
      "never "
      "touched. A run that was stopped or killed goes on with --resume and gives the same files. "
      "With one folder alone it is OUT, and the demo model is the source.",
      {{"MODEL", Kind::kFolder, "16-bit Hugging Face model folder; without one, the demo model"},
       {"OUT", Kind::kFolder, "folder for the new model"},
       {"FILES", Kind::kFile, "more calibration files", false, "", true}},
      {kOptions},
      {{"haq quantize ~/models/OLMoE-1B-7B ~/models/OLMoE-W8A8 --calib chats.jsonl book.txt",
        "the recommended method, quality measured on text that was held out"},
       {"haq quantize demo-w8a8 --calib book.txt --ablate --json",
        "the demo model, with the contribution of each part, as JSON"},
       {"haq quantize MODEL OUT --calib book.txt --resume", "go on after a stop or a kill"}},
      run};
}

}  // namespace haq::cli
