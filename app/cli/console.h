// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "app/cli/options.h"
#include "engine/base/error.h"
#include "engine/base/progress.h"

namespace haq::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

/// The flag that Ctrl+C sets. A second Ctrl+C ends the process at once with 130.
const CancelToken& interrupt_token();
/// Makes Ctrl+C set the flag instead of killing the process; blocking reads return early. A mapped
/// file that is cut short (SIGBUS) ends the process with one line and exit code 1.
void catch_interrupts();
/// For the chat, which goes on after Ctrl+C: a fresh flag.
void renew_interrupt_token();

/// Shows progress on stderr: a bar on a terminal, else a plain line every few seconds; nothing when
/// quiet. Used by one thread.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(bool quiet);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  ProgressCallback callback();
  void clear();

 private:
  void show(const Progress& progress);
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// Prints one JSON object on stdout (broken UTF-8 from foreign files becomes U+FFFD).
void print_json(const nlohmann::ordered_json& json);
/// Writes text to stdout and checks that it arrived; throws Error kIo (a full disk, a closed pipe).
void print(const std::string& text);
/// A remark for a person on stderr, unless --quiet.
void note(const Arguments& arguments, const std::string& text);

/// "haq: <what>: <why>; <what to do>" on stderr, always one line.
void print_error(const std::string& what, const std::string& why, const std::string& advice);
/// What to do about an error that brings no advice of its own.
std::string advice_for(const Error& error);

}  // namespace haq::cli
