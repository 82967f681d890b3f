// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "app/cli/options.h"

namespace haq::cli {

// Each command's table and work live in the file of its name.
Command doctor_command();
Command info_command();
Command tokenize_command();
Command template_command();
Command generate_command();
Command chat_command();
Command logits_command();
Command eval_command();
Command quantize_command();
Command profile_command();
Command bench_command();
Command chats_command();
Command recordings_command();
Command simulate_command();
Command stats_command();
Command plan_command();
Command export_plan_command();
Command completion_command();
Command man_command();

/// Completion script for "bash", "zsh" or "fish", made from the tables.
std::string completion_script(const std::string& shell);
/// Manual page in troff of one command, or of the program itself for nullptr.
std::string manual_page(const Command* command);

}  // namespace haq::cli
