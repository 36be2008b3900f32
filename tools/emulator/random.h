// Random numbers that repeat: one seed gives one run on every compiler and library, which the
// distributions of <random> do not promise.
//
//   Rng rng(Mix(seed, request_index));
//   if (rng.Chance(0.05)) ...          // true for about every twentieth index
#ifndef POSTGEN_EMULATOR_RANDOM_H_
#define POSTGEN_EMULATOR_RANDOM_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace emulator {

// One step of SplitMix64 as a hash.
inline std::uint64_t Mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

inline std::uint64_t Mix(std::uint64_t a, std::uint64_t b) { return Mix(Mix(a) ^ b); }

// FNV-1a, finished by Mix so that short texts spread over all bits.
inline std::uint64_t HashText(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Mix(hash);
}

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t value = Mix(state_);
    state_ += 0x9e3779b97f4a7c15ULL;
    return value;
  }

  // In [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // In [0, bound); bound > 0.
  std::size_t Below(std::size_t bound) { return static_cast<std::size_t>(Next() % bound); }

  bool Chance(double share) { return Unit() < share; }

  // Mean 0, deviation 1 (Box-Muller; takes two draws).
  double Normal() {
    double radius = std::sqrt(-2.0 * std::log(1.0 - Unit()));
    return radius * std::cos(2.0 * std::numbers::pi * Unit());
  }

 private:
  std::uint64_t state_;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_RANDOM_H_
