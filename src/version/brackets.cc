#include "version/brackets.h"

#include <cstddef>

namespace postgen {
namespace {

struct Pair {
  std::string_view open;
  std::string_view close;
};

constexpr Pair kPairs[] = {{"【", "】"}, {"[", "]"}, {"［", "］"}, {"「", "」"},
                           {"『", "』"}, {"“", "”"}, {"\"", "\""}};

constexpr std::string_view kSpaces = " \t\n";

const Pair* OpeningPair(std::string_view text) {
  for (const Pair& pair : kPairs) {
    if (text.starts_with(pair.open)) return &pair;
  }
  return nullptr;
}

// Does the bracket that opens `text` close at its very end?
bool Encloses(const Pair& pair, std::string_view text) {
  int depth = 1;
  std::size_t at = pair.open.size();
  while (at < text.size()) {
    if (text.substr(at).starts_with(pair.close)) {
      at += pair.close.size();
      if (--depth == 0) return at == text.size();
    } else if (text.substr(at).starts_with(pair.open)) {
      at += pair.open.size();
      ++depth;
    } else {
      ++at;
    }
  }
  return false;
}

}  // namespace

std::string_view TrimSpaces(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

bool StartsWithBracket(std::string_view text) { return OpeningPair(text) != nullptr; }

std::string_view StripLooseCloser(std::string_view text) {
  text = TrimSpaces(text);
  for (const Pair& pair : kPairs) {
    if (pair.open != pair.close && text.ends_with(pair.close) &&
        text.find(pair.open) == std::string_view::npos) {
      text.remove_suffix(pair.close.size());
      return TrimSpaces(text);
    }
  }
  return text;
}

std::string_view StripBrackets(std::string_view text) {
  text = TrimSpaces(text);
  // Each pair takes a look at all of the text.
  for (int pairs = 0; pairs < kMaxNestedPairs; ++pairs) {
    const Pair* pair = OpeningPair(text);
    if (pair == nullptr || !Encloses(*pair, text)) break;
    text.remove_prefix(pair->open.size());
    text.remove_suffix(pair->close.size());
    text = TrimSpaces(text);
  }
  return text;
}

}  // namespace postgen
