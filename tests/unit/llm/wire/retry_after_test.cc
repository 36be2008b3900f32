#include "llm/wire/retry_after.h"

#include <chrono>
#include <optional>
#include <string_view>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;

// Sun, 06 Nov 1994 08:49:37 GMT
const WallTime kNow = WallTime(std::chrono::seconds(784111777));

std::optional<milliseconds> Parse(RetryHeaders headers) { return ParseRetryAfter(headers, kNow); }

TEST_CASE("retry-after in every form") {
  struct {
    std::string_view value;
    std::optional<milliseconds> wait;
  } const cases[] = {
      {"1", milliseconds(1000)},
      {"0.5", milliseconds(500)},
      {"120", milliseconds(120000)},
      {"121", milliseconds(121000)},
      {"1e30", std::chrono::hours(24)},
      {"Sun, 06 Nov 1994 08:49:47 GMT", milliseconds(10000)},
      {"Sun, 06 Nov 1994 08:49:37 GMT", std::nullopt},  // now
      {"Sun, 06 Nov 1994 08:49:27 GMT", std::nullopt},  // past
      {"", std::nullopt},
      {"0", std::nullopt},
      {"-1", std::nullopt},
      {"nan", std::nullopt},
      {"inf", std::nullopt},
      {"1e999", std::nullopt},
      {"soon", std::nullopt},
      {"1 s", std::nullopt},
      {" 1", std::nullopt},
      {"0x10", std::nullopt},
      {"Fri, 31 Dec 0227 23:59:59 GMT", std::nullopt},  // before all that nanoseconds can tell
      {"Fri, 31 Dec 9999 23:59:59 GMT", std::nullopt},
      {"Sun, 31 Feb 1994 08:49:37 GMT", std::nullopt},
      {"Sun, 06 Nov 2094 25:49:37 GMT", std::nullopt},
      {"Sun, 06 Nov 2094 08:49:37 UTC", std::nullopt},
      {"Sun, 06 Foo 2094 08:49:37 GMT", std::nullopt},
      {"Sun, 0- Nov 2094 08:49:37 GMT", std::nullopt},
  };
  for (const auto& c : cases) {
    CAPTURE(c.value);
    CHECK(Parse({.retry_after = c.value}) == c.wait);
  }
}

TEST_CASE("milliseconds go first, Azure's second, and nonsense is passed over") {
  CHECK(Parse({.retry_after_ms = "250", .x_ms_retry_after_ms = "300", .retry_after = "9"}) ==
        milliseconds(250));
  CHECK(Parse({.x_ms_retry_after_ms = "300", .retry_after = "9"}) == milliseconds(300));
  CHECK(Parse({.retry_after_ms = "-3", .x_ms_retry_after_ms = "x", .retry_after = "9"}) ==
        milliseconds(9000));
  CHECK(Parse({}) == std::nullopt);
}

TEST_CASE("a date is read by the server's own clock where it shows it") {
  CHECK(Parse({.retry_after = "Sun, 06 Nov 1994 09:00:05 GMT",
               .date = "Sun, 06 Nov 1994 09:00:00 GMT"}) == milliseconds(5000));
}

TEST_CASE("x-should-retry") {
  CHECK(ParseShouldRetry("true") == true);
  CHECK(ParseShouldRetry("false") == false);
  CHECK(ParseShouldRetry("") == std::nullopt);
  CHECK(ParseShouldRetry("True") == std::nullopt);
}

}  // namespace
}  // namespace postgen
