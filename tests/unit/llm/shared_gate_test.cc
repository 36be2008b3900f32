// The gate over others that answer when the test says, in virtual time.
#include "llm/shared_gate.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/manual_executor.h"
#include "unit/llm/held_limits.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Grant;
using testing::HeldLimits;

constexpr std::size_t kRequests = 0;
constexpr std::size_t kTokens = 1;

struct Fixture {
  ManualExecutor executor;
  RateLimiter limiter{{}, executor.Now()};
  HeldLimits others;
  int changes = 0;
  SharedGate gate{"key", &others, &limiter, &executor, [this] { ++changes; }};

  bool Ready() { return gate.ReadyAt("m", 100, executor.Now()) <= executor.Now(); }
  void AskFor(std::size_t calls) { gate.AskFor("m", std::vector<std::int64_t>(calls, 100)); }
  SharedGate::Ticket Send() {
    REQUIRE(Ready());
    return gate.Take("m", 100);
  }
};

TEST_CASE("who waits is asked for together, and sends what was granted") {
  Fixture f;
  CHECK(f.gate.ReadyAt("m", 100, f.executor.Now()) == TimePoint::max());
  f.AskFor(3);
  f.AskFor(3);  // it has asked
  REQUIRE(f.others.asks.size() == 1);
  CHECK(f.others.asks[0].calls.size() == 3);
  SharedAnswer answer = Grant(2);
  answer.wait = milliseconds(100);
  f.others.callbacks[0](answer);
  CHECK(f.changes == 1);
  f.Send();
  f.Send();
  CHECK_FALSE(f.Ready());
  CHECK(f.gate.ReadyAt("m", 100, f.executor.Now()) == f.executor.Now() + milliseconds(100));
  f.AskFor(1);  // not before that
  CHECK(f.others.asks.size() == 1);
  f.executor.Advance(milliseconds(100));
  f.AskFor(1);
  CHECK(f.others.asks.size() == 2);
}

TEST_CASE("the wait of a large call is not that of smaller ones") {
  Fixture f;
  f.gate.AskFor("m", {50, 1000, 100});
  SharedAnswer answer = Grant(1);
  answer.wait = seconds(36);
  f.others.callbacks[0](answer);
  f.gate.Take("m", 50);
  const TimePoint now = f.executor.Now();
  CHECK(f.gate.ReadyAt("m", 1000, now) == now + seconds(36));
  CHECK(f.gate.ReadyAt("m", 1001, now) == now + seconds(36));
  // Soon it may be asked for instead.
  CHECK(f.gate.ReadyAt("m", 999, now) == now + SharedGate::kMostWait);
}

TEST_CASE("what was granted and is not used goes back") {
  Fixture f;
  f.AskFor(3);
  f.others.callbacks[0](Grant(3));
  f.Send();
  f.executor.Advance(SharedGate::kKeep);
  REQUIRE(f.others.asks.size() == 2);
  CHECK(f.others.asks[1].debts[kRequests] == -2);
  CHECK(f.others.asks[1].debts[kTokens] == -200);
}

TEST_CASE("where there is plenty a call leaves at once and is told afterwards") {
  Fixture f;
  f.AskFor(1);
  f.others.callbacks[0](Grant(1, 500));
  f.Send();
  f.Send();                // on account
  CHECK_FALSE(f.Ready());  // a tenth of a second's worth is one call
  f.executor.Advance(SharedGate::kKeep);
  REQUIRE(f.others.asks.size() == 2);
  CHECK(f.others.asks[1].debts[kRequests] == 1);
  CHECK(f.others.asks[1].calls.empty());
}

TEST_CASE("an answer that does not come holds a call up for 20 ms, and then there is the share") {
  Fixture f;
  f.AskFor(1);
  f.others.callbacks[0](Grant(1, 400));  // a quarter of it is 100
  f.Send();
  f.executor.Advance(seconds(2));
  REQUIRE_FALSE(f.Ready());
  f.AskFor(1);
  f.executor.Advance(SharedGate::kAnswerLimit - milliseconds(1));
  CHECK_FALSE(f.Ready());
  f.executor.Advance(milliseconds(1));
  CHECK(f.gate.away());
  int sent = 0;
  for (; f.Ready(); ++sent) f.gate.Take("m", 100);
  CHECK(sent >= 95);
  CHECK(sent <= 105);
  // 2.5 requests a second flow back to each of four.
  f.executor.Advance(seconds(4));
  sent = 0;
  for (; f.Ready(); ++sent) f.gate.Take("m", 100);
  CHECK(sent >= 9);
  CHECK(sent <= 11);

  SUBCASE("an answer that is late brings it back") {
    f.others.callbacks.back()(Grant(1));
    CHECK_FALSE(f.gate.away());
    CHECK(f.Ready());
  }
  SUBCASE("one that says that nobody is there does not") {
    f.others.callbacks.back()(SharedAnswer());
    CHECK(f.gate.away());
    f.executor.Advance(SharedGate::kRetry);
    const std::size_t asks = f.others.asks.size();
    f.AskFor(1);
    REQUIRE(f.others.asks.size() == asks + 1);
    CHECK(f.others.asks.back().returning);
    CHECK(f.others.asks.back().calls.empty());  // nobody waits for it
    f.others.callbacks.back()(Grant(0));
    CHECK_FALSE(f.gate.away());
  }
}

TEST_CASE("that one model's others are away says nothing of the next one's") {
  Fixture f;
  f.AskFor(1);
  f.executor.Advance(SharedGate::kAnswerLimit);
  CHECK(f.gate.away("m"));
  CHECK(f.gate.away());
  CHECK_FALSE(f.gate.away("n"));
  f.gate.AskFor("n", {100});
  f.others.callbacks[1](Grant(1));
  CHECK_FALSE(f.gate.away());  // they have answered since
  CHECK(f.gate.away("m"));     // and are asked again when it is used
}

TEST_CASE("models that nobody uses are forgotten when there are too many") {
  Fixture f;
  f.AskFor(1);
  f.others.callbacks[0](Grant(1, 500));
  f.Send();
  f.executor.Advance(SharedGate::kKeep);
  REQUIRE(f.Ready());  // there is plenty, as it remembers
  const auto use = [&f](int first, int last) {
    for (int i = first; i < last; ++i) {
      f.gate.ReadyAt("made up " + std::to_string(i), 1, f.executor.Now());
    }
  };
  use(1, 256);
  CHECK(f.Ready());
  SUBCASE("idle") {
    use(256, 257);
    CHECK_FALSE(f.Ready());
  }
  SUBCASE("with an account to settle") {
    f.Send();
    use(256, 257);
    CHECK(f.gate.ReadyAt("m", 1000000000, f.executor.Now()) == TimePoint::max());
    f.executor.Advance(SharedGate::kKeep);
    REQUIRE(f.others.asks.size() == 2);
    CHECK(f.others.asks[1].debts[kRequests] == 1);
  }
}

TEST_CASE("heads and refusals are told to the others") {
  Fixture f;
  f.AskFor(1);
  f.others.callbacks[0](Grant(1));
  auto ticket = f.limiter.Take("m", 100, f.executor.Now());
  const SharedGate::Ticket shared = f.Send();
  f.executor.Advance(milliseconds(300));
  RateReadings readings;
  readings.requests.limit = 600;
  readings.requests.remaining = 7;
  f.limiter.OnHead(&ticket, readings, f.executor.Now());
  f.gate.OnHead(shared, "m", readings);
  REQUIRE(f.others.heads.size() == 1);
  CHECK(f.others.heads[0].remaining[kRequests] == 7);
  CHECK_FALSE(f.others.heads[0].remaining[kTokens].has_value());
  CHECK(f.others.heads[0].totals[kRequests] == 100);
  CHECK(f.others.heads[0].age == milliseconds(300));
  CHECK(f.others.heads[0].limits[kRequests].per_second == 10);

  f.gate.OnRefused(shared, "m", LimitKind::kRequests, readings, seconds(3), 100);
  REQUIRE(f.others.heads.size() == 2);
  CHECK(f.others.heads[1].hold == seconds(3));
  CHECK(f.others.heads[1].refused[kRequests]);  // seven were left
  CHECK_FALSE(f.others.heads[1].refused[kTokens]);
  f.limiter.End(&ticket, std::nullopt, f.executor.Now());
}

}  // namespace
}  // namespace postgen
