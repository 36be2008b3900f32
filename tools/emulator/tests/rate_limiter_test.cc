#include <doctest/doctest.h>

#include <string>

#include "rate_limiter.h"

using namespace emulator;

namespace {

std::string Header(const HeaderList& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

RateLimiter Limiter(RateLimiter::Limits limits, TimePoint now) {
  RateLimiter limiter;
  limiter.Configure(limits, now);
  return limiter;
}

}  // namespace

TEST_CASE("requests a minute: a full bucket, then its rate") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({.rpm = 60, .burst_s = 3}, now);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(limiter.Admit("m", 10, now));
  auto refused = limiter.Admit("m", 10, now);
  REQUIRE(refused);
  CHECK(refused->status == 429);
  CHECK(refused->type == "requests");
  CHECK(refused->code == "rate_limit_exceeded");
  CHECK(Header(refused->headers, "retry-after") == "1");
  CHECK(Header(refused->headers, "retry-after-ms") == "1000");
  CHECK(limiter.Admit("m", 10, now + std::chrono::milliseconds(990)));
  CHECK_FALSE(limiter.Admit("m", 10, now + std::chrono::milliseconds(1001)));
}

TEST_CASE("tokens a minute are reserved, and given back") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({.tpm = 6000, .burst_s = 60}, now);
  CHECK_FALSE(limiter.Admit("m", 5000, now));
  auto refused = limiter.Admit("m", 2000, now);
  REQUIRE(refused);
  CHECK(refused->type == "tokens");
  CHECK(Header(refused->headers, "retry-after-ms") == "10000");
  limiter.GiveBackTokens(4000, now);
  CHECK_FALSE(limiter.Admit("m", 2000, now));
}

TEST_CASE("a call larger than the bucket gets in when the bucket is full") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({.tpm = 600, .burst_s = 1}, now);
  CHECK_FALSE(limiter.Admit("m", 100, now));
  CHECK(limiter.Admit("m", 1, now + std::chrono::seconds(5)));
  CHECK_FALSE(limiter.Admit("m", 1, now + std::chrono::seconds(10)));
}

TEST_CASE("a call refused for its tokens counts as a request; draining can be asked for") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({.rpm = 2, .tpm = 100}, now);
  CHECK_FALSE(limiter.Admit("m", 100, now));
  CHECK(limiter.Admit("m", 100, now)->type == "tokens");
  CHECK(limiter.Admit("m", 1, now)->type == "requests");

  RateLimiter draining = Limiter({.rpm = 60, .burst_s = 1, .drain_on_refusal = true}, now);
  CHECK_FALSE(draining.Admit("m", 1, now));
  CHECK(draining.Admit("m", 1, now + std::chrono::milliseconds(900)));
  CHECK(draining.Admit("m", 1, now + std::chrono::milliseconds(1800)));
}

TEST_CASE("headers tell limit, remaining and the time until full") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({.rpm = 60, .tpm = 6000}, now);
  CHECK_FALSE(limiter.Admit("m", 1500, now));
  HeaderList headers = limiter.Headers(now);
  CHECK(Header(headers, "x-ratelimit-limit-requests") == "60");
  CHECK(Header(headers, "x-ratelimit-remaining-requests") == "59");
  CHECK(Header(headers, "x-ratelimit-reset-requests") == "1s");
  CHECK(Header(headers, "x-ratelimit-remaining-tokens") == "4500");
  CHECK(Header(headers, "x-ratelimit-reset-tokens") == "15s");
  RateLimiter off = Limiter({}, now);
  CHECK(off.Headers(now).empty());
  CHECK_FALSE(off.Admit("m", 1'000'000'000, now));
}

TEST_CASE("a limit that is set later starts full; a change keeps the level") {
  TimePoint now = Clock::now();
  RateLimiter limiter = Limiter({}, now);
  limiter.Configure({.rpm = 2}, now + std::chrono::hours(1));
  CHECK_FALSE(limiter.Admit("m", 1, now + std::chrono::hours(1)));
  CHECK_FALSE(limiter.Admit("m", 1, now + std::chrono::hours(1)));
  limiter.Configure({.rpm = 3}, now + std::chrono::hours(1));
  CHECK(limiter.Admit("m", 1, now + std::chrono::hours(1)));
}

TEST_CASE("Go durations") {
  using namespace std::chrono_literals;
  CHECK(GoDuration(0s) == "0s");
  CHECK(GoDuration(-5s) == "0s");
  CHECK(GoDuration(1us) == "1ms");
  CHECK(GoDuration(120ms) == "120ms");
  CHECK(GoDuration(1s) == "1s");
  CHECK(GoDuration(1500ms) == "1.5s");
  CHECK(GoDuration(1007ms) == "1.007s");
  CHECK(GoDuration(6min) == "6m0s");
  CHECK(GoDuration(252172ms) == "4m12.172s");
  CHECK(GoDuration(23h + 18min + 29s + 144ms) == "23h18m29.144s");
}
