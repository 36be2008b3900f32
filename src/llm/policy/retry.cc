#include "llm/policy/retry.h"

#include <algorithm>
#include <random>

namespace postgen {
namespace {

// The server's wish is not shortened; on top of it, so that a fleet does not return at one instant.
constexpr double kServerDelayJitter = 0.1;

enum class Verdict { kNever, kOnce, kYes };

Verdict VerdictOn(Code code) {
  switch (code) {
    case Code::kRateLimited:
    case Code::kUpstream:
    case Code::kConnect:
    case Code::kTimeoutConnect:
    case Code::kTimeoutFirstToken:
    case Code::kTimeoutIdle:
    case Code::kTimeoutAttempt:
    case Code::kTruncated:
    case Code::kProtocol:
    case Code::kEncoding:
    case Code::kTooLarge: return Verdict::kYes;
    case Code::kDns: return Verdict::kOnce;
    default: return Verdict::kNever;
  }
}

bool IsFinal(Code code) {
  switch (code) {
    case Code::kAuth:
    case Code::kQuota:
    case Code::kTls:
    case Code::kDeadline:
    case Code::kCancelled: return true;
    default: return false;
  }
}

// Worth another attempt, if there are any left?
bool IsRetryable(const AttemptFailure& failure, const RetryHistory& history) {
  if (failure.text_delivered || IsFinal(failure.code)) return false;
  if (failure.should_retry) return *failure.should_retry;
  switch (VerdictOn(failure.code)) {
    case Verdict::kNever: return false;
    case Verdict::kOnce: return history.dns_failures <= 1;
    case Verdict::kYes: return true;
  }
  return false;
}

Duration Scale(Duration duration, double factor) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, Duration::period>(duration) * factor);
}

// Full jitter: anything up to the bound, which doubles with each retry.
Duration Backoff(std::int64_t retries_so_far, const RetryOptions& options, Rng* rng) {
  Duration bound = options.base_delay;
  for (std::int64_t i = 0; i < retries_so_far && bound < options.max_delay; ++i) bound *= 2;
  bound = std::min(bound, options.max_delay);
  return Scale(bound, std::uniform_real_distribution<double>(0, 1)(*rng));
}

Duration Delay(const AttemptFailure& failure, const RetryHistory& history,
               const RetryOptions& options, Rng* rng) {
  if (!failure.retry_after) return Backoff(history.attempts - 1, options, rng);
  const double jitter = std::uniform_real_distribution<double>(0, kServerDelayJitter)(*rng);
  return Scale(*failure.retry_after, 1 + jitter);
}

}  // namespace

std::optional<RetryDecision> DecideRetry(const AttemptFailure& failure, const RetryHistory& history,
                                         const RetryOptions& options, TimePoint now,
                                         TimePoint deadline, RetryBudget* budget, Rng* rng) {
  if (!IsRetryable(failure, history)) return std::nullopt;
  if (failure.stale_connection && !history.used_free_retry) {
    return RetryDecision{now, /*free=*/true, /*charged=*/0};
  }
  if (history.attempts >= options.max_attempts) return std::nullopt;
  if (failure.retry_after && *failure.retry_after > options.max_server_delay) return std::nullopt;
  const Duration delay = Delay(failure, history, options, rng);
  // Waiting for a retry that comes too late would only make the failure later.
  if (delay >= deadline - now) return std::nullopt;
  const int cost = budget->CostOf(failure.code, failure.broken_connection);
  if (!budget->Take(cost)) return std::nullopt;
  budget->Charged(failure.broken_connection);
  return RetryDecision{now + delay, /*free=*/false, cost};
}

}  // namespace postgen
