#include "store/call_registry.h"

#include <future>

namespace postgen {

void CallRegistry::Close() {
  closed_ = true;
  while (!calls_.empty()) {
    const auto fail = calls_.begin()->second.fail;
    fail(ClosedError());
  }
}

Error CallRegistry::ClosedError() { return {Code::kClosed, "the store was closed"}; }

bool CallRegistry::Remove(std::uint64_t id) {
  const auto call = calls_.find(id);
  if (call == calls_.end()) return false;
  executor_->CancelTimer(call->second.timer);
  calls_.erase(call);
  return true;
}

void RunAndWait(Executor* executor, Task work) {
  if (executor->InThread()) {
    work();
    return;
  }
  struct Shared {
    Task work;
    std::promise<void> finished;
    bool ran = false;
  };
  auto shared = std::make_shared<Shared>();
  shared->work = std::move(work);
  std::future<void> finished = shared->finished.get_future();
  // The task holds a guard, so that a stopped executor, which destroys it unrun, lets us go on.
  struct Guard {
    explicit Guard(std::shared_ptr<Shared> s) : shared(std::move(s)) {}
    Guard(Guard&&) = default;
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (shared) shared->finished.set_value();
    }
    std::shared_ptr<Shared> shared;
  };
  executor->Post([guard = Guard(shared)]() mutable {
    guard.shared->work();
    guard.shared->ran = true;
  });
  finished.wait();
  if (!shared->ran) shared->work();
}

}  // namespace postgen
