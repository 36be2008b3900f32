// Requests and tokens a minute as two token buckets. A call reserves its estimated tokens when it
// is accepted.
#ifndef POSTGEN_EMULATOR_RATE_LIMITER_H_
#define POSTGEN_EMULATOR_RATE_LIMITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api_error.h"
#include "clock.h"
#include "http_message.h"

namespace emulator {

// A bucket that holds `burst_s` seconds of its rate and is full at first.
class TokenBucket {
 public:
  // `per_minute` 0 turns the bucket off. A full bucket stays full, another keeps its level.
  void Configure(std::int64_t per_minute, double burst_s, TimePoint now);

  bool on() const { return per_minute_ > 0; }
  std::int64_t per_minute() const { return per_minute_; }

  void Refill(TimePoint now);

  // Whether `amount` may be taken. An amount larger than the bucket may be taken when it is full;
  // the level is then negative for a while.
  bool Has(double amount) const;
  void Take(double amount) { level_ -= amount; }
  void GiveBack(double amount);
  void Drain();

  // Time until Has(amount), and until the bucket is full.
  Duration Until(double amount) const;
  Duration UntilFull() const { return Until(capacity_); }
  std::int64_t Remaining() const;

 private:
  std::int64_t per_minute_ = 0;
  double per_second_ = 0;
  double capacity_ = 0;
  double level_ = 0;
  TimePoint refilled_{};
};

class RateLimiter {
 public:
  struct Limits {
    std::int64_t rpm = 0;
    std::int64_t tpm = 0;
    double burst_s = 60;
    bool drain_on_refusal = false;
  };

  void Configure(const Limits& limits, TimePoint now);

  // Takes one request and `tokens` tokens, or gives the 429 to answer with. A call refused for its
  // tokens still counts as a request.
  std::optional<ApiError> Admit(std::string_view model, std::int64_t tokens, TimePoint now);

  // Returns reserved tokens that were not used.
  void GiveBackTokens(std::int64_t tokens, TimePoint now);

  // x-ratelimit-{limit,remaining,reset}-{requests,tokens} for the limits that are on.
  HeaderList Headers(TimePoint now);

 private:
  Limits limits_;
  TokenBucket requests_;
  TokenBucket tokens_;
};

// As the API writes durations in headers: 0s, 120ms, 1.5s, 6m0s, 1h2m3s.
std::string GoDuration(Duration duration);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_RATE_LIMITER_H_
