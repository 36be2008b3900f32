#include "rate_limiter.h"

#include <algorithm>
#include <cmath>

#include "numbers.h"

namespace emulator {
namespace {

ApiError LimitError(std::string_view model, std::string_view what, std::string_view type,
                    std::int64_t limit, std::int64_t used, std::int64_t requested, Duration wait) {
  ApiError error;
  error.status = 429;
  error.type = type;
  error.code = "rate_limit_exceeded";
  error.message = "Rate limit reached for " + std::string(model) +
                  " in organization org-emulator on " + std::string(what) + ": Limit " +
                  ToText(limit) + ", Used " + ToText(used) + ", Requested " + ToText(requested) +
                  ". Please try again in " + GoDuration(wait) + ".";
  auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(wait);
  auto wait_s = std::chrono::ceil<std::chrono::seconds>(wait);
  error.headers = {{"retry-after", ToText(wait_s.count())},
                   {"retry-after-ms", ToText(wait_ms.count())}};
  return error;
}

void AddHeaders(const TokenBucket& bucket, const std::string& what, HeaderList& headers) {
  if (!bucket.on()) return;
  headers.emplace_back("x-ratelimit-limit-" + what, ToText(bucket.per_minute()));
  headers.emplace_back("x-ratelimit-remaining-" + what, ToText(bucket.Remaining()));
  headers.emplace_back("x-ratelimit-reset-" + what, GoDuration(bucket.UntilFull()));
}

}  // namespace

void TokenBucket::Configure(std::int64_t per_minute, double burst_s, TimePoint now) {
  Refill(now);
  bool was_full = !on() || level_ >= capacity_;
  per_minute_ = per_minute;
  per_second_ = static_cast<double>(per_minute) / 60;
  capacity_ = std::max(1.0, per_second_ * burst_s);
  level_ = was_full ? capacity_ : std::min(level_, capacity_);
}

void TokenBucket::Refill(TimePoint now) {
  double seconds = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  level_ = std::min(capacity_, level_ + seconds * per_second_);
}

bool TokenBucket::Has(double amount) const {
  // Refilling adds fractions; a hair less than enough is enough.
  constexpr double kTolerance = 1e-6;
  return !on() || level_ + kTolerance >= std::min(amount, capacity_);
}

void TokenBucket::GiveBack(double amount) { level_ = std::min(capacity_, level_ + amount); }

void TokenBucket::Drain() { level_ = std::min(level_, 0.0); }

Duration TokenBucket::Until(double amount) const {
  double missing = std::min(amount, capacity_) - level_;
  if (!on() || missing <= 0) return Duration::zero();
  return FromMs(missing / per_second_ * 1000);
}

std::int64_t TokenBucket::Remaining() const {
  return static_cast<std::int64_t>(std::floor(std::max(0.0, level_)));
}

void RateLimiter::Configure(const Limits& limits, TimePoint now) {
  limits_ = limits;
  requests_.Configure(limits.rpm, limits.burst_s, now);
  tokens_.Configure(limits.tpm, limits.burst_s, now);
}

std::optional<ApiError> RateLimiter::Admit(std::string_view model, std::int64_t tokens,
                                           TimePoint now) {
  requests_.Refill(now);
  tokens_.Refill(now);
  if (!requests_.Has(1)) {
    if (limits_.drain_on_refusal) requests_.Drain();
    std::int64_t limit = requests_.per_minute();
    return LimitError(model, "requests per min (RPM)", "requests", limit,
                      limit - requests_.Remaining(), 1, requests_.Until(1));
  }
  requests_.Take(1);
  double amount = static_cast<double>(tokens);
  if (!tokens_.Has(amount)) {
    std::int64_t limit = tokens_.per_minute();
    return LimitError(model, "tokens per min (TPM)", "tokens", limit, limit - tokens_.Remaining(),
                      tokens, tokens_.Until(amount));
  }
  tokens_.Take(amount);
  return std::nullopt;
}

void RateLimiter::GiveBackTokens(std::int64_t tokens, TimePoint now) {
  tokens_.Refill(now);
  tokens_.GiveBack(static_cast<double>(tokens));
}

HeaderList RateLimiter::Headers(TimePoint now) {
  requests_.Refill(now);
  tokens_.Refill(now);
  HeaderList headers;
  AddHeaders(requests_, "requests", headers);
  AddHeaders(tokens_, "tokens", headers);
  return headers;
}

std::string GoDuration(Duration duration) {
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (ms <= 0) return "0s";
  if (ms < 1000) return ToText(ms) + "ms";
  std::string text;
  if (ms >= 3'600'000) text += ToText(ms / 3'600'000) + "h";
  if (ms >= 60'000) text += ToText(ms / 60'000 % 60) + "m";
  text += ToText(ms / 1000 % 60);
  if (std::int64_t rest = ms % 1000; rest > 0) {
    std::string digits = ToText(1000 + rest).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return text + "s";
}

}  // namespace emulator
