#include "llm/wire/rate_headers.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const WallTime kNow = WallTime(seconds(1'800'000'000));

TEST_CASE("durations as servers write them") {
  struct Case {
    std::string_view text;
    std::optional<Duration> expected;
  };
  const std::vector<Case> cases = {
      {"1s", seconds(1)},
      {"0s", seconds(0)},
      {"20ms", milliseconds(20)},
      {"120ms", milliseconds(120)},
      {"6m0s", minutes(6)},
      {"4m12.172s", milliseconds(252172)},
      {"16m33.562s", milliseconds(993562)},
      {"23h18m29.144s", hours(23) + minutes(18) + milliseconds(29144)},
      {"1.5h", minutes(90)},
      {"7us", microseconds(7)},
      {"7µs", microseconds(7)},
      {"9ns", nanoseconds(9)},
      {"3s200ms", milliseconds(3200)},
      {"60", seconds(60)},
      {"0.25", milliseconds(250)},
      {"25h", hours(24)},
      {"999999999999999999999", hours(24)},
      {"", std::nullopt},
      {"s", std::nullopt},
      {"-1s", std::nullopt},
      {"1x", std::nullopt},
      {"1s ", std::nullopt},
      {"1s5", std::nullopt},
      {"1e9s", std::nullopt},
      {"nan", std::nullopt},
      {"inf", std::nullopt},
      {"1.2.3s", std::nullopt},
      {"never", std::nullopt},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const std::optional<Duration> parsed = ParseRateDuration(c.text);
    REQUIRE(parsed.has_value() == c.expected.has_value());
    if (parsed) CHECK(std::chrono::abs(*parsed - *c.expected) <= microseconds(1));
  }
}

TEST_CASE("a limit's headers") {
  CHECK(ParseRateReading("600", "599", "100ms", kNow) ==
        RateReading{600, 599, Duration(milliseconds(100))});
  CHECK(ParseRateReading("", "", "", kNow) == RateReading{});
  CHECK(ParseRateReading("0", "0", "0s", kNow) == RateReading{std::nullopt, 0, Duration(0)});
  CHECK(ParseRateReading("-1", "1.5", "soon", kNow) == RateReading{});
  CHECK(ParseRateReading("9999999999999", "x", "", kNow) == RateReading{});
  CHECK(ParseRateReading("600 ", "1,000", "1 s", kNow) == RateReading{});
}

TEST_CASE("a reset that is a time") {
  CHECK(ParseRateReading("", "", "1800000030", kNow).reset == Duration(seconds(30)));
  CHECK(ParseRateReading("", "", "1800000030000", kNow).reset == Duration(seconds(30)));
  CHECK(ParseRateReading("", "", "1700000000", kNow).reset == std::nullopt);
  CHECK(ParseRateReading("", "", "1900000000", kNow).reset == Duration(hours(24)));
}

TEST_CASE("the words of a 429") {
  CHECK(FindTryAgain("Limit 3, Used 3, Requested 1. Please try again in 20s. Visit") ==
        Duration(seconds(20)));
  CHECK(FindTryAgain("Please try again in 6ms.") == Duration(milliseconds(6)));
  CHECK(FindTryAgain("Please try again in 1m26.4s.") == Duration(milliseconds(86400)));
  CHECK(FindTryAgain("Please try again in a while.") == std::nullopt);
  CHECK(FindTryAgain("Please try again in ") == std::nullopt);
  CHECK(FindTryAgain("too many requests") == std::nullopt);
  CHECK(LimitOf({.code = {}, .type = "requests", .param = {}, .message = {}}) ==
        LimitKind::kRequests);
  CHECK(LimitOf({.code = {}, .type = "tokens", .param = {}, .message = {}}) == LimitKind::kTokens);
  CHECK(LimitOf({}) == LimitKind::kUnknown);
}

}  // namespace
}  // namespace postgen
