// One thread with epoll, timers and a task queue: the reactor that runs calls, and the store
// thread.
#ifndef POSTGEN_SRC_RUNTIME_EVENT_LOOP_H_
#define POSTGEN_SRC_RUNTIME_EVENT_LOOP_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "postgen/error.h"
#include "runtime/executor.h"

namespace postgen {

// Tasks, timers and descriptor callbacks must not throw: an exception that escapes from one ends
// the process through std::terminate, as no one is left to hear of it.
class EventLoop final : public Executor {
 public:
  // `events`: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as epoll reported them.
  using FdCallback = std::function<void(std::uint32_t events)>;

  // How many relaxed descriptors make short ticks worth their delay, and how long one is: see
  // docs/architecture.md, "Many streams".
  static constexpr std::size_t kManyRelaxed = 16;
  static constexpr std::chrono::milliseconds kTick{15};

  // Starts the thread, named `name` (at most 15 characters), with all signals blocked.
  explicit EventLoop(const std::string& name, Duration tick = kTick);
  // Stop(), unless already stopped.
  ~EventLoop() override;

  // kNomem: the system refused a descriptor or the thread. The loop is then as after Stop().
  const Status& status() const;

  TimePoint Now() const override;
  void Post(Task task) override;
  bool InThread() const override;
  TimerId RunAt(TimePoint when, Task task) override;
  void CancelTimer(TimerId timer) override;

  // Calls `callback` on the loop's thread whenever `fd` is ready for one of `events`
  // (level-triggered); a second call for the same fd replaces events and callback. The callback may
  // watch and unwatch, itself included. REQUIRES: InThread(), or after Stop(). The fd stays the
  // caller's, who unwatches it before closing it. A descriptor that the kernel cannot watch (no
  // memory, a plain file) is never ready.
  void Watch(int fd, std::uint32_t events, FdCallback callback);
  // `fd` is watched, and its events may wait: while at least kManyRelaxed descriptors are relaxed,
  // those of them that became ready are handled together, once a tick, instead of with a wake-up
  // each. Until the next Watch() for it. Nothing else waits for a tick. REQUIRES: as Watch().
  void Relax(int fd);
  // No callback for `fd` after this, not even for events already reported; no-op for one that is
  // not watched. REQUIRES: InThread(), or after Stop().
  void Unwatch(int fd);
  // The same where the owner has closed `fd` already: its number may be another thread's by now.
  void Forget(int fd);

  // Until then the loop looks for tasks and events instead of sleeping, so that whoever posts a
  // task need not wake it: waking a thread can take longer than a short task. REQUIRES: InThread().
  void StayAwakeUntil(TimePoint when);

  // Runs what was posted so far, then ends and joins the thread; timers and later tasks are
  // dropped. Idempotent. REQUIRES: !InThread().
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_EVENT_LOOP_H_
