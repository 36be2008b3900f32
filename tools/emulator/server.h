// The listening socket and the process around it.
#ifndef POSTGEN_EMULATOR_SERVER_H_
#define POSTGEN_EMULATOR_SERVER_H_

#include <string>

#include "options.h"

namespace emulator {

// Listens, prints the URL on stdout, and serves until SIGTERM, SIGINT or the end of the parent.
// Returns the process's exit status; on failure to start, 1 and one line in *error.
int RunServer(const Options& options, std::string* error);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_SERVER_H_
