#include "llm/policy/rate_limiter.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kStart = TimePoint(hours(1));
const std::string kModel = "gpt-4o-mini";

RateReading Reading(std::int64_t limit, std::int64_t remaining, Duration reset) {
  return {limit, remaining, reset};
}

// How many calls may be sent at `now`, at most `most`.
int SendAll(RateLimiter* limiter, std::int64_t tokens, TimePoint now, int most = 10000) {
  int sent = 0;
  for (; sent < most && limiter->ReadyAt(kModel, tokens, now) <= now; ++sent) {
    limiter->Take(kModel, tokens, now);
  }
  return sent;
}

// A limiter whose first call told `requests`.
RateLimiter Told(const RateReadings& readings, TimePoint now = kStart) {
  RateLimiter limiter({}, now);
  RateLimiter::Ticket ticket = limiter.Take(kModel, 100, now);
  limiter.OnHead(&ticket, readings, now);
  limiter.End(&ticket, 100, now);
  return limiter;
}

TEST_CASE("nothing is known: a first few, then whatever the head says") {
  RateLimiter limiter({}, kStart);
  RateLimiter::Ticket first = limiter.Take(kModel, 100, kStart);
  CHECK(SendAll(&limiter, 100, kStart) == RateLimiter::kUnheardCalls - 1);
  CHECK(limiter.ReadyAt(kModel, 100, kStart) == kStart + RateLimiter::kUnheardTime);
  CHECK(limiter.ReadyAt("another", 100, kStart) == kStart);
  SUBCASE("no limits") {
    limiter.OnHead(&first, {}, kStart + seconds(1));
    CHECK(SendAll(&limiter, 100, kStart + seconds(1)) == 10000);
  }
  SUBCASE("limits, of which those under way have taken theirs") {
    limiter.OnHead(&first, {.requests = Reading(17, 16, seconds(1)), .tokens = {}}, kStart);
    CHECK(SendAll(&limiter, 100, kStart) == 6);  // one in hand
  }
  SUBCASE("silence") {
    CHECK(SendAll(&limiter, 100, kStart + RateLimiter::kUnheardTime) == RateLimiter::kUnheardCalls);
    CHECK(limiter.ReadyAt(kModel, 100, kStart + RateLimiter::kUnheardTime) ==
          kStart + 2 * RateLimiter::kUnheardTime);
  }
  SUBCASE("the first call fails without a head") {
    limiter.End(&first, std::nullopt, kStart);
    CHECK(SendAll(&limiter, 100, kStart) == 1);
  }
}

TEST_CASE("the options' limits are for all models together, and known from the start") {
  RateLimiter limiter({.rpm = 60, .tpm = std::nullopt}, kStart);
  for (int i = 0; i < 20; ++i) limiter.Take("another", 100, kStart);
  CHECK(SendAll(&limiter, 100, kStart, 10) == 10);
  CHECK(limiter.ReadyAt("a third", 100, kStart) == kStart);
}

TEST_CASE("a configured rate is never exceeded by more than one burst") {
  RateLimiter limiter({.rpm = 60, .tpm = std::nullopt}, kStart);
  RateLimiter::Ticket first = limiter.Take(kModel, 1, kStart);
  limiter.OnHead(&first, {.requests = Reading(100000, 99999, milliseconds(1)), .tokens = {}},
                 kStart);
  int sent = 1;
  for (int ms = 0; ms < 600'000; ms += 100) {
    sent += SendAll(&limiter, 1, kStart + milliseconds(ms));
  }
  CHECK(sent <= 60 + 600);
  CHECK(sent >= 60 + 600 - 2);
}

TEST_CASE("what flows back is what the limit says, not what the reset says") {
  // 600 a minute, empty, whole again in a minute: the next call fits in a tenth of a second.
  RateLimiter limiter = Told({.requests = Reading(600, 0, minutes(1)), .tokens = {}});
  const TimePoint ready = limiter.ReadyAt(kModel, 1, kStart);
  CHECK(ready >= kStart + milliseconds(100));
  CHECK(ready <= kStart + milliseconds(400));  // with the margin
}

TEST_CASE("a limit whose window is a day flows back over a day") {
  // 200 a day, 10 left: 7.2 minutes each.
  RateLimiter limiter =
      Told({.requests = Reading(200, 10, Duration(seconds(190 * 432))), .tokens = {}});
  CHECK(SendAll(&limiter, 1, kStart) >= 9);
  CHECK(SendAll(&limiter, 1, kStart + seconds(100)) <= 1);
  CHECK(limiter.ReadyAt(kModel, 1, kStart + seconds(100)) > kStart + minutes(2));
}

TEST_CASE("a nonsense reset does not choke the endpoint") {
  RateLimiter limiter = Told({.requests = Reading(600, 599, hours(24)), .tokens = {}});
  CHECK(SendAll(&limiter, 1, kStart) >= 20);
  CHECK(SendAll(&limiter, 1, kStart + minutes(2)) >= 20);
}

TEST_CASE("a server that holds less than a minute's worth") {
  // 600 a minute in a bucket of 10.
  RateLimiter limiter = Told({.requests = Reading(600, 9, milliseconds(100)), .tokens = {}});
  CHECK(SendAll(&limiter, 1, kStart + hours(1)) <= 10);
}

TEST_CASE("a full budget is not spent in one instant") {
  RateLimiter limiter = Told({.requests = Reading(600, 599, milliseconds(100)), .tokens = {}});
  CHECK(SendAll(&limiter, 1, kStart + minutes(1)) <= 60);
  int sent = 0;
  for (int ms = 0; ms < 20000; ms += 100) {
    sent += SendAll(&limiter, 1, kStart + minutes(1) + milliseconds(ms));
  }
  CHECK(sent > 600);  // within twenty seconds it is
}

TEST_CASE("tokens: a call larger than the whole budget waits for a full one") {
  RateLimiter limiter = Told({.requests = {}, .tokens = Reading(1000, 500, seconds(30))});
  const TimePoint ready = limiter.ReadyAt(kModel, 5000, kStart);
  CHECK(ready >= kStart + seconds(29));
  CHECK(ready <= kStart + seconds(31));
}

TEST_CASE("an older head does not undo what a newer one told") {
  RateLimiter limiter({}, kStart);
  RateLimiter::Ticket older = limiter.Take(kModel, 1, kStart);
  RateLimiter::Ticket newer = limiter.Take(kModel, 1, kStart + seconds(1));
  limiter.OnHead(&newer, {.requests = Reading(60, 2, seconds(58)), .tokens = {}},
                 kStart + seconds(2));
  limiter.OnHead(&older, {.requests = Reading(60, 59, seconds(1)), .tokens = {}},
                 kStart + seconds(2));
  CHECK(SendAll(&limiter, 1, kStart + seconds(2)) <= 3);
}

TEST_CASE("another client on the same limit shows in the next head") {
  RateLimiter limiter = Told({.requests = Reading(60, 59, seconds(1)), .tokens = {}});
  RateLimiter::Ticket ticket = limiter.Take(kModel, 1, kStart);
  limiter.OnHead(&ticket, {.requests = Reading(60, 1, seconds(59)), .tokens = {}}, kStart);
  CHECK(SendAll(&limiter, 1, kStart) <= 1);
}

TEST_CASE("unused tokens come back") {
  RateLimiter limiter({.rpm = std::nullopt, .tpm = 1000}, kStart);
  RateLimiter::Ticket ticket = limiter.Take(kModel, 900, kStart);
  CHECK(limiter.ReadyAt(kModel, 500, kStart) > kStart);
  SUBCASE("when the call has ended") {
    limiter.End(&ticket, 100, kStart);
    CHECK(limiter.ReadyAt(kModel, 500, kStart) == kStart);
  }
  SUBCASE("not when nobody knows what it cost") {
    limiter.End(&ticket, std::nullopt, kStart);
    CHECK(limiter.ReadyAt(kModel, 500, kStart) > kStart);
  }
  SUBCASE("not from a server that refuses nevertheless") {
    RateLimiter::Ticket refused = limiter.Take(kModel, 50, kStart);
    limiter.OnRefused(&refused, LimitKind::kTokens, {}, std::nullopt, kStart);
    limiter.End(&refused, std::nullopt, kStart);
    limiter.End(&ticket, 100, kStart);
    CHECK(limiter.ReadyAt(kModel, 500, kStart) > kStart);
  }
}

TEST_CASE("never before the server's word") {
  RateLimiter limiter = Told({.requests = Reading(600, 500, seconds(10)), .tokens = {}});
  RateLimiter::Ticket ticket = limiter.Take(kModel, 1, kStart);
  limiter.OnRefused(&ticket, LimitKind::kUnknown, {}, seconds(7), kStart);
  limiter.End(&ticket, std::nullopt, kStart);
  CHECK(limiter.ReadyAt(kModel, 1, kStart) >= kStart + seconds(7));
  CHECK(limiter.ReadyAt(kModel, 1, kStart) <= kStart + seconds(8));
  CHECK(limiter.ReadyAfter(kModel, 0, 0, 1, kStart) >= kStart + seconds(7));
  CHECK(limiter.ReadyAt("another", 1, kStart) == kStart);
}

TEST_CASE("a refusal that the head explains holds nothing back for long") {
  RateLimiter limiter = Told({.requests = Reading(600, 599, milliseconds(100)), .tokens = {}});
  RateLimiter::Ticket ticket = limiter.Take(kModel, 1, kStart);
  limiter.OnRefused(&ticket, LimitKind::kRequests,
                    {.requests = Reading(600, 0, minutes(1)), .tokens = {}}, std::nullopt, kStart);
  limiter.End(&ticket, std::nullopt, kStart);
  CHECK_FALSE(limiter.Look(kStart).smooth);
  CHECK(SendAll(&limiter, 1, kStart + seconds(5)) >= 20);
}

TEST_CASE("a refusal that nothing explains: no bursts, and less of them if it goes on") {
  RateLimiter limiter = Told({.requests = Reading(600, 599, milliseconds(100)), .tokens = {}});
  const auto refuse = [&limiter](TimePoint now) {
    RateLimiter::Ticket ticket = limiter.Take(kModel, 1, now);
    limiter.OnRefused(&ticket, LimitKind::kRequests,
                      {.requests = Reading(600, 400, seconds(20)), .tokens = {}}, std::nullopt,
                      now);
    limiter.End(&ticket, std::nullopt, now);
  };
  const auto sent_in = [&limiter](TimePoint from, Duration time) {
    int sent = 0;
    for (Duration d{}; d < time; d += milliseconds(10)) sent += SendAll(&limiter, 1, from + d);
    return sent;
  };
  refuse(kStart);
  CHECK(limiter.Look(kStart).smooth);
  const int first = sent_in(kStart + seconds(1), minutes(1));
  CHECK(first <= 585);
  CHECK(first >= 540);  // looked at every 10 ms
  TimePoint now = kStart + seconds(62);
  for (int i = 0; i < 5; ++i) refuse(now += seconds(1));
  // A refusal takes a twentieth.
  const int second = sent_in(now + seconds(1), seconds(10));
  CHECK(second <= 85);
  CHECK(second >= 20);
  CHECK_FALSE(limiter.Look(now + minutes(11)).smooth);
  CHECK(SendAll(&limiter, 1, now + minutes(12)) >= 20);
}

TEST_CASE("the place in the queue tells when a call may start") {
  RateLimiter limiter = Told({.requests = Reading(60, 0, minutes(1)), .tokens = {}});
  CHECK(limiter.ReadyAfter(kModel, 29, 0, 1, kStart) == kStart + seconds(30));
  CHECK(limiter.ReadyAfter("another", 1000, 1000, 1000, kStart) == kStart);
}

TEST_CASE("models that come and go do not fill the memory") {
  RateLimiter limiter({}, kStart);
  RateLimiter::Ticket kept = limiter.Take("kept", 1, kStart);
  for (int i = 0; i < 10000; ++i) {
    RateLimiter::Ticket ticket = limiter.Take("model-" + std::to_string(i), 1, kStart);
    limiter.OnHead(&ticket, {}, kStart);
    limiter.End(&ticket, 1, kStart);
  }
  limiter.OnHead(&kept, {.requests = Reading(60, 0, minutes(1)), .tokens = {}}, kStart);
  CHECK(limiter.ReadyAt("kept", 1, kStart) > kStart);
}

}  // namespace
}  // namespace postgen
