// The emulator as a program of its own: a provider that keeps books.
#ifndef POSTGEN_TESTS_SUPPORT_EMULATOR_H_
#define POSTGEN_TESTS_SUPPORT_EMULATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "support/child_process.h"

namespace postgen::testing {

class Emulator {
 public:
  // command[0] is the program. Throws std::runtime_error where it does not start.
  explicit Emulator(const std::vector<std::string>& command);

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  // A number of its books (docs/emulator.md, "Ledger").
  std::int64_t Count(const std::string& name) const;
  // Changes its settings (docs/emulator.md): a JSON object of them.
  void Configure(const std::string& settings) const;
  // Returns when that number has come to `at_least`.
  void WaitForCount(const std::string& name, std::int64_t at_least) const;

 private:
  ChildProcess process_;
  int port_ = 0;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_EMULATOR_H_
