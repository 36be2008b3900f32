#include "llm/wire/surrogates.h"

#include <optional>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("halves without their partner are found") {
  struct {
    std::string_view json;
    std::optional<std::size_t> offset;
    bool high;
  } const cases[] = {
      {R"("plain")", std::nullopt, false},
      {R"("\ud83d\ude00")", std::nullopt, false},
      {R"("\uD83D\uDE00")", std::nullopt, false},
      {R"("a\ud83d")", 2, true},
      {R"("\ude00b")", 1, false},
      {R"("\ud83d\ud83d\ude00")", 1, true},
      {R"("\ud83dx\ude00")", 1, true},
      {R"("\\ud83d")", std::nullopt, false},  // a backslash, then letters
      {R"("\\\ud83d")", 3, true},             // a backslash, then half a character
      {R"("\n\u53f0\"\ude00")", 11, false},
      {R"("\ud83)", std::nullopt, false},
      {R"("\)", std::nullopt, false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.json);
    const std::optional<LoneSurrogate> lone = FindLoneSurrogate(c.json);
    REQUIRE(lone.has_value() == c.offset.has_value());
    if (!lone) continue;
    CHECK(lone->offset == *c.offset);
    CHECK(lone->high == c.high);
  }
}

TEST_CASE("a half moves from the end of one string to the start of the next") {
  SurrogateJoiner joiner;
  CHECK(joiner.TakeHigh(R"({"content":"好\ud83d"})") == R"({"content":"好"})");
  CHECK(joiner.holding());
  CHECK_FALSE(joiner.PutHigh(R"({"content":"x"})").has_value());
  CHECK_FALSE(joiner.PutHigh(R"({"content":"x\ude00"})").has_value());
  CHECK(joiner.PutHigh(R"({"content":"\ude00!"})") == R"({"content":"\ud83d\ude00!"})");
  CHECK_FALSE(joiner.holding());
}

TEST_CASE("a half in the middle of a string has nowhere to go") {
  SurrogateJoiner joiner;
  CHECK_FALSE(joiner.TakeHigh(R"({"content":"\ud83dx"})").has_value());
  CHECK_FALSE(joiner.TakeHigh(R"({"content":"\ude00"})").has_value());
  CHECK_FALSE(joiner.holding());
}

}  // namespace
}  // namespace postgen
