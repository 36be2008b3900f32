#include "tokens.h"

#include "random.h"
#include "utf8.h"

namespace emulator {
namespace {

constexpr std::size_t kAsciiPerToken = 4;
// A pair of Chinese characters is one token for this share of pairs: 1 / (1 + 0.075) = 0.93.
constexpr std::uint64_t kMergedPairsPerThousand = 75;

bool IsMergedPair(char32_t first, char32_t second) {
  return Mix(first, second) % 1000 < kMergedPairsPerThousand;
}

// Where the token that starts at `pos` ends.
std::size_t TokenEnd(std::string_view text, std::size_t pos) {
  char32_t first = NextCodePoint(text, &pos);
  if (first < 0x80) {
    for (std::size_t taken = 1; taken < kAsciiPerToken && pos < text.size(); ++taken) {
      if (static_cast<unsigned char>(text[pos]) >= 0x80) break;
      ++pos;
    }
  } else if (IsCjk(first) && pos < text.size()) {
    std::size_t next = pos;
    char32_t second = NextCodePoint(text, &next);
    if (IsCjk(second) && IsMergedPair(first, second)) pos = next;
  }
  return pos;
}

}  // namespace

std::vector<std::size_t> TokenEnds(std::string_view text) {
  std::vector<std::size_t> ends;
  ends.reserve(text.size() / 3 + 1);
  for (std::size_t pos = 0; pos < text.size();) {
    pos = TokenEnd(text, pos);
    ends.push_back(pos);
  }
  return ends;
}

std::size_t CountTokens(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t pos = 0; pos < text.size(); ++count) pos = TokenEnd(text, pos);
  return count;
}

}  // namespace emulator
