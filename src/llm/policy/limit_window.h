// Is a limit counted in fixed windows (anew with each minute), or does it flow back as a bucket
// does? The heads tell by their `reset`: with a bucket that is when it is full again, which every
// call puts off by what it takes; with a window it is the window's end, whatever is taken. A reset
// that is the same duration each time moves on with the clock, and says nothing.
#ifndef POSTGEN_SRC_LLM_POLICY_LIMIT_WINDOW_H_
#define POSTGEN_SRC_LLM_POLICY_LIMIT_WINDOW_H_

#include <optional>

#include "postgen/types.h"

namespace postgen {

// Pure: time is what the caller says. Not thread-safe.
class LimitWindow {
 public:
  // The head of a call sent at `at`, newer than the one before: `remaining` is left, `reset` is
  // said, and `taken` was taken since the one before. `per_second`: the limit's rate.
  void Observe(TimePoint at, double taken, double remaining, Duration reset, double per_second);

  // When the window ends that the last head was of; absent: it is a bucket, as far as is known.
  std::optional<TimePoint> end() const { return windowed_ ? reset_at_ : std::nullopt; }

 private:
  bool windowed_ = false;
  TimePoint at_;                       // of the last head
  std::optional<TimePoint> reset_at_;  // as it said
  double remaining_ = 0;
  // Since the last verdict, in seconds: the time itself, by how much a bucket's reset would have
  // been put off, and by how much it was.
  double elapsed_ = 0;
  double put_off_ = 0;
  double moved_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_LIMIT_WINDOW_H_
