#include "version/text_normalizer.h"

#include <cstddef>

#include "text/utf8.h"

namespace postgen {
namespace {

// Characters that show nothing: controls, soft hyphen, zero-width space and non-joiner, word
// joiner, byte order mark. The zero-width joiner stays: emoji are made with it.
bool IsInvisible(char32_t c) {
  return (c < 0x20 && c != U'\t') || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x200B ||
         c == 0x200C || c == 0x2060 || c == 0xFEFF;
}

// Is it itself, in whatever company? Most of a text is, and is copied in runs.
bool IsPlain(char32_t c) {
  return c > 0x3000 ? c != 0xFEFF : c != 0xA0 && c != 0x3000 && !IsLineEnd(c) && !IsInvisible(c);
}

// The size of a code point that its first byte alone shows to be plain, as nearly all of a Chinese
// or English text is: U+4000 to U+EFFF (lead bytes E4 to EE), and ASCII but for controls. 0: look
// at the code point.
std::size_t PlainSize(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte >= 0xE4 && byte <= 0xEE) return 3;
  return byte >= 0x20 && byte < 0x7F ? 1 : 0;
}

}  // namespace

void TextNormalizer::Push(std::string_view fragment, std::string* out) {
  unfinished_ += fragment;
  const std::string_view text =
      std::string_view(unfinished_).substr(0, CompletePrefix(unfinished_));
  std::size_t at = 0;
  std::size_t run = 0;  // of plain ones, not yet copied
  while (at < text.size()) {
    if (const std::size_t size = PlainSize(text[at]); size > 0) {
      after_cr_ = false;
      at += size;
      continue;
    }
    const std::size_t begin = at;
    const char32_t code_point = NextCodePoint(text, &at);
    if (IsPlain(code_point)) {
      after_cr_ = false;
      continue;
    }
    *out += text.substr(run, begin - run);
    run = at;
    Append(code_point, out);
  }
  *out += text.substr(run);
  unfinished_.erase(0, text.size());
}

void TextNormalizer::Append(char32_t code_point, std::string* out) {
  const bool second_of_crlf = after_cr_ && code_point == U'\n';
  after_cr_ = code_point == U'\r';
  if (second_of_crlf) return;
  if (IsLineEnd(code_point)) {
    *out += '\n';
  } else if (code_point == 0xA0 || code_point == 0x3000) {
    *out += ' ';
  }
}

}  // namespace postgen
