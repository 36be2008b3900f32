// Any bytes as a reply's headers: waits are positive and bounded, dates lie where they can be
// reckoned with, heads are bounded, and the same for every cut into lines that libcurl may make.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "llm/transport/reply_head.h"
#include "llm/wire/rate_headers.h"
#include "llm/wire/retry_after.h"
#include "llm/wire/safe_word.h"

namespace postgen {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

const WallTime kNow = WallTime() + hours(24 * 365 * 56);

void CheckWait(const std::optional<milliseconds>& wait) {
  if (!wait) return;
  REQUIRE_THAT(*wait > milliseconds(0));
  REQUIRE_THAT(*wait <= hours(24));
}

void CheckDuration(const std::optional<Duration>& duration) {
  if (!duration) return;
  REQUIRE_THAT(*duration >= Duration::zero());
  REQUIRE_THAT(*duration <= hours(24));
}

void CheckValue(std::string_view value) {
  CheckWait(ParseRetryAfter({.retry_after_ms = value}, kNow));
  CheckWait(ParseRetryAfter({.x_ms_retry_after_ms = value}, kNow));
  CheckWait(ParseRetryAfter({.retry_after = value}, kNow));
  CheckWait(ParseRetryAfter({.retry_after = "Sun, 06 Nov 1994 08:49:37 GMT", .date = value}, kNow));
  ParseShouldRetry(value);
  CheckDuration(ParseRateDuration(value));
  CheckDuration(FindTryAgain(value));
  const RateReading reading = ParseRateReading(value, value, value, kNow);
  REQUIRE_THAT(!reading.limit || *reading.limit >= 0);
  REQUIRE_THAT(!reading.remaining || *reading.remaining >= 0);
  CheckDuration(reading.reset);
  const std::string word = SafeWord(value);
  REQUIRE_THAT(word.empty() || word == value);
  REQUIRE_THAT(word.find_first_of(" \t\r\n\"'<>{}") == std::string::npos);
}

void CheckHead(std::string_view head) {
  ReplyHead reply;
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    const std::string_view line =
        head.substr(0, end == std::string_view::npos ? head.size() : end + 1);
    head.remove_prefix(line.size());
    if (reply.Push(line) == ReplyHead::Line::kTooLarge) return;
    if (!reply.complete()) continue;
    for (const std::string_view name : {"", "a", "content-type", "retry-after"}) {
      REQUIRE_THAT(reply.head().Find(name).find('\n') == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace postgen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  postgen::CheckValue(bytes);
  postgen::CheckHead(bytes);
  return 0;
}
