#include "llm/policy/retry.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kNow = TimePoint(std::chrono::hours(1));

// Decides with a full budget and no deadline unless told otherwise.
struct Decider {
  RetryOptions options;
  RetryBudget budget;
  Rng rng{7};
  TimePoint deadline = TimePoint::max();

  std::optional<RetryDecision> operator()(const AttemptFailure& failure,
                                          RetryHistory history = {.attempts = 1}) {
    return DecideRetry(failure, history, options, kNow, deadline, &budget, &rng);
  }
};

TEST_CASE("what is worth another attempt") {
  struct {
    Code code;
    bool retried;
  } const cases[] = {
      {Code::kRateLimited, true}, {Code::kUpstream, true},       {Code::kConnect, true},
      {Code::kDns, true},         {Code::kTimeoutConnect, true}, {Code::kTimeoutFirstToken, true},
      {Code::kTimeoutIdle, true}, {Code::kTimeoutAttempt, true}, {Code::kTruncated, true},
      {Code::kProtocol, true},    {Code::kEncoding, true},       {Code::kTooLarge, true},
      {Code::kAuth, false},       {Code::kQuota, false},         {Code::kRefused, false},
      {Code::kTls, false},        {Code::kDeadline, false},      {Code::kCancelled, false},
      {Code::kNomem, false},      {Code::kInternal, false},      {Code::kInvalidRequest, false},
  };
  for (const auto& c : cases) {
    CAPTURE(CodeName(c.code));
    Decider decide;
    CHECK(decide({.code = c.code}).has_value() == c.retried);
    // Never after text reached the caller, and Retry-After does not make anything retryable.
    CHECK_FALSE(decide({.code = c.code, .text_delivered = true}).has_value());
    CHECK(decide({.code = c.code, .retry_after = seconds(1)}).has_value() == c.retried);
    CHECK_FALSE(decide({.code = c.code, .should_retry = false}).has_value());
  }
}

TEST_CASE("the server's verdict goes before the table, but not before key and money") {
  Decider decide;
  CHECK(decide({.code = Code::kRefused, .should_retry = true}).has_value());
  for (const Code code : {Code::kAuth, Code::kQuota, Code::kTls, Code::kCancelled}) {
    CAPTURE(CodeName(code));
    CHECK_FALSE(decide({.code = code, .should_retry = true}).has_value());
  }
}

TEST_CASE("attempts are bounded, and a name that does not resolve is tried once more") {
  Decider decide;
  CHECK(decide({.code = Code::kUpstream}, {.attempts = 3}).has_value());
  CHECK_FALSE(decide({.code = Code::kUpstream}, {.attempts = 4}).has_value());
  CHECK(decide({.code = Code::kDns}, {.attempts = 1, .dns_failures = 1}).has_value());
  CHECK_FALSE(decide({.code = Code::kDns}, {.attempts = 2, .dns_failures = 2}).has_value());
}

TEST_CASE("full jitter: anything up to a bound that doubles up to 20 s") {
  struct {
    std::int64_t attempts;
    Duration bound;
  } const cases[] = {
      {1, milliseconds(500)}, {2, seconds(1)},   {3, seconds(2)},     {6, seconds(16)},
      {7, seconds(20)},       {70, seconds(20)}, {1100, seconds(20)},
  };
  for (const auto& c : cases) {
    CAPTURE(c.attempts);
    Duration shortest = Duration::max();
    Duration longest = Duration::zero();
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
      Decider decide;
      decide.options.max_attempts = std::numeric_limits<std::int64_t>::max();
      decide.rng.seed(seed);
      const auto decision = decide({.code = Code::kUpstream}, {.attempts = c.attempts});
      REQUIRE(decision.has_value());
      shortest = std::min(shortest, decision->at - kNow);
      longest = std::max(longest, decision->at - kNow);
    }
    CHECK(shortest >= Duration::zero());
    CHECK(longest <= c.bound);
    // All of the range is used.
    CHECK(shortest < c.bound / 50);
    CHECK(longest > c.bound / 50 * 49);
  }
}

TEST_CASE("the server's wish is kept, with a little on top, up to two minutes") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Decider decide;
    decide.rng.seed(seed);
    const auto decision = decide({.code = Code::kRateLimited, .retry_after = seconds(120)});
    REQUIRE(decision.has_value());
    CHECK(decision->at >= kNow + seconds(120));
    CHECK(decision->at <= kNow + seconds(132));
  }
  Decider decide;
  CHECK_FALSE(
      decide({.code = Code::kRateLimited, .retry_after = milliseconds(120001)}).has_value());
  CHECK(decide.budget.tokens() == RetryBudget::kCapacity);
}

TEST_CASE("a retry that would come after the deadline fails now and takes nothing") {
  Decider decide;
  decide.deadline = kNow + seconds(1);
  CHECK_FALSE(decide({.code = Code::kRateLimited, .retry_after = seconds(1)}).has_value());
  CHECK(decide.budget.tokens() == RetryBudget::kCapacity);
  CHECK(decide({.code = Code::kRateLimited, .retry_after = milliseconds(100)}).has_value());
}

TEST_CASE("a stale connection is replaced once, at once and for free") {
  Decider decide;
  const AttemptFailure stale = {.code = Code::kConnect, .stale_connection = true};
  // Even the last attempt: it never reached anyone.
  const auto first = decide(stale, {.attempts = 4});
  REQUIRE(first.has_value());
  CHECK(first->free);
  CHECK(first->at == kNow);
  CHECK(decide.budget.tokens() == RetryBudget::kCapacity);
  const auto second = decide(stale, {.attempts = 1, .used_free_retry = true});
  REQUIRE(second.has_value());
  CHECK_FALSE(second->free);
}

TEST_CASE("the budget is charged, given back, and refuses when empty") {
  Decider decide;
  const auto upstream = decide({.code = Code::kUpstream});
  REQUIRE(upstream.has_value());
  CHECK(upstream->charged == 5);
  CHECK(decide({.code = Code::kTimeoutIdle})->charged == 10);
  CHECK(decide.budget.tokens() == 485);
  decide.budget.OnSuccess(10);
  CHECK(decide.budget.tokens() == 495);
  decide.budget.OnSuccess(0);
  CHECK(decide.budget.tokens() == 496);
  for (int i = 0; i < 99; ++i) CHECK(decide({.code = Code::kUpstream}).has_value());
  CHECK_FALSE(decide({.code = Code::kUpstream}).has_value());
  for (int i = 0; i < 10000; ++i) decide.budget.OnSuccess(5);
  CHECK(decide.budget.tokens() == RetryBudget::kCapacity);
}

TEST_CASE("the streams of a broken connection fail together and cost little more than one") {
  Decider decide;
  const AttemptFailure broken = {.code = Code::kConnect, .broken_connection = 7};
  for (int stream = 0; stream < 100; ++stream) CHECK(decide(broken).has_value());
  CHECK(decide.budget.tokens() == RetryBudget::kCapacity - 5 - 99);
  CHECK(decide({.code = Code::kUpstream})->charged == 5);
  CHECK(decide({.code = Code::kConnect, .broken_connection = 8})->charged == 5);
  CHECK(decide({.code = Code::kConnect})->charged == 5);
}

// Calls one after another against a provider that fails with `failure_rate`; the attempts made.
std::int64_t Simulate(std::uint64_t seed, int calls, double failure_rate, std::int64_t* failed) {
  Decider decide;
  decide.rng.seed(seed);
  std::bernoulli_distribution fails(failure_rate);
  std::int64_t attempts = 0;
  for (int call = 0; call < calls; ++call) {
    RetryHistory history;
    int charged = 0;
    for (;;) {
      ++attempts;
      ++history.attempts;
      if (!fails(decide.rng)) {
        decide.budget.OnSuccess(charged);
        break;
      }
      const auto decision = decide({.code = Code::kUpstream}, history);
      if (!decision) {
        ++*failed;
        break;
      }
      charged = decision->charged;
    }
  }
  return attempts;
}

TEST_CASE("an outage is not multiplied, a bad spell is survived") {
  double most = 0;
  double most_drained = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::int64_t failed = 0;
    // Full outage: the bucket pays for 100 retries, and then none.
    const std::int64_t half = Simulate(seed, 1000, 1.0, &failed);
    failed = 0;
    const std::int64_t whole = Simulate(seed, 2000, 1.0, &failed);
    CHECK(whole == 2100);
    most = std::max(most, static_cast<double>(whole) / 2000);
    most_drained = std::max(most_drained, static_cast<double>(whole - half) / 1000);
    CHECK(failed == 2000);
    // One in twenty fails: nearly every call gets through.
    failed = 0;
    const std::int64_t attempts = Simulate(seed, 2000, 0.05, &failed);
    CHECK(failed <= 2);
    CHECK(attempts < 2000 * 11 / 10);
  }
  MESSAGE("seeds 0..199: a full outage costs at most "
          << most << " requests a call over 2,000 calls, " << most_drained
          << " once the retry budget is spent");
  CHECK(most_drained <= 1.1);
}

}  // namespace
}  // namespace postgen
