// Randomness. Identifiers come from the kernel each time, so that forked processes never repeat
// each other; everything else draws from a seeded engine that tests can fix.
#ifndef POSTGEN_SRC_RUNTIME_RANDOM_H_
#define POSTGEN_SRC_RUNTIME_RANDOM_H_

#include <cstdint>
#include <random>
#include <string>

namespace postgen {

using Rng = std::mt19937_64;

std::uint64_t RandomSeed();

// RFC 4122 version 4, lower case: "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".
std::string NewUuid();

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_RANDOM_H_
