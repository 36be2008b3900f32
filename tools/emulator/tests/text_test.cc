// UTF-8, JSON text and tokens.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "json_writer.h"
#include "tokens.h"
#include "utf8.h"

using namespace emulator;

TEST_CASE("code points are counted, broken bytes as one each") {
  CHECK(CountCodePoints("") == 0);
  CHECK(CountCodePoints("台積電(2330)") == 9);
  CHECK(CountCodePoints("a\n，🚀") == 4);
  CHECK(CountCodePoints("\xff\xfe") == 2);
  CHECK(CountCodePoints("\xe5\x8f") == 2);              // cut
  CHECK(CountCodePoints("\xed\xa0\x80") == 3);          // a surrogate
  CHECK(CountCodePoints("\xc0\xaf\xf8\x88\x80") == 5);  // overlong, too long
  CHECK(TakeCodePoints("台積電", 2) == "台積");
  CHECK(TakeCodePoints("台", 5) == "台");
}

TEST_CASE("code points survive writing and reading") {
  for (char32_t c : {U'a', U'é', U'台', U'🚀', char32_t{0x10FFFF}}) {
    std::string text;
    AppendCodePoint(text, c);
    std::size_t pos = 0;
    CHECK(NextCodePoint(text, &pos) == c);
    CHECK(pos == text.size());
  }
}

TEST_CASE("JSON writer places commas and escapes") {
  JsonWriter json;
  json.BeginObject().Key("a").Int(-1).Key("b").BeginArray().String("x\"\\\n\x01").Null();
  json.Bool(true).BeginObject().EndObject().EndArray().Key("c").Double(0.5).EndObject();
  CHECK(json.Take() == R"({"a":-1,"b":["x\"\\\n\u0001",null,true,{}],"c":0.5})");
}

TEST_CASE("JSON text above ASCII stays or is escaped in pairs") {
  std::string raw;
  AppendJsonEscaped(raw, "台🚀");
  CHECK(raw == "台🚀");
  std::string ascii;
  AppendJsonEscaped(ascii, "台🚀", JsonEscapes::kAscii);
  CHECK(ascii == "\\u53f0\\ud83d\\ude80");
}

TEST_CASE("tokens cover the text, split no character, and cost what is said") {
  std::string chinese;
  for (char32_t c = 0x4E00; c < 0x4E00 + 8000; ++c) AppendCodePoint(chinese, c);
  double per_character = static_cast<double>(CountTokens(chinese)) / 8000;
  CHECK(per_character > 0.91);
  CHECK(per_character < 0.95);
  CHECK(CountTokens(std::string(400, 'a')) == 100);
  CHECK(CountTokens("") == 0);

  std::string text = "台積電(2330)今天🚀 abcdefg";
  std::vector<std::size_t> ends = TokenEnds(text);
  CHECK(ends.size() == CountTokens(text));
  CHECK(ends.back() == text.size());
  for (std::size_t end : ends) {
    bool at_boundary = end == text.size() || (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
    CHECK(at_boundary);
  }
}
