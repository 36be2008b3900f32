#include "version/text_normalizer.h"

#include <cstddef>

#include "text/utf8.h"

namespace postgen {
namespace {

bool IsLineEnd(char32_t c) {
  return c == U'\n' || c == U'\r' || c == U'\v' || c == U'\f' || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// Characters that show nothing: controls, soft hyphen, zero-width space and non-joiner, word
// joiner, byte order mark. The zero-width joiner stays: emoji are made with it.
bool IsInvisible(char32_t c) {
  return (c < 0x20 && c != U'\t') || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x200B ||
         c == 0x200C || c == 0x2060 || c == 0xFEFF;
}

}  // namespace

void TextNormalizer::Push(std::string_view fragment, std::string* out) {
  unfinished_ += fragment;
  const std::string_view text =
      std::string_view(unfinished_).substr(0, CompletePrefix(unfinished_));
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t begin = at;
    const char32_t code_point = NextCodePoint(text, &at);
    Append(code_point, text.substr(begin, at - begin), out);
  }
  unfinished_.erase(0, text.size());
}

void TextNormalizer::Append(char32_t code_point, std::string_view bytes, std::string* out) {
  const bool second_of_crlf = after_cr_ && code_point == U'\n';
  after_cr_ = code_point == U'\r';
  if (second_of_crlf) return;
  if (IsLineEnd(code_point)) {
    *out += '\n';
  } else if (code_point == 0xA0 || code_point == 0x3000) {
    *out += ' ';
  } else if (!IsInvisible(code_point)) {
    *out += bytes;
  }
}

}  // namespace postgen
