// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/expert_options.h"

#include <charconv>

#include "app/cli/console.h"
#include "app/cli/traces.h"
#include "engine/device/emulated/emulated_device.h"

namespace haq::cli {

namespace {

constexpr Option kExperts[] = {
    {"--device", Kind::kText, "DEVICE", "auto",
     "where experts run besides the CPU: cpu, cuda, cuda:N, emulated (a device simulated on the "
     "CPU: results are real, its times are modelled), or auto"},
    {"--vram", Kind::kText, "SIZE", "",
     "experts kept on the device: 0, all, 96x, 25% of all, or bytes such as 8GiB; default: what "
     "--plan was made for, else all that fit"},
    {"--policy", Kind::kChoice, "POLICY", "",
     "which experts are kept; default: auto on a device, else none",
     "none|lru|lru-layer|ema|path|static|plan+lru|plan+ema|plan+path|auto"},
    {"--plan", Kind::kFile, "FILE", "", "placement plan made by 'haq plan'"},
    {"--path-goal", Kind::kChoice, "GOAL", "time",
     "what path and auto aim at: the shortest modelled time or the most hits", "time|hits"},
    {"--miss", Kind::kChoice, "WHERE", "auto",
     "where an expert that is not resident is computed; auto: where it is sooner done",
     "cpu|upload|auto"},
    {"--card", Kind::kText, "NAME", "",
     "emulated device: memory, speed and link of a known card, such as rtx-3060"},
    {"--link", Kind::kText, "GB/S", "",
     "emulated device: speed of its link, as a number or as a known one such as pcie4x8"},
    {"--emulate-gpu-tflops", Kind::kNumber, "X", "",
     "emulated device: 1e12 int8 operations per second", "", 1e-3, 1e6},
    {"--slot-type", Kind::kChoice, "TYPE", "int8",
     "emulated device: form of int8 experts there; 16bit is for cards without integer products, and "
     "not bit-identical",
     "int8|16bit"},
    {"--learn", Kind::kText, "NAME", "", "recording that path and auto learn from beforehand"},
};

constexpr Option kRecord[] = {
    {"--record", Kind::kText, "NAME", "", "store the expert paths of this run as a recording"},
};

/// 1e9 bytes per second of "12.5" or "pcie4x8".
double link_speed(const std::string& text) {
  double speed = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), speed);
  if (status == std::errc() && end == text.data() + text.size()) return speed;
  try {
    return device::link_preset(text).gb_s;
  } catch (const Error& error) {
    throw UsageError(fmt::format("--link is '{}', neither a number nor a known link", text),
                     error.hint().empty() ? std::string(error.what()) : error.hint());
  }
}

}  // namespace

std::span<const Option> expert_options() {
  return kExperts;
}
std::span<const Option> record_option() {
  return kRecord;
}

session::ExpertOptions expert_options_from(const Arguments& arguments) {
  session::ExpertOptions options;
  options.device = arguments.text("--device");
  options.vram = arguments.text("--vram");
  options.policy = arguments.text("--policy");
  options.plan = arguments.text("--plan");
  options.path_goal = arguments.text("--path-goal");
  options.miss = arguments.text("--miss");
  options.card = arguments.text("--card");
  if (arguments.given("--link")) options.link_gb_s = link_speed(arguments.text("--link"));
  if (arguments.given("--emulate-gpu-tflops")) {
    options.emulate_tflops = arguments.number("--emulate-gpu-tflops");
  }
  options.slot_type = arguments.text("--slot-type");
  options.learn = arguments.text("--learn");
  options.record = arguments.text("--record");
  options.database = database_path(arguments);
  try {
    options.check();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw UsageError(error.what(), advice_for(error));
  }
  for (const char* name : {"--vram", "--plan", "--card", "--learn", "--record"}) {
    if (arguments.given(name) && arguments.text(name).empty()) {
      throw UsageError(fmt::format("{} is empty", name), "give a value or leave the option out");
    }
  }
  return options;
}

std::unique_ptr<session::ExpertSession> attach_experts(const Arguments& arguments,
                                                       std::shared_ptr<session::Model> model,
                                                       const session::ExpertOptions& options) {
  std::vector<std::string> notices;
  std::unique_ptr<session::ExpertSession> experts;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    experts = session::ExpertSession::attach(std::move(model), options, notices,
                                             progress.callback(), interrupt_token());
  }
  for (const std::string& notice : notices) note(arguments, notice);
  return experts;
}

nlohmann::ordered_json finish_experts(const Arguments& arguments, session::ExpertSession& experts,
                                      double seconds) {
  experts.add_seconds(seconds);
  if (const auto summary = experts.finish()) {
    if (!summary->failure.empty()) {
      note(arguments,
           fmt::format("The recording {} is not complete: {}", summary->name, summary->failure));
    } else if (!arguments.flag("--json")) {
      note(arguments, fmt::format("[recorded {} tokens as {}]", summary->tokens, summary->name));
    }
  }
  return experts.json();
}

void note_experts(const Arguments& arguments, const session::ExpertSession* experts) {
  if (experts == nullptr || arguments.flag("--json")) return;
  if (experts->device().kind == "cpu" && !arguments.given("--device")) return;
  note(arguments, fmt::format("[{}]", experts->summary()));
}

}  // namespace haq::cli
