// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>

#include "app/cli/commands.h"
#include "app/cli/console.h"

namespace haq::cli {

namespace {

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string words_of(const char* choices) {
  return replace_all(choices, "|", " ");
}

/// 'text' for a POSIX shell.
std::string quoted(const std::string& text) {
  return fmt::format("'{}'", replace_all(text, "'", "'\\''"));
}
/// 'text' for fish, which knows backslash escapes inside single quotes.
std::string fish_quoted(const std::string& text) {
  return fmt::format("'{}'", replace_all(replace_all(text, "\\", "\\\\"), "'", "\\'"));
}

std::string visible_commands() {
  std::string names;
  for (const Command& command : commands()) {
    if (!command.hidden) names += fmt::format("{}{}", names.empty() ? "" : " ", command.name);
  }
  return names;
}

std::string bash_script() {
  std::string cases, values;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    std::string names = "--help";
    std::string words;
    for (const Positional& positional : command.positionals) {
      if (positional.kind == Kind::kChoice)
        words += fmt::format(" {}", words_of(positional.choices));
    }
    for (const Option* option : command.all_options()) names += fmt::format(" {}", option->name);
    cases += fmt::format("    {}) options=\"{}\"; words=\"{}\" ;;\n", command.name, names,
                         words.empty() ? "" : words.substr(1));
  }
  // One entry per option name: tables never give two commands the same name with other choices.
  std::vector<std::string> seen;
  for (const Command& command : commands()) {
    for (const Option* option : command.all_options()) {
      if (std::find(seen.begin(), seen.end(), option->name) != seen.end()) continue;
      seen.emplace_back(option->name);
      if (option->kind == Kind::kFlag) continue;
      const std::string action =
          option->kind == Kind::kChoice
              ? fmt::format("COMPREPLY=($(compgen -W \"{}\" -- \"$current\"))",
                            words_of(option->choices))
          : option->kind == Kind::kFile
              ? "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\"))"
          : option->kind == Kind::kFolder
              ? "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$current\"))"
              : "COMPREPLY=()";
      values += fmt::format("    {}) {}; return ;;\n", option->name, action);
    }
  }
  return fmt::format(
      "# bash completion for haq\n"
      "_haq() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n"
      "  local options words\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{} --help --version\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$previous\" in\n{}  esac\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}    *) return ;;\n  esac\n"
      "  if [[ \"$current\" == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
      "  elif [ -n \"$words\" ]; then\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  else\n"
      "    compopt -o filenames\n"
      "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}}\n"
      "complete -F _haq haq\n",
      visible_commands(), values, cases);
}

/// Text inside the brackets of a zsh _arguments specification.
std::string zsh_text(const std::string& text) {
  return replace_all(
      replace_all(replace_all(replace_all(text, "\\", "\\\\"), "[", "\\["), "]", "\\]"), ":",
      "\\:");
}

std::string zsh_value(Kind kind, const char* value, const char* choices) {
  switch (kind) {
    case Kind::kFlag:
      return "";
    case Kind::kChoice:
      return fmt::format(":{}:({})", value, words_of(choices));
    case Kind::kFile:
      return fmt::format(":{}:_files", value);
    case Kind::kFolder:
      return fmt::format(":{}:_files -/", value);
    default:
      return fmt::format(":{}: ", value);
  }
}

std::string zsh_script() {
  std::string list, cases;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    list += fmt::format("    {}\n",
                        quoted(fmt::format("{}:{}", command.name, zsh_text(command.summary))));
    cases +=
        fmt::format("    {})\n      _arguments -s {}", command.name, quoted("--help[show help]"));
    for (const Option* option : command.all_options()) {
      cases +=
          fmt::format(" \\\n        {}",
                      quoted(fmt::format("{}{}[{}]{}", option->repeat ? "*" : "", option->name,
                                         zsh_text(option->help),
                                         zsh_value(option->kind, option->value, option->choices))));
    }
    for (const Positional& positional : command.positionals) {
      cases += fmt::format(
          " \\\n        {}",
          quoted(fmt::format("{}:{}", positional.repeat ? "*" : "",
                             zsh_value(positional.kind, positional.name, positional.choices))));
    }
    cases += "\n      ;;\n";
  }
  return fmt::format(
      "#compdef haq\n"
      "_haq() {{\n"
      "  local -a commands\n"
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "_haq \"$@\"\n",
      list, cases);
}

std::string fish_script() {
  std::string text = "# fish completion for haq\ncomplete -c haq -f\n";
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    text += fmt::format("complete -c haq -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        fish_quoted(command.summary));
    const std::string when =
        fmt::format("complete -c haq -n '__fish_seen_subcommand_from {}'", command.name);
    for (const Option* option : command.all_options()) {
      text += fmt::format("{} -l {} -d {}", when, option->name + 2, fish_quoted(option->help));
      if (option->kind == Kind::kChoice) {
        text += fmt::format(" -x -a {}", fish_quoted(words_of(option->choices)));
      } else if (option->kind == Kind::kFile) {
        text += " -r -F";
      } else if (option->kind == Kind::kFolder) {
        text += " -x -a '(__fish_complete_directories)'";
      } else if (option->kind != Kind::kFlag) {
        text += " -x";
      }
      text += '\n';
    }
    for (const Positional& positional : command.positionals) {
      if (positional.kind == Kind::kChoice) {
        text += fmt::format("{} -a {}\n", when, fish_quoted(words_of(positional.choices)));
      } else if (positional.kind == Kind::kFolder) {
        text += when + " -a '(__fish_complete_directories)'\n";
      } else if (positional.kind == Kind::kFile) {
        text += when + " -F\n";
      }
    }
  }
  return text;
}

int run(const Arguments& arguments) {
  const std::string shell = arguments.positional("SHELL");
  const std::string script = completion_script(shell);
  if (arguments.flag("--json")) {
    print_json({{"shell", shell}, {"script", script}});
  } else {
    print(script);
  }
  return kExitDone;
}

}  // namespace

std::string completion_script(const std::string& shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  return fish_script();
}

Command completion_command() {
  return {"completion",
          "print a completion script for a shell",
          "Prints a script that lets the shell complete commands, options and values of haq. The "
          "installed package puts them where the shells look for them.",
          {{"SHELL", Kind::kChoice, "bash, zsh or fish", true, "bash|zsh|fish"}},
          {},
          {{"haq completion bash > ~/.local/share/bash-completion/completions/haq",
            "completion for bash"}},
          run};
}

}  // namespace haq::cli
