// The retry budget of one client: a token bucket that keeps retries from multiplying an outage (the
// scheme of the AWS SDKs). It never makes anyone wait: without tokens a failure is just reported.
#ifndef POSTGEN_SRC_LLM_POLICY_RETRY_BUDGET_H_
#define POSTGEN_SRC_LLM_POLICY_RETRY_BUDGET_H_

#include <algorithm>
#include <cstdint>

#include "llm/policy/failure_kind.h"
#include "postgen/error.h"

namespace postgen {

// Not thread-safe.
class RetryBudget {
 public:
  static constexpr int kCapacity = 500;
  static constexpr int kRetryCost = 5;
  static constexpr int kTimeoutRetryCost = 10;  // timeouts hold resources for longest
  static constexpr int kSharedRetryCost = 1;
  static constexpr int kCleanSuccess = 1;

  // Little for the connection (AttemptFailure::broken_connection) that was charged last: its
  // streams fail together, and must not empty the bucket.
  int CostOf(Code code, std::uint64_t broken_connection = 0) const {
    if (broken_connection != 0 && broken_connection == charged_connection_) {
      return kSharedRetryCost;
    }
    return IsTimeout(code) ? kTimeoutRetryCost : kRetryCost;
  }

  // False: not enough is left, and nothing is taken.
  bool Take(int tokens) {
    if (tokens > tokens_) return false;
    tokens_ -= tokens;
    return true;
  }

  void Charged(std::uint64_t broken_connection) {
    if (broken_connection != 0) charged_connection_ = broken_connection;
  }

  // After a success: `charged` for its last retry, 0 if it needed none.
  void OnSuccess(int charged) {
    tokens_ = std::min(kCapacity, tokens_ + (charged > 0 ? charged : kCleanSuccess));
  }

  int tokens() const { return tokens_; }

 private:
  int tokens_ = kCapacity;
  std::uint64_t charged_connection_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_RETRY_BUDGET_H_
