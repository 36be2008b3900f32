// How many calls an endpoint is given at once: as many as the options allow, fewer while it says
// that it is too much, and more again bit by bit (additive increase, multiplicative decrease).
#ifndef POSTGEN_SRC_LLM_POLICY_CONCURRENCY_H_
#define POSTGEN_SRC_LLM_POLICY_CONCURRENCY_H_

#include <cstdint>

#include "postgen/types.h"

namespace postgen {

// How a call bears on the number of calls at once.
enum class Strain {
  kNone,    // a reply, or a failure that has nothing to do with load
  kHigh,    // 503: more than it can take
  kHighest  // 429 that no known limit explains, slow_down: it asks us to slow down
};

// Pure: time is what the caller says. Not thread-safe.
class Concurrency {
 public:
  // REQUIRES: most >= 1.
  explicit Concurrency(std::int64_t most) : most_(static_cast<double>(most)), limit_(most_) {}

  bool HasRoom() const { return in_flight_ < limit(); }
  void Start() { ++in_flight_; }
  // A call that was sent at `sent` has ended.
  void End(Strain strain, TimePoint sent, TimePoint now);

  std::int64_t limit() const { return static_cast<std::int64_t>(limit_); }
  std::int64_t in_flight() const { return in_flight_; }

 private:
  const double most_;
  double limit_;
  std::int64_t in_flight_ = 0;
  TimePoint cut_at_ = TimePoint::min();
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_CONCURRENCY_H_
