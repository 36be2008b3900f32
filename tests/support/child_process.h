// A program that a test needs beside itself: started, read line by line, ended with the test.
#ifndef POSTGEN_TESTS_SUPPORT_CHILD_PROCESS_H_
#define POSTGEN_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace postgen::testing {

class ChildProcess {
 public:
  // command[0] is looked up in PATH. Throws std::runtime_error where there can be no process; a
  // program that cannot be started ends at once.
  explicit ChildProcess(const std::vector<std::string>& command);
  // Ends it (SIGTERM) and waits for that.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int number);

  // The next line of its output, stdout and stderr alike, that contains `text`; empty: the program
  // has ended without one.
  std::string WaitForLine(const std::string& text);

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffer_;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_CHILD_PROCESS_H_
