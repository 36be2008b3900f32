// The command line: where to listen, and the settings to start with.
#ifndef POSTGEN_EMULATOR_OPTIONS_H_
#define POSTGEN_EMULATOR_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "settings.h"

namespace emulator {

struct Options {
  std::string host = "127.0.0.1";  // a loopback address
  std::uint16_t port = 0;          // 0: one that is free
  bool tls = false;
  std::string tls_cert;  // PEM files; empty: a certificate made at start
  std::string tls_key;
  std::string tls_ca_out;  // where to write the certificate that clients have to trust
  bool exit_with_parent = false;
  double tick_ms = 2;
  Settings settings;
};

enum class CommandLine { kRun, kHelp, kVersion, kWrong };

// Parses the arguments after the program's name. kWrong leaves one line in *error.
CommandLine ParseCommandLine(const std::vector<std::string_view>& arguments, Options* options,
                             std::string* error);

std::string HelpText();

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_OPTIONS_H_
