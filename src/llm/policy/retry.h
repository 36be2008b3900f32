// Whether a failed attempt is followed by another one, and when: a pure decision, so that it is
// tested by simulation.
#ifndef POSTGEN_SRC_LLM_POLICY_RETRY_H_
#define POSTGEN_SRC_LLM_POLICY_RETRY_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "llm/policy/retry_budget.h"
#include "postgen/error.h"
#include "postgen/types.h"
#include "runtime/random.h"

namespace postgen {

struct RetryOptions {
  std::int64_t max_attempts = 4;
  Duration base_delay = std::chrono::milliseconds(500);  // doubled with each retry ...
  Duration max_delay = std::chrono::seconds(20);         // ... up to this
  // A server that asks for more patience than this is not asked again.
  Duration max_server_delay = std::chrono::seconds(120);
};

// One attempt that failed.
struct AttemptFailure {
  Code code = Code::kInternal;
  std::optional<bool> should_retry =
      {};  // the server's or the client's own verdict, over the table
  std::optional<Duration> retry_after = {};  // the server's wish
  // A connection that had been idle broke before any byte of a reply: the server had closed it,
  // which says nothing about the server's health.
  bool stale_connection = false;
  // The connection that broke, 0: none. All the streams of an HTTP/2 connection fail with it, which
  // is one failure of the server's.
  std::uint64_t broken_connection = 0;
  // Text has reached the caller: another attempt would contradict it.
  bool text_delivered = false;
};

// What happened to one call so far, the failure under decision included.
struct RetryHistory {
  std::int64_t attempts = 0;  // that count: free ones and repairs do not
  std::int64_t dns_failures = 0;
  bool used_free_retry = false;
};

struct RetryDecision {
  TimePoint at;
  bool free = false;  // does not count as an attempt and is charged to nobody
  int charged = 0;    // tokens taken from the budget, given back if the retry succeeds
};

// std::nullopt: give up, and report the failure as it is. Takes from `budget` only if it decides to
// retry. REQUIRES: history.attempts >= 1.
std::optional<RetryDecision> DecideRetry(const AttemptFailure& failure, const RetryHistory& history,
                                         const RetryOptions& options, TimePoint now,
                                         TimePoint deadline, RetryBudget* budget, Rng* rng);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_RETRY_H_
