// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace haq::test {

namespace {

constexpr int kHangMilliseconds = 120'000;

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_end(read_end);
    close_end(write_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

[[noreturn]] void become_haq(const std::vector<std::string>& arguments,
                             const ProcessOptions& options) {
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  std::string program = HAQ_BINARY;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(HAQ_BINARY, argv.data());
  ::_exit(127);
}

}  // namespace

ProcessResult run_haq(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  Pipe in, out, err;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::dup2(in.read_end, STDIN_FILENO);
    ::dup2(out.write_end, STDOUT_FILENO);
    ::dup2(err.write_end, STDERR_FILENO);
    become_haq(arguments, options);
  }
  Pipe::close_end(in.read_end);
  Pipe::close_end(out.write_end);
  Pipe::close_end(err.write_end);
  // Small enough for a pipe's buffer.
  if (!options.input.empty() &&
      ::write(in.write_end, options.input.data(), options.input.size()) < 0) {
    throw std::runtime_error("write to the child failed");
  }
  // With an interrupt the child's stdin stays open, as at a terminal.
  if (!options.interrupt) Pipe::close_end(in.write_end);

  ProcessResult result;
  bool interrupted = false;
  std::vector<pollfd> polled = {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}};
  for (int open = 2; open > 0;) {
    if (::poll(polled.data(), polled.size(), kHangMilliseconds) <= 0) {
      // Silent for minutes: end it, so that the test fails instead of hanging.
      ::kill(child, SIGKILL);
      break;
    }
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = ::read(polled[i].fd, buffer, sizeof buffer);
      if (got <= 0) {
        polled[i].fd = -1;
        --open;
      } else {
        (i == 0 ? result.out : result.err).append(buffer, static_cast<std::size_t>(got));
      }
    }
    if (options.interrupt && !interrupted && options.interrupt(result.out, result.err)) {
      interrupted = true;
      ::kill(child, options.signal);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace haq::test
