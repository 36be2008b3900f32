#include "llm/wire/safe_word.h"

#include <algorithm>
#include <cstddef>

namespace postgen {
namespace {

constexpr std::size_t kMaxLength = 64;

bool IsWordCharacter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == ':' || c == '/';
}

}  // namespace

std::string SafeWord(std::string_view text) {
  const bool safe =
      text.size() <= kMaxLength && std::all_of(text.begin(), text.end(), IsWordCharacter);
  return safe ? std::string(text) : std::string();
}

}  // namespace postgen
