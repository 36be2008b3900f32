// Code points in UTF-8 text. Lengths of posts are counted in code points, punctuation and line
// breaks included.
#ifndef POSTGEN_EMULATOR_UTF8_H_
#define POSTGEN_EMULATOR_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace emulator {

// Reads the code point at *pos and moves *pos past it. A byte that starts no valid sequence counts
// as one code point, U+FFFD. REQUIRES: *pos < text.size().
char32_t NextCodePoint(std::string_view text, std::size_t* pos);

std::size_t CountCodePoints(std::string_view text);

// The first `count` code points, or all of the text when it is shorter.
std::string_view TakeCodePoints(std::string_view text, std::size_t count);

void AppendCodePoint(std::string& out, char32_t code_point);

// Ideographs, kana, bopomofo and the full-width punctuation that goes with them.
bool IsCjk(char32_t code_point);

// Ideographs alone.
bool IsHan(char32_t code_point);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_UTF8_H_
