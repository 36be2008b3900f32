#include "store/time_text.h"

#include <chrono>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

struct Case {
  WallTime time;
  const char* text;
};
const Case kCases[] = {
    {WallTime(), "1970-01-01 00:00:00.000000"},
    {WallTime(microseconds(-1)), "1969-12-31 23:59:59.999999"},
    {WallTime(seconds(1763910245) + microseconds(678901)), "2025-11-23 15:04:05.678901"},
    {WallTime(seconds(951782400)), "2000-02-29 00:00:00.000000"},
};

TEST_CASE("times are written and read back") {
  for (const Case& c : kCases) {
    CAPTURE(c.text);
    CHECK(FormatTime(c.time) == c.text);
    REQUIRE(ParseTime(c.text).has_value());
    CHECK(*ParseTime(c.text) == c.time);
  }
}

TEST_CASE("what is smaller than a microsecond is dropped, before 1970 too") {
  CHECK(FormatTime(WallTime(nanoseconds(1999))) == "1970-01-01 00:00:00.000001");
  CHECK(FormatTime(WallTime(nanoseconds(-1))) == "1969-12-31 23:59:59.999999");
}

TEST_CASE("the fraction may be shorter or missing") {
  CHECK(ParseTime("1970-01-01 00:00:01") == WallTime(seconds(1)));
  CHECK(ParseTime("1970-01-01 00:00:01.5") == WallTime(microseconds(1500000)));
}

TEST_CASE("other texts are no times") {
  for (const char* const text :
       {"", "now", "2025-11-23", "2025-11-23T15:04:05", "2025-13-01 00:00:00",
        "2025-02-29 00:00:00", "2025-11-23 24:00:00", "2025-11-23 00:60:00", "2025-11-23 00:00:60",
        "2025-11-23 00:00:00.", "2025-11-23 00:00:00.1234567", "2025-11-23 00:00:00Z",
        "1500-01-01 00:00:00", "9999-12-31 23:59:59", "-025-11-23 00:00:00"}) {
    CAPTURE(text);
    CHECK(!ParseTime(text).has_value());
  }
}

}  // namespace
}  // namespace postgen
