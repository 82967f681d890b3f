// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/killed_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace haq::test {
namespace {

[[noreturn]] void system_failure(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::optional<std::int64_t> next_report(int from) {
  std::int64_t number = 0;
  if (::read(from, &number, sizeof number) != static_cast<ssize_t>(sizeof number)) return {};
  return number;
}

}  // namespace

std::int64_t last_report_of_killed(
    const std::function<void(const std::function<void(std::int64_t)>& report)>& work,
    const std::function<bool(std::int64_t)>& enough) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) system_failure("pipe2");
  const pid_t child = ::fork();
  if (child < 0) system_failure("fork");
  if (child == 0) {
    try {
      work([&](std::int64_t number) {
        if (::write(ends[1], &number, sizeof number) != sizeof number) ::_exit(3);
      });
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::int64_t last = 0;
  for (bool done = false; !done;) {
    const auto number = next_report(ends[0]);
    if (!number) break;  // it ended
    last = *number;
    done = enough(last);
  }
  ::kill(child, SIGKILL);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) system_failure("waitpid");
  while (const auto number = next_report(ends[0])) last = *number;
  ::close(ends[0]);
  if (!WIFSIGNALED(status)) throw std::runtime_error("the child ended by itself");
  return last;
}

}  // namespace haq::test
