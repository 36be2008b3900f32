// UTF-8 by code points. One "word" (字) of the app is one code point.
#ifndef POSTGEN_SRC_TEXT_UTF8_H_
#define POSTGEN_SRC_TEXT_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace postgen {

// Byte offset of the first byte that is not UTF-8 (overlong forms, surrogates and values above
// U+10FFFF included); std::nullopt: all of it is valid.
std::optional<std::size_t> FindInvalidUtf8(std::string_view text);

inline bool IsValidUtf8(std::string_view text) { return !FindInvalidUtf8(text).has_value(); }

// Number of code points. REQUIRES: valid UTF-8 (else: the number of bytes that are not continuation
// bytes).
std::size_t CountCodePoints(std::string_view text);

// The first `count` code points; all of `text` if it has no more. REQUIRES: valid UTF-8.
std::string_view TakeCodePoints(std::string_view text, std::size_t count);

// Decodes the code point at *offset and moves *offset past it. REQUIRES: valid UTF-8, *offset <
// text.size().
char32_t NextCodePoint(std::string_view text, std::size_t* offset);

// Length of the longest prefix that does not end inside a code point: what of a fragment can be
// handed on.
std::size_t CompletePrefix(std::string_view text);

// Where Unicode ends a line.
inline bool IsLineEnd(char32_t c) {
  return c == U'\n' || c == U'\r' || c == U'\v' || c == U'\f' || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace postgen

#endif  // POSTGEN_SRC_TEXT_UTF8_H_
