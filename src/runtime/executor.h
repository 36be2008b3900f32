// Where things run and what time it is there: the seam between postgen's state machines and real
// threads. In production an executor is an EventLoop (event_loop.h); in tests it is a
// ManualExecutor (manual_executor.h) whose time moves only when told, so that deadlines, retries
// and limits are tested without waiting.
#ifndef POSTGEN_SRC_RUNTIME_EXECUTOR_H_
#define POSTGEN_SRC_RUNTIME_EXECUTOR_H_

#include <chrono>
#include <cstdint>

#include <absl/functional/any_invocable.h>

#include "postgen/types.h"

namespace postgen {

using Task = absl::AnyInvocable<void()>;

// Never reused; 0 is no timer.
using TimerId = std::uint64_t;

// As good as for ever. steady_clock counts nanoseconds in 64 bits: a caller's longer wait is cut to
// this before it is added to a time.
inline constexpr std::chrono::hours kLongestWait(24 * 365);

class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  // Thread-safe. Monotonic.
  virtual TimePoint Now() const = 0;

  // Runs `task` on the executor's thread, after what was posted before. Never inline. Thread-safe.
  // After the executor has stopped, tasks are destroyed without being run.
  virtual void Post(Task task) = 0;

  // Is this the executor's thread? Thread-safe.
  virtual bool InThread() const = 0;

  // Runs `task` at `when` or soon after (at once if that is past; never inline). Timers of one
  // instant run in the order they were set. REQUIRES: InThread().
  virtual TimerId RunAt(TimePoint when, Task task) = 0;

  // The timer's task will not run; no-op for one that has run or for 0. REQUIRES: InThread().
  virtual void CancelTimer(TimerId timer) = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_EXECUTOR_H_
