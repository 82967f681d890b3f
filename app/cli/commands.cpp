// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"

namespace haq::cli {

namespace {

constexpr Option kCommon[] = {
    {"--json", Kind::kFlag, "", "", "print one JSON object on stdout and nothing else there"},
    {"--quiet", Kind::kFlag, "", "", "no progress and no remarks on stderr"},
    {"--log-level", Kind::kChoice, "LEVEL", "warn", "what the log on stderr shows",
     "trace|debug|info|warn|error|off"},
    {"--threads", Kind::kInteger, "N", "0", "threads to compute with; 0: all cores", "", 0, 1024},
    {"--db", Kind::kFile, "FILE", "",
     "database of conversations and runs, instead of the user's own"},
};

}  // namespace

std::span<const Option> common_options() {
  return kCommon;
}

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      doctor_command(),   info_command(),        tokenize_command(),   template_command(),
      generate_command(), chat_command(),        logits_command(),     eval_command(),
      quantize_command(), profile_command(),     recordings_command(), stats_command(),
      plan_command(),     export_plan_command(), simulate_command(),   bench_command(),
      chats_command(),    completion_command(),  man_command(),
  };
  return all;
}

}  // namespace haq::cli
