// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <new>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "engine/base/log.h"
#include "engine/device/host/host_device.h"

namespace haq::cli {
namespace {

std::string overview() {
  std::string text =
      "HAQ Studio command line: run language models, Mixture-of-Experts ones above all, on this "
      "computer.\n\nUsage: haq COMMAND [OPTIONS]\n\nCommands:\n";
  for (const Command& command : commands()) {
    if (!command.hidden) text += fmt::format("  {:<12}{}\n", command.name, command.summary);
  }
  text +=
      "\nOptions:\n  --help      this text; 'haq COMMAND --help' explains a command\n"
      "  --version   the program's version\n\n"
      "Example:\n  haq generate --chat --prompt \"Tell me a story about a dog\"\n"
      "      a story by the demo model\n\n"
      "HAQ_MAX_ISA=scalar|avx2|avxvnni|avx512|native limits the instruction set.\n"
      "Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 stopped by Ctrl+C.\n";
  return text;
}

/// Refuses a value of HAQ_MAX_ISA that this CPU cannot run before any work is done.
void check_instruction_set() {
  try {
    device::isa_limit_from_environment();
  } catch (const Error& error) {
    throw UsageError(error.what(), error.hint().empty()
                                       ? "set HAQ_MAX_ISA to a value that 'haq doctor' lists"
                                       : error.hint());
  }
}

int run(const std::vector<std::string>& words) {
  std::string what = "usage";
  try {
    if (words.empty()) throw UsageError("no command is given", "see 'haq --help'");
    for (std::size_t i = 0; i < words.size(); ++i) {
      check_utf8(words[i], fmt::format("argument {}", i + 1));
    }
    if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
      print(overview());
      return kExitDone;
    }
    if (words[0] == "--version") {
      print("haq " HAQ_VERSION "\n");
      return kExitDone;
    }
    const Command* command = find_command(words[0]);
    if (command == nullptr) {
      throw UsageError(fmt::format("there is no command '{}'", words[0]), "see 'haq --help'");
    }
    what = command->name;
    const auto arguments = parse(*command, {words.begin() + 1, words.end()});
    if (!arguments) return kExitDone;
    log::set_level(arguments->text("--log-level"));
    check_instruction_set();
    catch_interrupts();
    return command->run(*arguments);
  } catch (const UsageError& error) {
    print_error(what, error.what(), error.advice());
    return kExitUsage;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) {
      print_error(what, "stopped", "");
      return kExitInterrupted;
    }
    print_error(what, error.what(), advice_for(error));
  } catch (const std::bad_alloc&) {
    print_error(what, "out of memory", "close other programs or choose a smaller model");
  } catch (const std::exception& error) {
    print_error(what, error.what(), "please report this defect");
  }
  return kExitFailed;
}

}  // namespace
}  // namespace haq::cli

int main(int argc, char** argv) {
  return haq::cli::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
