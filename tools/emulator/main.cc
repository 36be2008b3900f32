// postgen-emulator: an OpenAI-compatible server on loopback for demos, tests and benchmarks.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "server.h"

#ifndef POSTGEN_EMULATOR_VERSION
#define POSTGEN_EMULATOR_VERSION "unversioned"
#endif

int main(int argc, char** argv) {
  using emulator::CommandLine;
  emulator::Options options;
  std::string error;
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  switch (emulator::ParseCommandLine(arguments, &options, &error)) {
    case CommandLine::kHelp: std::fputs(emulator::HelpText().c_str(), stdout); return 0;
    case CommandLine::kVersion: std::puts("postgen-emulator " POSTGEN_EMULATOR_VERSION); return 0;
    case CommandLine::kWrong:
      std::fprintf(stderr, "postgen-emulator: %s\n", error.c_str());
      return 2;
    case CommandLine::kRun: break;
  }
  int status = emulator::RunServer(options, &error);
  if (!error.empty()) std::fprintf(stderr, "postgen-emulator: %s\n", error.c_str());
  return status;
}
