// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace haq::test {

struct ProcessResult {
  int code = -1;  ///< exit code; 128 + n when a signal n ended it
  std::string out, err;
};

struct ProcessOptions {
  std::map<std::string, std::string> environment;  ///< on top of this process's
  std::string input;                               ///< stdin
  /// Called with what has come on stdout so far, whenever something came; true sends `signal` once.
  std::function<bool(const std::string& out, const std::string& err)> interrupt;
  int signal = 2;  ///< SIGINT
};

/// Runs the real `haq` program and waits for it.
ProcessResult run_haq(const std::vector<std::string>& arguments,
                      const ProcessOptions& options = {});

}  // namespace haq::test
