// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "engine/device/emulated/emulated_device.h"
#include "engine/experts/budget.h"
#include "engine/session/experts/expert_setup.h"
#include "engine/session/experts/experts.h"

namespace haq::session {

namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& advice) {
  throw Error(ErrorCode::kInvalidArgument, what, advice);
}

bool is_cuda(const std::string& word) {
  if (word == "cuda") return true;
  return word.size() > 5 && word.size() <= 8 && word.starts_with("cuda:") &&
         std::all_of(word.begin() + 5, word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Whether a budget is above 0, by its grammar alone: the experts are many and tiny.
bool budget_asked(const std::string& vram) {
  return experts::parse_budget(vram, std::numeric_limits<int>::max(), 1e-3) > 0;
}

void check_words(const ExpertOptions& options) {
  const std::vector<std::string>& policies = experts::policy_names();
  if (!options.policy.empty() &&
      std::find(policies.begin(), policies.end(), options.policy) == policies.end()) {
    refuse(fmt::format("--policy is '{}'", options.policy),
           fmt::format("use one of {}", fmt::join(policies, ", ")));
  }
  if (!experts::parse_miss_mode(options.miss)) {
    refuse(fmt::format("--miss is '{}'", options.miss), "use cpu, upload or auto");
  }
  if (options.slot_type != "int8" && options.slot_type != "16bit") {
    refuse(fmt::format("--slot-type is '{}'", options.slot_type), "use int8 or 16bit");
  }
  if (!experts::parse_path_goal(options.path_goal)) {
    refuse(fmt::format("--path-goal is '{}'", options.path_goal), "use time or hits");
  }
  if (!options.vram.empty()) budget_asked(options.vram);
}

void check_without_device(const ExpertOptions& options) {
  const auto needs_device = [&](const std::string& what) {
    refuse(fmt::format("{} needs a device besides the CPU, and {}", what,
                       options.device == "cpu" ? "--device is cpu"
                                               : "this build finds none (it has no CUDA module)"),
           "add --device emulated to preview one, or leave the option out");
  };
  if (!options.vram.empty() && budget_asked(options.vram)) needs_device("--vram " + options.vram);
  if (!options.policy.empty() && options.policy != "none") {
    needs_device("--policy " + options.policy);
  }
  if (!options.plan.empty()) needs_device("--plan");
  if (options.miss == "upload") needs_device("--miss upload");
}

void check_emulation(const ExpertOptions& options) {
  const auto only_emulated = [](const char* name) {
    refuse(fmt::format("{} describes the emulated device", name), "add --device emulated");
  };
  if (!options.card.empty()) only_emulated("--card");
  if (options.link_gb_s) only_emulated("--link");
  if (options.emulate_tflops) only_emulated("--emulate-gpu-tflops");
  if (options.slot_type != "int8") only_emulated("--slot-type");
}

bool uses_plan(const std::string& policy) {
  return policy == "auto" || policy == "static" || policy.starts_with("plan+");
}

bool uses_history(const std::string& policy) {
  return policy == "auto" || policy == "path" || policy == "plan+path";
}

void check_policy(const ExpertOptions& options, const std::string& policy) {
  if (!options.plan.empty() && !uses_plan(policy)) {
    refuse(fmt::format("--policy {} knows no plan", policy),
           "use static, plan+lru, plan+ema, plan+path or auto, or leave --plan out");
  }
  if (options.plan.empty() && uses_plan(policy) && policy != "auto") {
    refuse(fmt::format("--policy {} needs a plan", policy), "add --plan FILE");
  }
  if (!options.learn.empty() && !uses_history(policy)) {
    refuse(fmt::format("--policy {} learns from no recording", policy),
           "use path, plan+path or auto on a device, or leave --learn out");
  }
}

}  // namespace

ExpertPlace place_of(const ExpertOptions& options) {
  if (options.device == "emulated") return ExpertPlace::kEmulated;
  // The only other devices are those of a CUDA module, which this build does not have.
  if (options.device == "cpu" || options.device == "auto") return ExpertPlace::kCpu;
  if (is_cuda(options.device)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("--device is {}, and this build has no CUDA module", options.device),
                "use --device cpu, or --device emulated to preview a card");
  }
  refuse(fmt::format("--device is '{}'", options.device),
         "use cpu, cuda, cuda:N, emulated or auto");
}

std::string policy_of(const ExpertOptions& options) {
  if (!options.policy.empty()) return options.policy;
  return place_of(options) == ExpertPlace::kCpu ? "none" : "auto";
}

void ExpertOptions::check() const {
  check_words(*this);
  const ExpertPlace place = place_of(*this);
  if (place != ExpertPlace::kEmulated) check_emulation(*this);
  if (place == ExpertPlace::kCpu) check_without_device(*this);
  if (place == ExpertPlace::kEmulated) emulated_options(*this, 1);
  check_policy(*this, policy_of(*this));
}

std::string ExpertOptions::asks_for_experts() const {
  if (device != "auto" && device != "cpu") return "--device " + device;
  if (!vram.empty() && vram != "0") return "--vram " + vram;
  if (!policy.empty() && policy != "none") return "--policy " + policy;
  if (!plan.empty()) return "--plan";
  if (miss == "upload") return "--miss upload";
  if (!card.empty()) return "--card";
  if (link_gb_s) return "--link";
  if (emulate_tflops) return "--emulate-gpu-tflops";
  if (slot_type != "int8") return "--slot-type";
  if (!record.empty()) return "--record";
  if (!learn.empty()) return "--learn";
  return {};
}

}  // namespace haq::session
