// What a server says about trying again.
#ifndef POSTGEN_SRC_LLM_WIRE_RETRY_AFTER_H_
#define POSTGEN_SRC_LLM_WIRE_RETRY_AFTER_H_

#include <chrono>
#include <optional>
#include <string_view>

#include "postgen/types.h"

namespace postgen {

// Values of the reply's headers; empty: not there.
struct RetryHeaders {
  std::string_view retry_after_ms = {};       // retry-after-ms
  std::string_view x_ms_retry_after_ms = {};  // x-ms-retry-after-ms (Azure)
  std::string_view retry_after = {};          // seconds, whole or not, or an HTTP date
  std::string_view should_retry = {};         // x-should-retry
  std::string_view date = {};                 // the server's clock, for a date in retry_after
};

// The first wish that can be read, in the order of the fields; always positive. Nonsense (negative,
// not a number, in the past) is as good as nothing. `now` serves where the server gave no date.
std::optional<std::chrono::milliseconds> ParseRetryAfter(const RetryHeaders& headers, WallTime now);

// The server's own verdict; std::nullopt: none.
std::optional<bool> ParseShouldRetry(std::string_view value);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, IMF-fixdate).
std::optional<WallTime> ParseHttpDate(std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_RETRY_AFTER_H_
