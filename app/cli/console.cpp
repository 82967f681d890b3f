// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/console.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>

namespace haq::cli {

namespace {

/// Every token ever handed out; the handler may run on any thread, so none is destroyed.
std::deque<CancelToken>& tokens() {
  static std::deque<CancelToken> all(1);
  return all;
}
std::atomic<const CancelToken*> current{nullptr};
std::atomic<bool> interrupted_once{false};

extern "C" void on_interrupt(int) {
  if (interrupted_once.exchange(true)) _exit(kExitInterrupted);
  current.load()->cancel();
}

/// The memory of a mapped file is gone: somebody cut the file short. Nothing can go on from here,
/// but what was written so far is whole, and the user shall know why.
extern "C" void on_lost_file(int) {
  static constexpr char kLine[] =
      "haq: file: a model file was cut short while it was read; let nothing write to it and try "
      "again\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kLine, sizeof kLine - 1);
  _exit(kExitFailed);
}

}  // namespace

const CancelToken& interrupt_token() {
  return tokens().back();
}

void catch_interrupts() {
  current = &tokens().back();
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = on_lost_file;
  sigaction(SIGBUS, &action, nullptr);
}

void renew_interrupt_token() {
  current = &tokens().emplace_back();
  interrupted_once = false;
}

ProgressDisplay::ProgressDisplay(bool quiet)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      last_(std::chrono::steady_clock::now()) {}

ProgressDisplay::~ProgressDisplay() {
  clear();
}

void ProgressDisplay::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

ProgressCallback ProgressDisplay::callback() {
  if (quiet_) return {};
  return [this](const Progress& progress) { show(progress); };
}

void ProgressDisplay::show(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const auto interval =
      terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(3000);
  if (now - last_ < interval) return;
  last_ = now;
  std::string amount;
  double share = 0;
  if (progress.total > 0) {
    share = std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
    amount = fmt::format("{:3.0f} %", 100 * share);
    // Without a unit the numbers are but a share.
    if (*progress.unit != '\0') {
      amount += fmt::format(" ({} of {} {})", progress.done, progress.total, progress.unit);
    }
  } else if (progress.done > 0) {
    amount = fmt::format("{} {}", progress.done, progress.unit);
  }
  if (!terminal_) {
    fmt::print(stderr, "{} {}\n", progress.stage, amount);
    return;
  }
  std::string bar;
  if (progress.total > 0) {
    constexpr std::size_t kWidth = 24;
    const auto filled = static_cast<std::size_t>(share * kWidth);
    bar = fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kWidth - filled, '-'));
  }
  fmt::print(stderr, "\r\x1b[K{}{} {}", bar, progress.stage, amount);
  std::fflush(stderr);
  drawn_ = true;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kIo, fmt::format("standard output: {}", std::strerror(errno)),
                "free some space or choose another target for the output");
  }
}

void print_json(const nlohmann::ordered_json& json) {
  print(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void note(const Arguments& arguments, const std::string& text) {
  if (!arguments.flag("--quiet")) fmt::print(stderr, "{}\n", text);
}

void print_error(const std::string& what, const std::string& why, const std::string& advice) {
  std::string line = fmt::format("haq: {}: {}{}{}", what, why, advice.empty() ? "" : "; ", advice);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  fmt::print(stderr, "{}\n", line);
}

std::string advice_for(const Error& error) {
  if (!error.hint().empty()) return error.hint();
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
      return "correct the value and try again";
    case ErrorCode::kNotFound:
      return "check the path or the name";
    case ErrorCode::kUnsupported:
      return "use a model that 'haq info' calls supported";
    case ErrorCode::kCorrupt:
      return "get the file again from where it came";
    case ErrorCode::kIo:
      return "check that the file can be read and written";
    case ErrorCode::kNoSpace:
      return "free some disk space";
    case ErrorCode::kOutOfMemory:
      return "close other programs or choose a smaller model";
    case ErrorCode::kLimit:
      return "make the input smaller";
    case ErrorCode::kCancelled:
      return "";
    case ErrorCode::kConflict:
      return "close the other program or use another file";
    case ErrorCode::kNumeric:
      return "check the model's weights, or try --compute fp32";
    case ErrorCode::kInternal:
      return "please report this defect";
  }
  return {};
}

}  // namespace haq::cli
