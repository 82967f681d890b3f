// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace haq::cli {

/// Wrong usage: exit code 2. `advice` says what to do instead.
class UsageError : public std::runtime_error {
 public:
  UsageError(const std::string& message, std::string advice)
      : std::runtime_error(message), advice_(std::move(advice)) {}
  const std::string& advice() const { return advice_; }

 private:
  std::string advice_;
};

enum class Kind { kFlag, kInteger, kNumber, kText, kChoice, kFile, kFolder };

/// One option of a command. The parser, `--help`, the shell completions and the manual pages are
/// all made from these tables.
struct Option {
  const char* name;  ///< "--max-tokens"
  Kind kind;
  const char* value;     ///< placeholder in help texts, "" for flags
  const char* fallback;  ///< default as text, "" when there is none
  const char* help;
  const char* choices = "";  ///< kChoice: "auto|bf16|fp32"
  double min = 0, max = 0;   ///< kInteger, kNumber: the range when min < max
  bool repeat = false;
};

struct Positional {
  const char* name;  ///< "MODEL"
  Kind kind;
  const char* help;
  bool required = false;
  const char* choices = "";
  bool repeat = false;  ///< takes all words that are left; must be the last
};

struct Example {
  const char* line;
  const char* says;
};

class Arguments;

struct Command {
  const char* name;
  const char* summary;      ///< one line, no full stop
  const char* description;  ///< a few sentences
  std::vector<Positional> positionals;
  std::vector<std::span<const Option>> options;
  std::vector<Example> examples;
  int (*run)(const Arguments&);
  bool hidden = false;

  std::vector<const Option*> all_options() const;
};

/// Every command, in the order in which help shows them.
const std::vector<Command>& commands();
const Command* find_command(const std::string& name);

/// --json, --quiet, --log-level, --threads, --db.
std::span<const Option> common_options();

/// The values given to a command. Types and ranges are checked while parsing, so the accessors
/// cannot fail for an option of the command's tables.
class Arguments {
 public:
  bool given(const std::string& name) const { return values_.contains(name); }
  bool flag(const std::string& name) const { return given(name); }
  /// The last value given, else the table's default.
  std::string text(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  /// Every value of an option or positional that may be repeated.
  std::vector<std::string> list(const std::string& name) const;
  /// "" when it was not given.
  std::string positional(const std::string& name) const;
  const Command& command() const { return *command_; }

 private:
  friend std::optional<Arguments> parse(const Command&, const std::vector<std::string>&);
  const Command* command_ = nullptr;
  std::map<std::string, std::vector<std::string>> values_;
};

/// Parses what follows the command's name. Empty when help was asked for (and printed). Throws
/// UsageError.
std::optional<Arguments> parse(const Command& command, const std::vector<std::string>& words);

/// "1,2,3" (blanks and line ends allowed) as token ids, each 0 to 2^31 - 1. `what` names the
/// source.
std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& what);

/// The parts between separators; one (maybe empty) part when there is none.
std::vector<std::string> split(const std::string& text, char separator);

/// Throws UsageError unless `text` is valid UTF-8.
void check_utf8(const std::string& text, const std::string& what);

}  // namespace haq::cli
