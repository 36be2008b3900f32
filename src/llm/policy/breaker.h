// Whether an endpoint (with its key) is worth a call at all. While it is not, calls fail at once
// with the error that showed it, and one probe at a time finds out when it is again.
//
//   kClosed ──refused key, no money, too many failures──► kOpen ──its time──► kProbing
//      ▲                                                    ▲                    │
//      └───────────────────────── success ──────────────────┴───── failure ──────┘
#ifndef POSTGEN_SRC_LLM_POLICY_BREAKER_H_
#define POSTGEN_SRC_LLM_POLICY_BREAKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "postgen/error.h"
#include "postgen/types.h"

namespace postgen {

// Pure: time is what the caller says. Not thread-safe.
class Breaker {
 public:
  enum class State { kClosed, kOpen, kProbing };

  // The error that a call has to fail with instead of being sent; nullptr: it may be sent.
  const Error* Blocked(TimePoint now) const;

  // A call is sent. True: it is the probe, and no other is sent until it ends. REQUIRES: not
  // Blocked().
  bool OnSend();

  // Its end. `probe` is what OnSend() said. kNothing: cancelled, or a failure that tells nothing
  // of the endpoint.
  void OnSuccess(TimePoint now);
  void OnNothing(bool probe);
  // A 429 to a call that was sent at `sent`. Many in a row, each to a call that was sent after the
  // one before had come, and no success between them: nothing gets through.
  void OnRefused(const Error& error, bool probe, TimePoint sent, TimePoint now);
  // A failure that tells: refused key, exhausted quota, an endpoint that is down or broken.
  void OnFailure(const Error& error, bool probe, TimePoint now);

  State state() const;
  std::int64_t times_opened() const { return times_opened_; }
  // Of the error that opened it. REQUIRES: state() != kClosed.
  Code reason() const { return error_->code; }

 private:
  struct Outcome {
    TimePoint at;
    bool failed = false;
  };
  void Open(const Error& error, TimePoint now);
  void Reopen(const Error& error, TimePoint now);
  void Record(bool failed, TimePoint now);
  bool FailsTooOften() const;

  std::optional<Error> error_;  // that opened it; absent: closed
  TimePoint opened_at_;
  Duration pause_ = {};  // until the next probe
  bool probing_ = false;
  std::deque<Outcome> recent_;
  std::size_t failures_ = 0;  // in recent_
  int refusals_ = 0;          // in a row
  TimePoint refused_at_ = TimePoint::min();
  std::int64_t times_opened_ = 0;
};

// Does this failure speak against the endpoint as a whole?
bool SpeaksAgainstEndpoint(const Error& error);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_BREAKER_H_
