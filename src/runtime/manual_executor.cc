#include "runtime/manual_executor.h"

#include <utility>

namespace postgen {

TimerId ManualExecutor::RunAt(TimePoint when, Task task) {
  const TimerId timer = next_timer_++;
  timers_.emplace(std::pair(when, timer), std::move(task));
  return timer;
}

void ManualExecutor::CancelTimer(TimerId timer) {
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->first.second == timer) {
      timers_.erase(it);
      return;
    }
  }
}

void ManualExecutor::RunReady() {
  while (!tasks_.empty()) {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
}

void ManualExecutor::Advance(Duration duration) {
  const TimePoint until = now_ + duration;
  RunReady();
  while (!timers_.empty() && timers_.begin()->first.first <= until) {
    auto due = timers_.extract(timers_.begin());
    if (due.key().first > now_) now_ = due.key().first;
    due.mapped()();
    RunReady();
  }
  now_ = until;
}

}  // namespace postgen
