// Waits for the first token of one call: teaches its HedgePolicy how long that took, and tells when
// a second attempt is due.
#ifndef POSTGEN_SRC_LLM_HEDGE_WATCH_H_
#define POSTGEN_SRC_LLM_HEDGE_WATCH_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "llm/policy/hedge.h"
#include "postgen/types.h"
#include "runtime/executor.h"

namespace postgen {

// On the executor's thread.
class HedgeWatch {
 public:
  // `on_late`: a second attempt may be sent, if the caller has the means; at most once. `executor`
  // and the policies outlive the watch.
  HedgeWatch(Executor* executor, std::function<void()> on_late)
      : executor_(executor), on_late_(std::move(on_late)) {}
  ~HedgeWatch() { Stop(); }
  HedgeWatch(const HedgeWatch&) = delete;
  HedgeWatch& operator=(const HedgeWatch&) = delete;

  // A first attempt, or one after a failure, is on its way over a connection that is up. No-op
  // while one is.
  void OnSent(HedgePolicy* policy);
  // Its first token came, or that of the second attempt.
  void OnToken(bool of_second);
  // It failed before that.
  void OnLost();
  // It is given up. No-op if nothing is watched.
  void Stop();

  // May the second attempt be sent?
  bool MayHedge() { return policy_->MayHedge(executor_->Now(), waited()); }
  // It has been.
  void OnHedge();

 private:
  Duration waited() const { return executor_->Now() - sent_; }
  void EndTimer();

  Executor* const executor_;
  const std::function<void()> on_late_;
  HedgePolicy* policy_ = nullptr;  // null: nothing is watched
  std::uint64_t number_ = 0;
  TimePoint sent_;
  TimerId timer_ = 0;
  bool taken_ = false;  // one second attempt a call
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_HEDGE_WATCH_H_
