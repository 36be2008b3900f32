#include "version/text_normalizer.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace postgen {
namespace {

std::string Utf8(char32_t c) {
  const auto byte = [](char32_t value) {
    return static_cast<char>(static_cast<unsigned char>(value));
  };
  const auto tail = [&](unsigned shift) { return byte(0x80U | ((c >> shift) & 0x3FU)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0U | (c >> 6U)), tail(0)};
  if (c < 0x10000) return {byte(0xE0U | (c >> 12U)), tail(6), tail(0)};
  return {byte(0xF0U | (c >> 18U)), tail(12), tail(6), tail(0)};
}

std::string Normalised(std::string_view text) {
  std::string out;
  TextNormalizer().Push(text, &out);
  return out;
}

// What becomes of a character, written as the lists that the header promises.
std::string Expected(char32_t c) {
  constexpr std::u32string_view kLineEnds = U"\n\r\v\f\u0085\u2028\u2029";
  constexpr std::u32string_view kSpaces = U"\u00A0\u3000";
  constexpr std::u32string_view kInvisible = U"\u00AD\u200B\u200C\u2060\uFEFF";
  if (kLineEnds.find(c) != std::u32string_view::npos) return "\n";
  if (kSpaces.find(c) != std::u32string_view::npos) return " ";
  const bool control = (c < 0x20 && c != U'\t') || (c >= 0x7F && c < 0xA0);
  if (control || kInvisible.find(c) != std::u32string_view::npos) return "";
  return Utf8(c);
}

TEST_CASE("TextNormalizer, over every code point") {
  for (char32_t c = 1; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const std::string got = Normalised("a" + Utf8(c) + "b");
    if (got == "a" + Expected(c) + "b") continue;
    CAPTURE(static_cast<std::uint32_t>(c));
    CHECK(got == "a" + Expected(c) + "b");
  }
}

TEST_CASE("TextNormalizer makes one line end of CR LF, wherever it is cut") {
  for (const std::string text : {"1\r\n2", "一\r\n二", "\r\n\r\n", "\r一\n", "\ra\n"}) {
    const std::string whole = Normalised(text);
    CHECK(whole.find('\r') == std::string::npos);
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      std::string out;
      TextNormalizer normalizer;
      normalizer.Push(std::string_view(text).substr(0, cut), &out);
      normalizer.Push(std::string_view(text).substr(cut), &out);
      CHECK(out == whole);
    }
  }
  CHECK(Normalised("1\r\n2") == "1\n2");
  CHECK(Normalised("\r一\n") == "\n一\n");
  CHECK(Normalised("\ra\n") == "\na\n");
}

}  // namespace
}  // namespace postgen
