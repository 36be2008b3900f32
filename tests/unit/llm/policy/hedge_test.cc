#include "llm/policy/hedge.h"

#include <chrono>
#include <cstdint>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// A policy that has seen `count` calls whose first tokens took 100, 101, ... 199, 100, ... ms.
class Seen {
 public:
  explicit Seen(int count) {
    for (int i = 0; i < count; ++i) Call(milliseconds(100 + i % 100));
  }
  void Call(Duration after) {
    const std::uint64_t number = policy.OnSent(now);
    now += after;
    policy.OnFirstToken(number, now, after);
    policy.OnAttemptEnd(Code::kOk);
  }
  // One call that is late.
  bool Late() {
    const TimePoint sent = now;
    const std::uint64_t number = policy.OnSent(now);
    now += policy.Delay().value_or(seconds(1));
    const bool may = policy.MayHedge(now, now - sent);
    if (may) policy.OnHedge();
    policy.OnFirstToken(number, now, policy.Delay().value_or(seconds(1)));
    policy.OnAttemptEnd(Code::kOk);
    return may;
  }

  HedgePolicy policy;
  TimePoint now{std::chrono::hours(1)};
};

TEST_CASE("nothing is known before 40 first tokens, then the delay is 1.4 times their p95") {
  CHECK_FALSE(Seen(39).policy.Delay());
  CHECK_FALSE(Seen(39).Late());
  CHECK(Seen(40).policy.Delay() == std::chrono::microseconds(193200));  // of 100 to 139 ms: 138
  CHECK(Seen(200).policy.Delay() == std::chrono::microseconds(273000));
  CHECK(Seen(200).Late());
}

TEST_CASE("the delay follows what came last, and is never shorter than 100 ms") {
  Seen seen(400);
  for (int i = 0; i < 200; ++i) seen.Call(milliseconds(1));
  CHECK(seen.policy.Delay() == milliseconds(100));
}

TEST_CASE("second attempts are saved up from 3 % of the calls, ten at the most") {
  Seen few(60);
  CHECK(few.Late());
  for (int i = 0; i < 32; ++i) CHECK_FALSE(few.Late());

  Seen many(5000);
  int hedges = 0;
  for (int i = 0; i < 100; ++i) {
    if (many.Late()) ++hedges;
    for (int j = 0; j < 9; ++j) many.Call(milliseconds(100));
  }
  // Ten from before and three of each hundred, but for what a full account did not take.
  CHECK(hedges == 10 + 29);
}

TEST_CASE("off while many first tokens are late, on again when they are not") {
  Seen seen(2000);
  for (std::size_t i = 0; i < HedgePolicy::kMaxLate; ++i) CHECK(seen.Late());
  CHECK_FALSE(seen.Late());
  for (int i = 0; i < 40; ++i) seen.Call(milliseconds(110));
  CHECK(seen.Late());
}

TEST_CASE("calls that are late together are seen together") {
  for (const int together : {4, 5}) {
    Seen seen(2000);
    for (int i = 0; i < together; ++i) seen.policy.OnSent(seen.now);
    CHECK(seen.policy.MayHedge(seen.now + *seen.policy.Delay(), *seen.policy.Delay()) ==
          (together == 4));
  }
}

TEST_CASE("off while attempts fail by the server's trouble, and by nothing else") {
  for (const Code code : {Code::kRateLimited, Code::kUpstream, Code::kConnect,
                          Code::kTimeoutFirstToken, Code::kTruncated}) {
    Seen seen(2000);
    for (int i = 0; i < 2; ++i) seen.policy.OnAttemptEnd(code);
    CHECK(seen.Late());
    seen.policy.OnAttemptEnd(code);
    CHECK_FALSE(seen.Late());
    for (int i = 0; i < 50; ++i) seen.Call(milliseconds(110));
    CHECK(seen.Late());
  }
  for (const Code code : {Code::kRefused, Code::kAuth, Code::kProtocol, Code::kOk}) {
    Seen seen(2000);
    for (int i = 0; i < 10; ++i) seen.policy.OnAttemptEnd(code);
    CHECK(seen.Late());
  }
}

TEST_CASE("off while all are slower than they were of late; half an hour doubles what is usual") {
  Seen seen(2000);
  for (int i = 0; i < 300; ++i) seen.Call(milliseconds(310));
  CHECK_FALSE(seen.Late());
  seen.now += minutes(45);
  CHECK(seen.Late());
}

TEST_CASE("off where a first token takes seconds as a rule") {
  for (const int usual : {2900, 3100}) {
    Seen seen(0);
    for (int i = 0; i < 300; ++i) seen.Call(milliseconds(usual));
    CHECK(seen.Late() == (usual == 2900));
  }
}

TEST_CASE("a wait that we broke off counts if it was long") {
  Seen seen(200);
  for (int i = 0; i < 20; ++i) {
    seen.policy.OnGone(seen.policy.OnSent(seen.now), seen.now, milliseconds(10));
  }
  CHECK(seen.policy.Delay() == std::chrono::microseconds(273000));
  for (int i = 0; i < 20; ++i) {
    seen.policy.OnGone(seen.policy.OnSent(seen.now), seen.now, milliseconds(400));
  }
  CHECK(seen.policy.Delay() == milliseconds(560));
}

}  // namespace
}  // namespace postgen
