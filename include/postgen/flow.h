// How those who wait for a completion steer it while it runs. One flow is one completion.
//
// Back-pressure: the listener of a stream holds it back while it cannot keep up. While it is
// paused, no more is read from its connection, so that the provider has to wait; other streams go
// on, limits on the provider's silence stand still, and nothing is lost. EventQueue does all this
// by itself.
#ifndef POSTGEN_FLOW_H_
#define POSTGEN_FLOW_H_

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "postgen/types.h"

namespace postgen {

// Thread-safe.
class Flow {
 public:
  Flow() = default;
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  // For the listener. A little that was on its way may still come after Pause(). A flow that is not
  // resumed ends at the post's deadline.
  void Pause() { paused_ = true; }
  void Resume() {
    const std::lock_guard lock(mutex_);
    if (paused_.exchange(false) && on_resume_) on_resume_();
  }

  // For those who share one completion: it has until `deadline`, where that is later than its
  // request says and than what was said before.
  void Extend(TimePoint deadline) {
    TimePoint before = deadline_;
    while (before < deadline && !deadline_.compare_exchange_weak(before, deadline)) {
    }
  }
  TimePoint deadline() const { return deadline_; }

  // For the source of the text: an LlmClient, which asks after each delivery. One that does not
  // only costs memory. `on_resume` is called from any thread, must not block and must not use the
  // flow; not after SetOnResume(nullptr) has returned.
  bool paused() const { return paused_; }
  void SetOnResume(std::function<void()> on_resume) {
    const std::lock_guard lock(mutex_);
    on_resume_ = std::move(on_resume);
  }

 private:
  std::atomic<bool> paused_ = false;
  std::atomic<TimePoint> deadline_ = TimePoint::min();
  std::mutex mutex_;
  std::function<void()> on_resume_;  // guarded by mutex_
};

}  // namespace postgen

#endif  // POSTGEN_FLOW_H_
