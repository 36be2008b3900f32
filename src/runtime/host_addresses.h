// The addresses that a host's name stands for.
#ifndef POSTGEN_SRC_RUNTIME_HOST_ADDRESSES_H_
#define POSTGEN_SRC_RUNTIME_HOST_ADDRESSES_H_

#include <string>
#include <vector>

#include "postgen/error.h"

namespace postgen {

// Is it an address as it stands, so that nothing is to be looked up?
bool IsAddress(const std::string& host);

// In the resolver's order, as numbers; never empty. Blocks for as long as the resolver does: for a
// thread that nobody waits for (blocking_calls.h). The message of an error is the resolver's.
Result<std::vector<std::string>> LookUpAddresses(const std::string& host);

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_HOST_ADDRESSES_H_
