// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/model_options.h"

#include <array>
#include <string_view>

#include "app/cli/console.h"
#include "engine/base/file.h"

namespace haq::cli {

namespace {

constexpr Option kRun[] = {
    {"--compute", Kind::kChoice, "MODE", "auto",
     "arithmetic of a 16-bit model; fp32 is the checking mode", "auto|bf16|fp32"},
    {"--prefill-chunk", Kind::kInteger, "N", "512", "tokens of a prompt computed at a time", "", 1,
     8192},
};

constexpr Option kSampling[] = {
    {"--max-tokens", Kind::kInteger, "N", "256", "longest answer", "", 1, 10000000},
    {"--temperature", Kind::kNumber, "X", "0", "0 takes the most probable token (greedy)", "", 0,
     100},
    {"--top-k", Kind::kInteger, "N", "0", "keep the N most probable tokens; 0: off", "", 0,
     100000000},
    {"--top-p", Kind::kNumber, "P", "1", "keep the most probable tokens that reach P; 1: off", "",
     1e-6, 1},
    {"--min-p", Kind::kNumber, "P", "0", "drop tokens below P times the most probable one; 0: off",
     "", 0, 1},
    {"--repeat-penalty", Kind::kNumber, "X", "1",
     "divide the logits of tokens already seen; 1: off", "", 0.01, 100},
    {"--seed", Kind::kInteger, "S", "0", "start of the random numbers", "", 0, 9.2e18},
    {"--stop", Kind::kText, "TEXT", "", "end the answer before TEXT", "", 0, 0, true},
};

nn::Compute compute_from(const std::string& word) {
  if (word == "fp32") return nn::Compute::kFp32;
  if (word == "bf16") return nn::Compute::kBf16;
  return nn::Compute::kAuto;
}

const char* compute_name(nn::Compute compute) {
  return compute == nn::Compute::kFp32 ? "fp32" : "bf16";
}

}  // namespace

Positional model_positional() {
  return {"MODEL", Kind::kFolder,
          "Hugging Face model folder; without one, the demo model that ships with the program"};
}

std::span<const Option> run_options() {
  return kRun;
}
std::span<const Option> sampling_options() {
  return kSampling;
}

std::span<const Option> chat_sampling_options() {
  static const auto table = [] {
    auto copy = std::to_array(kSampling);
    for (Option& option : copy) {
      if (std::string_view(option.name) != "--seed") option.fallback = "";
    }
    return copy;
  }();
  return table;
}

std::filesystem::path model_folder(const Arguments& arguments) {
  const std::string given = arguments.positional("MODEL");
  return given.empty() ? model::demo_model_dir() : std::filesystem::path(given);
}

session::LoadOptions load_options(const Arguments& arguments) {
  session::LoadOptions options;
  options.folder = model_folder(arguments);
  options.compute = compute_from(arguments.text("--compute"));
  options.threads = static_cast<int>(arguments.integer("--threads"));
  options.prefill_chunk = static_cast<int>(arguments.integer("--prefill-chunk"));
  return options;
}

std::shared_ptr<session::Model> load_model(const Arguments& arguments,
                                           const session::LoadOptions& options) {
  ProgressDisplay progress(arguments.flag("--quiet"));
  return session::Model::load(options, progress.callback(), interrupt_token());
}

session::SamplingOptions sampling_from(const Arguments& arguments, session::SamplingOptions base) {
  const auto number = [&](const char* name, float& value) {
    if (arguments.given(name)) value = static_cast<float>(arguments.number(name));
  };
  number("--temperature", base.temperature);
  number("--top-p", base.top_p);
  number("--min-p", base.min_p);
  number("--repeat-penalty", base.repetition_penalty);
  if (arguments.given("--top-k")) base.top_k = static_cast<int>(arguments.integer("--top-k"));
  if (arguments.given("--seed"))
    base.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  return base;
}

nlohmann::ordered_json sampling_json(const session::SamplingOptions& sampling) {
  // Shortest decimal that gives the same float, so that 0.7 prints as 0.7.
  const auto plain = [](float value) { return std::stod(fmt::format("{}", value)); };
  return {{"temperature", plain(sampling.temperature)},
          {"top_k", sampling.top_k},
          {"top_p", plain(sampling.top_p)},
          {"min_p", plain(sampling.min_p)},
          {"repeat_penalty", plain(sampling.repetition_penalty)},
          {"seed", sampling.seed}};
}

nlohmann::ordered_json model_json(session::Model& model) {
  const model::Checkpoint& checkpoint = model.checkpoint();
  return {{"name", checkpoint.name()},
          {"architecture", checkpoint.config().architecture},
          {"precision", checkpoint.precision()},
          {"compute", model.decoder().int8() ? "int8" : compute_name(model.decoder().compute())},
          {"threads", model.threads()},
          {"prefill_chunk", model.prefill_chunk()},
          {"load_seconds", model.load_seconds()}};
}

nlohmann::ordered_json interval_json(const std::optional<session::Interval>& interval) {
  if (!interval) return nullptr;
  return {interval->low, interval->high};
}

std::string read_utf8_file(const std::filesystem::path& path) {
  std::string text = read_text_file(path, std::size_t{256} << 20);
  try {
    check_utf8(text, path.string());
  } catch (const UsageError& error) {
    throw Error(ErrorCode::kCorrupt, error.what(), "convert the file to UTF-8");
  }
  return text;
}

}  // namespace haq::cli
