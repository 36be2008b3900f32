// An executor for tests: one thread, virtual time.
//
//   ManualExecutor executor;
//   client.Complete(...);
//   executor.Advance(std::chrono::seconds(30));   // runs every task and timer due until then, in
//   order
#ifndef POSTGEN_SRC_RUNTIME_MANUAL_EXECUTOR_H_
#define POSTGEN_SRC_RUNTIME_MANUAL_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <map>
#include <utility>

#include "runtime/executor.h"

namespace postgen {

class ManualExecutor final : public Executor {
 public:
  TimePoint Now() const override { return now_; }
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  bool InThread() const override { return true; }
  TimerId RunAt(TimePoint when, Task task) override;
  void CancelTimer(TimerId timer) override;

  // Runs posted tasks until none is left; time stands still.
  void RunReady();
  // Moves time forward by `duration`, running timers at their instants and posted tasks in between.
  void Advance(Duration duration);
  std::size_t pending_timers() const { return timers_.size(); }

 private:
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  TimerId next_timer_ = 1;
  std::deque<Task> tasks_;
  std::map<std::pair<TimePoint, TimerId>, Task>
      timers_;  // equal instants: in the order they were set
};

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_MANUAL_EXECUTOR_H_
