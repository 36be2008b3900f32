// The operations of a store that have not called back yet.
#ifndef POSTGEN_SRC_STORE_CALL_REGISTRY_H_
#define POSTGEN_SRC_STORE_CALL_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "postgen/types.h"
#include "runtime/executor.h"

namespace postgen {

// Sees to it that every operation calls back exactly once and by its deadline, whatever the
// database does, and that none is left when the store is destroyed.
//
// Used on the executor's thread only. Must be owned by a shared_ptr.
class CallRegistry : public std::enable_shared_from_this<CallRegistry> {
 public:
  template <typename T>
  using Callback = std::function<void(Result<T>)>;

  // REQUIRES: `executor` outlives the registry.
  explicit CallRegistry(Executor* executor) : executor_(executor) {}

  // Takes `done` over: the returned callback ends the operation; it may be called late, twice or
  // never. At `deadline` the operation ends with what `late` says. Returns an empty callback, after
  // calling `done`, if the deadline has passed already or the registry is closed.
  template <typename T>
  Callback<T> Begin(TimePoint deadline, std::function<Result<T>()> late, Callback<T> done) {
    if (closed_) {
      done(ClosedError());
      return nullptr;
    }
    if (deadline <= executor_->Now()) {
      done(late());
      return nullptr;
    }
    const std::uint64_t id = next_id_++;
    auto shared_done = std::make_shared<Callback<T>>(std::move(done));
    std::weak_ptr<CallRegistry> registry = weak_from_this();
    Callback<T> finish = [registry, id, shared_done](Result<T> result) {
      const auto self = registry.lock();
      if (self && self->Remove(id)) (*shared_done)(std::move(result));
    };
    const TimerId timer =
        executor_->RunAt(deadline, [finish, late = std::move(late)] { finish(late()); });
    calls_.emplace(id, Call{timer, [finish](const Error& error) { finish(error); }});
    return finish;
  }

  // Ends what is open, and whatever begins later, with Code::kClosed.
  void Close();

 private:
  struct Call {
    TimerId timer;
    std::function<void(const Error&)> fail;
  };

  static Error ClosedError();
  bool Remove(std::uint64_t id);

  Executor* const executor_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Call> calls_;
  bool closed_ = false;
};

// Runs `work` on the executor's thread and waits until it is done; runs it here if the executor has
// stopped.
void RunAndWait(Executor* executor, Task work);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_CALL_REGISTRY_H_
