#include "llm/policy/breaker.h"

#include <chrono>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint(std::chrono::hours(1));
const Error kAuthError(Code::kAuth, "no");
const Error kQuotaError(Code::kQuota, "no money");
const Error kUpstreamError(Code::kUpstream, "broken");

TEST_CASE("a refused key opens it at once, and a probe closes it") {
  Breaker breaker;
  CHECK(breaker.Blocked(kStart) == nullptr);
  CHECK_FALSE(breaker.OnSend());
  breaker.OnFailure(kAuthError, false, kStart);
  REQUIRE(breaker.Blocked(kStart) != nullptr);
  CHECK(breaker.Blocked(kStart)->code == Code::kAuth);
  CHECK(breaker.Blocked(kStart + milliseconds(999)) != nullptr);
  const TimePoint due = kStart + seconds(1);
  REQUIRE(breaker.Blocked(due) == nullptr);
  CHECK(breaker.OnSend());
  CHECK(breaker.state() == Breaker::State::kProbing);
  CHECK(breaker.Blocked(due) != nullptr);  // one probe at a time
  breaker.OnSuccess(due);
  CHECK(breaker.state() == Breaker::State::kClosed);
  CHECK(breaker.Blocked(due) == nullptr);
  CHECK_FALSE(breaker.OnSend());
}

TEST_CASE("pauses double while probes fail, and are bounded") {
  Breaker breaker;
  breaker.OnSend();
  breaker.OnFailure(kQuotaError, false, kStart);
  TimePoint now = kStart;
  Duration pause = seconds(10);
  for (int i = 0; i < 12; ++i) {
    CHECK(breaker.Blocked(now + pause - milliseconds(1)) != nullptr);
    now += pause;
    REQUIRE(breaker.Blocked(now) == nullptr);
    REQUIRE(breaker.OnSend());
    breaker.OnFailure(kQuotaError, true, now);
    pause = std::min<Duration>(pause * 2, std::chrono::minutes(5));
  }
  CHECK(pause == std::chrono::minutes(5));
  CHECK(breaker.times_opened() == 1);
}

TEST_CASE("a probe that tells nothing leaves the next call to probe") {
  Breaker breaker;
  breaker.OnSend();
  breaker.OnFailure(kAuthError, false, kStart);
  const TimePoint due = kStart + seconds(1);
  REQUIRE(breaker.OnSend());
  breaker.OnNothing(true);
  CHECK(breaker.Blocked(due) == nullptr);
  CHECK(breaker.OnSend());
}

TEST_CASE("a share of failures") {
  const auto open_after = [](int calls, int failures, Duration between) {
    Breaker breaker;
    TimePoint now = kStart;
    for (int i = 0; i < calls; ++i, now += between) {
      if (i < calls - failures) {
        breaker.OnSuccess(now);
      } else {
        breaker.OnFailure(kUpstreamError, false, now);
      }
    }
    return breaker.Blocked(now) != nullptr;
  };
  CHECK(open_after(20, 20, milliseconds(1)));
  CHECK(open_after(40, 20, milliseconds(1)));
  CHECK_FALSE(open_after(19, 19, milliseconds(1)));  // too few
  CHECK_FALSE(open_after(40, 19, milliseconds(1)));  // too small a share
  CHECK_FALSE(open_after(20, 20, seconds(1)));       // too long ago
}

TEST_CASE("refusals in a row") {
  const Error refused(Code::kRateLimited, "wait");
  SUBCASE("to calls that were sent at once are one") {
    Breaker breaker;
    for (int i = 0; i < 100; ++i) breaker.OnRefused(refused, false, kStart, kStart + seconds(1));
    CHECK(breaker.Blocked(kStart + seconds(1)) == nullptr);
  }
  SUBCASE("of which none got through") {
    Breaker breaker;
    for (int i = 0; i < 10; ++i) {
      CHECK(breaker.Blocked(kStart + seconds(i)) == nullptr);
      breaker.OnRefused(refused, false, kStart + seconds(i), kStart + seconds(i + 1));
    }
    REQUIRE(breaker.Blocked(kStart + seconds(10)) != nullptr);
    CHECK(breaker.Blocked(kStart + seconds(10))->code == Code::kRateLimited);
  }
  SUBCASE("of which one got through") {
    Breaker breaker;
    for (int i = 0; i < 30; ++i) {
      if (i % 9 == 8) breaker.OnSuccess(kStart + seconds(i));
      breaker.OnRefused(refused, false, kStart + seconds(i), kStart + seconds(i + 1));
    }
    CHECK(breaker.Blocked(kStart + seconds(30)) == nullptr);
  }
}

TEST_CASE("what was sent before it opened does not prolong the pause, and its success ends it") {
  Breaker breaker;
  breaker.OnFailure(kAuthError, false, kStart);
  breaker.OnFailure(kAuthError, false, kStart + milliseconds(500));
  CHECK(breaker.Blocked(kStart + seconds(1)) == nullptr);
  CHECK(breaker.Blocked(kStart + milliseconds(900)) != nullptr);
  breaker.OnSuccess(kStart + milliseconds(900));
  CHECK(breaker.Blocked(kStart + milliseconds(900)) == nullptr);
}

}  // namespace
}  // namespace postgen
