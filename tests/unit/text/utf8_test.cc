#include "text/utf8.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postgen {
namespace {

using namespace std::string_view_literals;

std::string Encode(char32_t c) {
  const auto byte = [](char32_t value) {
    return static_cast<char>(static_cast<unsigned char>(value));
  };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0U | (c >> 6U)), byte(0x80U | (c & 0x3FU))};
  if (c < 0x10000) {
    return {byte(0xE0U | (c >> 12U)), byte(0x80U | ((c >> 6U) & 0x3FU)), byte(0x80U | (c & 0x3FU))};
  }
  return {byte(0xF0U | (c >> 18U)), byte(0x80U | ((c >> 12U) & 0x3FU)),
          byte(0x80U | ((c >> 6U) & 0x3FU)), byte(0x80U | (c & 0x3FU))};
}

bool RoundTrips(char32_t c) {
  const std::string text = Encode(c);
  std::size_t offset = 0;
  return IsValidUtf8(text) && CountCodePoints(text) == 1 && NextCodePoint(text, &offset) == c &&
         offset == text.size();
}

TEST_CASE("every code point is valid, counts as one and decodes to itself") {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (surrogate ? IsValidUtf8(Encode(c)) : !RoundTrips(c)) FAIL_CHECK(std::uint32_t{c});
  }
  CHECK_FALSE(IsValidUtf8(Encode(0x110000)));
}

TEST_CASE("the first byte that is not UTF-8 is found") {
  struct Row {
    std::string_view text;
    std::optional<std::size_t> offset;
  };
  const Row rows[] = {
      {"", std::nullopt},      {"2330 台積電 📈", std::nullopt},
      {"\0"sv, std::nullopt},  {"\x80", 0},  // continuation without a lead
      {"ab\xFF", 2},                         // never in UTF-8
      {"ab\xC0\xAF", 2},                     // overlong '/'
      {"\xE0\x80\xAF", 0},                   // overlong in three
      {"\xF0\x80\x80\xAF", 0},               // overlong in four
      {"\xED\xA0\x80", 0},                   // surrogate
      {"\xED\xBF\xBF", 0},                   // surrogate
      {"\xF4\x90\x80\x80", 0},               // U+110000
      {"\xF5\x80\x80\x80", 0},               //
      {"台\xE7\xA9", 3},                     // cut after two of three
      {"台\xE7", 3},                         // cut after one of three
      {"\xF0\x9F\x93", 0},                   // cut after three of four
      {"\xE7\xA9台", 0},                     // a lead where a continuation should be
      {"ok\xC3(", 2},                        //
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(FindInvalidUtf8(row.text) == row.offset);
  }
}

TEST_CASE("code points are counted, marks and line breaks included") {
  CHECK(CountCodePoints("") == 0);
  CHECK(CountCodePoints("台積電，漲停！\n") == 8);
  CHECK(CountCodePoints("a\xCC\x81") == 2);    // letter and combining accent
  CHECK(CountCodePoints("👩‍💻") == 3);  // woman, joiner, computer
}

TEST_CASE("taking code points never cuts one") {
  const std::string_view text = "a台📈";
  CHECK(TakeCodePoints(text, 0) == "");
  CHECK(TakeCodePoints(text, 1) == "a");
  CHECK(TakeCodePoints(text, 2) == "a台");
  CHECK(TakeCodePoints(text, 3) == text);
  CHECK(TakeCodePoints(text, 99) == text);
}

TEST_CASE("a prefix is complete at every cut of a text") {
  const std::string text = "a台é📈b";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string_view head = std::string_view(text).substr(0, cut);
    const std::size_t complete = CompletePrefix(head);
    CAPTURE(cut);
    CHECK(cut - complete < 4);
    CHECK(IsValidUtf8(head.substr(0, complete)));
    // What is held back is the beginning of one code point and nothing else.
    CHECK(CountCodePoints(head) - CountCodePoints(head.substr(0, complete)) <= 1);
    CHECK(IsValidUtf8(head) == (complete == cut));
  }
}

TEST_CASE("bytes that can never become UTF-8 are not held back") {
  CHECK(CompletePrefix("ab\x80\x80\x80\x80") == 6);
  CHECK(CompletePrefix("ab\xFF") == 3);
}

}  // namespace
}  // namespace postgen
