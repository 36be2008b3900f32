#include "runtime/random.h"

#include <sys/random.h>

#include <array>
#include <cstddef>

namespace postgen {
namespace {

template <std::size_t N>
std::array<unsigned char, N> KernelBytes() {
  std::array<unsigned char, N> bytes{};
  std::size_t have = 0;
  while (have < N) {  // at most 256 bytes never fail, but a signal may interrupt
    const ssize_t got = getrandom(bytes.data() + have, N - have, 0);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace

std::uint64_t RandomSeed() {
  std::uint64_t seed = 0;
  for (const unsigned char byte : KernelBytes<8>()) seed = (seed << 8U) | byte;
  return seed;
}

std::string NewUuid() {
  std::array<unsigned char, 16> bytes = KernelBytes<16>();
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0FU) | 0x40U);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3FU) | 0x80U);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4U];
    text += kHex[bytes[i] & 0x0FU];
  }
  return text;
}

}  // namespace postgen
