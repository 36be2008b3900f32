// Calls that block and cannot be interrupted (a resolver, a connect inside a library), on a thread
// that nobody waits for.
#ifndef POSTGEN_SRC_RUNTIME_BLOCKING_CALLS_H_
#define POSTGEN_SRC_RUNTIME_BLOCKING_CALLS_H_

#include <cstddef>
#include <memory>

#include <absl/functional/any_invocable.h>

#include "runtime/executor.h"

namespace postgen {

// Runs calls one after the other. Its thread is there while there are calls. Destroying it returns
// at once: what has not begun is dropped, a call that hangs is left behind with its thread, and
// nothing comes back.
//
// Used on the executor's thread only.
class BlockingCalls {
 public:
  // Runs on the other thread and must own all that it touches; what it returns runs on the
  // executor's thread afterwards. An empty task is fine.
  using BlockingCall = absl::AnyInvocable<Task()>;

  // REQUIRES: `executor` outlives this. At most `max_calls` at a time, the one
  // that runs included.
  BlockingCalls(Executor* executor, std::size_t max_calls);
  ~BlockingCalls();
  BlockingCalls(const BlockingCalls&) = delete;
  BlockingCalls& operator=(const BlockingCalls&) = delete;

  // False, and the call is dropped: there are too many, or the system has no thread left.
  bool Run(BlockingCall call);

 private:
  struct Shared;
  const std::size_t max_calls_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_BLOCKING_CALLS_H_
