#include "runtime/blocking_calls.h"

#include <deque>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>

#include "runtime/mutex.h"
#include "runtime/signal_mask.h"

namespace postgen {

struct BlockingCalls::Shared : std::enable_shared_from_this<BlockingCalls::Shared> {
  explicit Shared(Executor* e) : executor(e) {}

  // On the thread of its own.
  void RunAll() {
    while (BlockingCall call = First()) {
      Task then = call();
      End(std::move(then));
    }
  }

  // Empty, and the thread ends: there are no more.
  BlockingCall First() ABSL_LOCKS_EXCLUDED(mutex) {
    const MutexLock lock(&mutex);
    running = !calls.empty();
    return running ? std::move(calls.front()) : nullptr;
  }

  void End(Task then) ABSL_LOCKS_EXCLUDED(mutex) {
    const MutexLock lock(&mutex);
    if (executor == nullptr) return;
    calls.pop_front();
    if (!then) return;
    executor->Post([shared = shared_from_this(), then = std::move(then)]() mutable {
      if (!shared->abandoned()) then();
    });
  }

  bool abandoned() ABSL_LOCKS_EXCLUDED(mutex) {
    const MutexLock lock(&mutex);
    return executor == nullptr;
  }

  Mutex mutex;
  Executor* executor ABSL_GUARDED_BY(mutex);              // null: the owner is gone
  std::deque<BlockingCall> calls ABSL_GUARDED_BY(mutex);  // the first one is running, perhaps
  bool running ABSL_GUARDED_BY(mutex) = false;            // the thread
};

BlockingCalls::BlockingCalls(Executor* executor, std::size_t max_calls)
    : max_calls_(max_calls), shared_(std::make_shared<Shared>(executor)) {}

BlockingCalls::~BlockingCalls() {
  std::deque<BlockingCall> dropped;
  const MutexLock lock(&shared_->mutex);
  shared_->executor = nullptr;
  dropped.swap(shared_->calls);
}

bool BlockingCalls::Run(BlockingCall call) {
  const MutexLock lock(&shared_->mutex);
  if (shared_->calls.size() >= max_calls_) return false;
  shared_->calls.push_back(std::move(call));
  if (shared_->running) return true;
  try {
    const AllSignalsBlocked blocked;
    std::thread thread([shared = shared_] { shared->RunAll(); });
    pthread_setname_np(thread.native_handle(), "postgen-block");
    thread.detach();
  } catch (const std::system_error&) {
    shared_->calls.pop_back();
    return false;
  }
  shared_->running = true;
  return true;
}

}  // namespace postgen
