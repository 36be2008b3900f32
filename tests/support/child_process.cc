#include "support/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace postgen::testing {

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe for a test program");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process for a test program");
  if (pid_ == 0) {
    // Only what is safe after a fork of a program with threads. The mask is inherited: threads of
    // ours block all signals.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
}

ChildProcess::~ChildProcess() {
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close(output_);
}

void ChildProcess::Signal(int number) { kill(pid_, number); }

std::string ChildProcess::WaitForLine(const std::string& text) {
  while (true) {
    for (std::size_t end = 0; (end = buffer_.find('\n')) != std::string::npos;) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.find(text) != std::string::npos) return line;
    }
    std::array<char, 4096> bytes{};
    const ssize_t size = read(output_, bytes.data(), bytes.size());
    if (size <= 0) return {};
    buffer_.append(bytes.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace postgen::testing
