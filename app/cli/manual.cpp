// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <cctype>
#include <filesystem>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "engine/base/file.h"

namespace haq::cli {

namespace {

/// Escapes text for troff: backslashes, hyphens that must stay ASCII, and leading control
/// characters.
std::string escaped(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string title(const std::string& page, const std::string& summary) {
  return fmt::format(".TH {} 1 \"\" \"haq {}\" \"HAQ Studio\"\n.SH NAME\n{} \\- {}\n",
                     upper(escaped(page)), HAQ_VERSION, escaped(page), escaped(summary));
}

std::string option_entry(const Option& option) {
  std::string text = fmt::format(".TP\n\\fB{}\\fR", escaped(option.name));
  if (*option.value != '\0') text += fmt::format(" \\fI{}\\fR", escaped(option.value));
  text += fmt::format("\n{}", escaped(option.help));
  if (*option.choices != '\0') text += fmt::format(" (one of {})", escaped(option.choices));
  if (option.min < option.max) {
    text += escaped(fmt::format(" (from {} to {})", option.min, option.max));
  }
  if (option.repeat) text += " (may be repeated)";
  text += ".";
  if (*option.fallback != '\0') text += fmt::format(" Default: {}.", escaped(option.fallback));
  return text + "\n";
}

constexpr const char* kClosing =
    ".SH ENVIRONMENT\n.TP\n\\fBHAQ_MAX_ISA\\fR\nLimits the instruction set: scalar, avx2, avxvnni, "
    "avx512 or native.\n.TP\n\\fBHAQ_RESOURCES\\fR\nFolder of the program's read\\-only data (the "
    "demo model).\n.SH EXIT STATUS\n0 done; 1 the work failed, with one line on standard error; 2 "
    "wrong usage; 130 stopped by Ctrl+C, with partial results where that makes sense.\n";

std::string overview_page() {
  std::string text = title("haq", "run Mixture-of-Experts language models on this computer");
  text += ".SH SYNOPSIS\n\\fBhaq\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n";
  text +=
      "The command line of HAQ Studio. Every command has a page of its own, for example "
      "\\fBhaq\\-generate\\fR(1).\n.SH COMMANDS\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    text += fmt::format(".TP\n\\fBhaq\\-{}\\fR(1)\n{}.\n", escaped(command.name),
                        escaped(command.summary));
  }
  text += ".SH OPTIONS OF EVERY COMMAND\n";
  for (const Option& option : common_options()) text += option_entry(option);
  return text + kClosing;
}

std::string command_page(const Command& command) {
  const std::string page = fmt::format("haq-{}", command.name);
  std::string text = title(page, command.summary);
  text += fmt::format(".SH SYNOPSIS\n\\fBhaq {}\\fR", escaped(command.name));
  for (const Positional& positional : command.positionals) {
    const std::string name = fmt::format("\\fI{}\\fR", escaped(positional.name));
    text += positional.required ? fmt::format(" {}", name)
                                : fmt::format(" [{}]{}", name, positional.repeat ? "..." : "");
  }
  text += " [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n" + escaped(command.description) + "\n";
  if (!command.positionals.empty()) text += ".SH ARGUMENTS\n";
  for (const Positional& positional : command.positionals) {
    text +=
        fmt::format(".TP\n\\fI{}\\fR\n{}.\n", escaped(positional.name), escaped(positional.help));
  }
  text += ".SH OPTIONS\n";
  for (const Option* option : command.all_options()) text += option_entry(*option);
  text += ".SH EXAMPLES\n";
  for (const Example& example : command.examples) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(example.line), escaped(example.says));
  }
  return text + kClosing + ".SH SEE ALSO\n\\fBhaq\\fR(1)\n";
}

int run(const Arguments& arguments) {
  const std::filesystem::path folder = arguments.positional("FOLDER");
  std::filesystem::create_directories(folder);
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file_atomically(folder / name, text);
    files.push_back(name);
  };
  write("haq.1", manual_page(nullptr));
  for (const Command& command : commands()) {
    if (!command.hidden) write(fmt::format("haq-{}.1", command.name), manual_page(&command));
  }
  if (arguments.flag("--json")) print_json({{"files", files}});
  return kExitDone;
}

}  // namespace

std::string manual_page(const Command* command) {
  return command == nullptr ? overview_page() : command_page(*command);
}

Command man_command() {
  return {"man",
          "write the manual pages",
          "Writes haq.1 and one page per command to a folder. The build uses it.",
          {{"FOLDER", Kind::kFolder, "where the pages go", true}},
          {},
          {{"haq man build/man", "writes haq.1, haq-generate.1 and so on"}},
          run,
          true};
}

}  // namespace haq::cli
