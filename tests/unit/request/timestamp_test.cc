#include "request/timestamp.h"

#include <doctest/doctest.h>

#include <chrono>

namespace postgen {
namespace {

WallTime At(std::chrono::microseconds since_epoch) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(since_epoch));
}

TEST_CASE("times are shown in Taipei's time") {
  using std::chrono::microseconds;
  using std::chrono::seconds;
  CHECK(TaipeiTimestamp(WallTime()) == "1970-01-01T08:00:00.000000+08:00");
  CHECK(TaipeiTimestamp(At(seconds(1767772923) + microseconds(42))) ==
        "2026-01-07T16:02:03.000042+08:00");
  // The last hours of a UTC year are the next year there.
  CHECK(TaipeiTimestamp(At(seconds(1767196800))) == "2026-01-01T00:00:00.000000+08:00");
  CHECK(TaipeiTimestamp(At(seconds(1709164800))) == "2024-02-29T08:00:00.000000+08:00");
  CHECK(TaipeiTimestamp(At(microseconds(-1))) == "1970-01-01T07:59:59.999999+08:00");
}

TEST_CASE("the ends of time are shown without overflow") {
  CHECK(TaipeiTimestamp(WallTime::max()).substr(0, 10) == "2262-04-12");
  CHECK(TaipeiTimestamp(WallTime::min()).substr(0, 10) == "1677-09-21");
}

}  // namespace
}  // namespace postgen
