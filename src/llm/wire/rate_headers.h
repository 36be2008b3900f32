// What a server says of its limits: the x-ratelimit headers and the words of a 429.
#ifndef POSTGEN_SRC_LLM_WIRE_RATE_HEADERS_H_
#define POSTGEN_SRC_LLM_WIRE_RATE_HEADERS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "llm/wire/provider_error.h"
#include "postgen/types.h"

namespace postgen {

// One limit, of requests or of tokens; what is absent or nonsense was not said. `reset` is the time
// until the limit is whole again, not until the next call fits.
struct RateReading {
  std::optional<std::int64_t> limit;
  std::optional<std::int64_t> remaining;
  std::optional<Duration> reset;

  friend bool operator==(const RateReading&, const RateReading&) = default;
};

struct RateReadings {
  RateReading requests;
  RateReading tokens;
};

// Which limit a 429 is about.
enum class LimitKind { kUnknown, kRequests, kTokens };
LimitKind LimitOf(const ProviderError& error);

// Values of x-ratelimit-{limit,remaining,reset}-...; empty: not there. `now` is for servers that
// give the reset as seconds since 1970.
RateReading ParseRateReading(std::string_view limit, std::string_view remaining,
                             std::string_view reset, WallTime now);

// "6m0s", "1h2m3.5s", "20ms" (Go's durations, units in any order) or plain seconds; at most 24 h.
// Nothing for a negative one or for what is no duration.
std::optional<Duration> ParseRateDuration(std::string_view text);

// The wait in "... Please try again in 1.2s. ...".
std::optional<Duration> FindTryAgain(std::string_view message);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_RATE_HEADERS_H_
