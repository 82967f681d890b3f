// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/options.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <iostream>

namespace haq::cli {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

namespace {

template <typename Number>
bool parse_number(const std::string& text, Number& value) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size();
}

void check_choice(const std::string& name, const std::string& value, const char* choices) {
  for (const std::string& choice : split(choices, '|')) {
    if (choice == value) return;
  }
  throw UsageError(fmt::format("{} is '{}'", name, value), fmt::format("use one of {}", choices));
}

void check_range(const Option& option, const std::string& value, double number) {
  if (option.min >= option.max || (number >= option.min && number <= option.max)) return;
  throw UsageError(fmt::format("{} is {}", option.name, value),
                   fmt::format("use a value from {} to {}", option.min, option.max));
}

void check_value(const Option& option, const std::string& value) {
  check_utf8(value, option.name);
  switch (option.kind) {
    case Kind::kInteger: {
      std::int64_t number = 0;
      if (!parse_number(value, number)) {
        throw UsageError(fmt::format("{} is '{}'", option.name, value), "use a whole number");
      }
      check_range(option, value, static_cast<double>(number));
      return;
    }
    case Kind::kNumber: {
      double number = 0;
      if (!parse_number(value, number) || !std::isfinite(number)) {
        throw UsageError(fmt::format("{} is '{}'", option.name, value), "use a number");
      }
      check_range(option, value, number);
      return;
    }
    case Kind::kChoice:
      check_choice(option.name, value, option.choices);
      return;
    default:
      return;
  }
}

std::string footer(const Command& command) {
  std::string text = command.examples.size() == 1 ? "Example:" : "Examples:";
  for (const Example& example : command.examples) {
    text += fmt::format("\n  {}\n      {}", example.line, example.says);
  }
  return text;
}

std::string help_of(const Option& option) {
  std::string text = option.help;
  if (*option.choices != '\0') text += fmt::format(" ({})", option.choices);
  if (option.repeat) text += " (may be repeated)";
  if (*option.fallback != '\0') text += fmt::format(" [default: {}]", option.fallback);
  return text;
}

}  // namespace

std::vector<const Option*> Command::all_options() const {
  std::vector<const Option*> all;
  for (const std::span<const Option> group : options) {
    for (const Option& option : group) all.push_back(&option);
  }
  for (const Option& option : common_options()) all.push_back(&option);
  return all;
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

std::string Arguments::text(const std::string& name) const {
  if (const auto found = values_.find(name); found != values_.end()) return found->second.back();
  for (const Option* option : command_->all_options()) {
    if (name == option->name) return option->fallback;
  }
  return {};
}

std::int64_t Arguments::integer(const std::string& name) const {
  std::int64_t value = 0;
  parse_number(text(name), value);
  return value;
}

double Arguments::number(const std::string& name) const {
  double value = 0;
  parse_number(text(name), value);
  return value;
}

std::vector<std::string> Arguments::list(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::string Arguments::positional(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string() : found->second.back();
}

std::optional<Arguments> parse(const Command& command, const std::vector<std::string>& words) {
  CLI::App app(command.description, fmt::format("haq {}", command.name));
  app.footer(footer(command));
  app.get_formatter()->column_width(34);
  std::vector<std::pair<const Option*, CLI::Option*>> options;
  std::vector<std::pair<const Positional*, CLI::Option*>> positionals;
  std::vector<std::vector<std::string>> sinks(command.positionals.size() +
                                              command.all_options().size());
  std::size_t next = 0;
  for (const Positional& positional : command.positionals) {
    CLI::Option* added = app.add_option(positional.name, sinks[next++], positional.help);
    // Without allow_extra_args(false) CLI11 splits a value such as "[a,b]" at its commas.
    added->expected(1)->allow_extra_args(false)->required(positional.required);
    if (positional.repeat) {
      added->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(true);
    }
    positionals.emplace_back(&positional, added);
  }
  for (const Option* option : command.all_options()) {
    CLI::Option* added = nullptr;
    if (option->kind == Kind::kFlag) {
      added = app.add_flag_callback(
          option->name, [] {}, help_of(*option));
    } else {
      added = app.add_option(option->name, sinks[next++], help_of(*option));
      added->expected(1)
          ->allow_extra_args(false)
          ->type_name(option->value)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      // "--train a b": several values at once, where no positional could be meant.
      if (option->repeat && command.positionals.empty()) {
        added->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(true);
      }
    }
    options.emplace_back(option, added);
  }
  const std::string advice = fmt::format("see 'haq {} --help'", command.name);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what(), advice);
  }

  Arguments arguments;
  arguments.command_ = &command;
  for (const auto& [option, added] : options) {
    if (added->count() == 0) continue;
    const std::vector<std::string>& values = added->results();
    if (option->kind != Kind::kFlag) {
      if (values.size() > 1 && !option->repeat) {
        throw UsageError(fmt::format("{} is given {} times", option->name, values.size()),
                         "give it once");
      }
      for (const std::string& value : values) check_value(*option, value);
    }
    arguments.values_[option->name] = values;
  }
  for (const auto& [positional, added] : positionals) {
    if (added->count() == 0) continue;
    for (const std::string& value : added->results()) {
      check_utf8(value, positional->name);
      if (positional->kind == Kind::kChoice) {
        check_choice(positional->name, value, positional->choices);
      }
    }
    arguments.values_[positional->name] = added->results();
  }
  return arguments;
}

std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& what) {
  std::vector<std::int32_t> ids;
  const auto is_blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  std::size_t at = 0;
  bool wants_number = false;
  for (;;) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at == text.size()) break;
    std::int32_t id = 0;
    const auto [end, status] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    const auto stop = static_cast<std::size_t>(end - text.data());
    const bool ends = stop == text.size() || is_blank(text[stop]) || text[stop] == ',';
    if (status != std::errc() || !ends || id < 0) {
      throw UsageError(
          fmt::format("{}: '{}' at number {} is no token id", what,
                      text.substr(at, text.find_first_of(", \n\r\t", at) - at), ids.size() + 1),
          "use whole numbers from 0 to 2147483647, separated by commas");
    }
    ids.push_back(id);
    at = stop;
    while (at < text.size() && is_blank(text[at])) ++at;
    wants_number = at < text.size() && text[at] == ',';
    if (wants_number) ++at;
  }
  if (ids.empty() || wants_number) {
    throw UsageError(
        fmt::format("{} {}", what, ids.empty() ? "holds no token ids" : "ends in a comma"),
        "use whole numbers separated by commas");
  }
  return ids;
}

void check_utf8(const std::string& text, const std::string& what) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_ssize_t at = 0; at < size;) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(bytes + at, size - at, &code);
    if (length <= 0) {
      throw UsageError(fmt::format("{} is not valid UTF-8 (byte {})", what, at),
                       "use a UTF-8 terminal or file");
    }
    at += length;
  }
}

}  // namespace haq::cli
