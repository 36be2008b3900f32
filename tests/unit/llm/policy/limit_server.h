// A provider that enforces its limits, in simulated time.
#ifndef POSTGEN_TESTS_UNIT_LLM_POLICY_LIMIT_SERVER_H_
#define POSTGEN_TESTS_UNIT_LLM_POLICY_LIMIT_SERVER_H_

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "llm/wire/rate_headers.h"
#include "postgen/types.h"

namespace postgen::testing {

using Seconds = std::chrono::duration<double>;

inline Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(Seconds(seconds));
}

// kSteady: `reset` is always a minute.
enum class Heads { kLive, kAbsent, kStale, kSteady };

struct Scenario {
  double rpm = 600;
  double tpm = 120000;
  double burst_s = 60;  // the server's buckets, in seconds of their rate
  double slice_s = 0;   // of this length, each with its share of the minute
  // Instead of a bucket: the whole limit anew with each of these, whose end is what `reset` tells.
  double window_s = 0;
  Heads heads = Heads::kLive;
  bool settles = false;     // the server gives unused tokens back
  double hidden_share = 0;  // of both limits, used by someone else
  bool configured = false;  // the options say the limits
  bool limiter = true;      // false: the mutant that sends whenever it can
  double seconds = 180;
  std::int64_t max_in_flight = 256;
  double ttft_s = 0.45;
};

struct Bucket {
  double per_second = 0;
  double capacity = 0;
  double level = 0;
  void Refill(double seconds) { level = std::min(capacity, level + per_second * seconds); }
};

// Enforces; knows nothing of the client.
class LimitServer {
 public:
  explicit LimitServer(const Scenario& scenario) : s_(scenario) {
    for (auto [bucket, limit] : {std::pair(&requests_, s_.rpm), std::pair(&tokens_, s_.tpm)}) {
      bucket->per_second = limit / 60;
      bucket->capacity = std::max(1.0, limit / 60 * s_.burst_s);
      bucket->level = bucket->capacity;
    }
  }

  // The limit that refuses, if any.
  std::optional<LimitKind> Admit(double at_s, double tokens) {
    Advance(at_s);
    if (s_.slice_s > 0) {
      const auto slice = static_cast<std::int64_t>(at_s / s_.slice_s);
      if (slice != slice_) slice_ = slice, in_slice_ = 0;
      if (in_slice_ + 1 > std::max(1.0, s_.rpm / 60 * s_.slice_s)) return LimitKind::kRequests;
      ++in_slice_;
    }
    if (requests_.level + 1e-6 < 1) return LimitKind::kRequests;
    requests_.level -= 1;  // failed calls count
    if (tokens_.level + 1e-6 < std::min(tokens, tokens_.capacity)) return LimitKind::kTokens;
    tokens_.level -= tokens;
    return std::nullopt;
  }
  void GiveBack(double at_s, double tokens) {
    Advance(at_s);
    if (s_.settles) tokens_.level = std::min(tokens_.capacity, tokens_.level + tokens);
  }
  // What a refusal says.
  Duration RetryAfter() const { return FromSeconds(s_.window_s > 0 ? UntilWindowEnds() : 0.1); }
  RateReadings Read() const {
    if (s_.heads == Heads::kAbsent) return {};
    const auto read = [this](const Bucket& bucket, double limit) {
      const double level = s_.heads == Heads::kStale ? bucket.capacity : bucket.level;
      RateReading reading;
      reading.limit = static_cast<std::int64_t>(limit);
      reading.remaining = static_cast<std::int64_t>(std::floor(std::max(0.0, level)));
      const double reset_s =
          s_.window_s > 0 ? UntilWindowEnds() : (bucket.capacity - level) / bucket.per_second;
      reading.reset = std::chrono::ceil<std::chrono::milliseconds>(
          Seconds(s_.heads == Heads::kSteady ? 60 : reset_s));
      return reading;
    };
    return {read(requests_, s_.rpm), read(tokens_, s_.tpm)};
  }

 private:
  double UntilWindowEnds() const { return s_.window_s - std::fmod(now_s_, s_.window_s); }
  void Advance(double at_s) {
    const double seconds = std::max(0.0, at_s - now_s_);
    const double before_s = std::exchange(now_s_, std::max(now_s_, at_s));
    if (s_.window_s > 0) {
      if (std::floor(before_s / s_.window_s) == std::floor(now_s_ / s_.window_s)) return;
      requests_.level = requests_.capacity;
      tokens_.level = tokens_.capacity;
      return;
    }
    requests_.Refill(seconds * (1 - s_.hidden_share));
    tokens_.Refill(seconds * (1 - s_.hidden_share));
  }

  const Scenario s_;
  Bucket requests_;
  Bucket tokens_;
  double now_s_ = 0;
  std::int64_t slice_ = -1;
  double in_slice_ = 0;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_UNIT_LLM_POLICY_LIMIT_SERVER_H_
