// The caller's end of a post: what Start() returns.
#ifndef POSTGEN_SRC_CORE_CALL_STATE_H_
#define POSTGEN_SRC_CORE_CALL_STATE_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "postgen/generator.h"
#include "runtime/executor.h"
#include "runtime/mutex.h"

namespace postgen {

class CallState final : public Call {
 public:
  using CancelFunction = std::function<void(std::uint64_t call_id)>;

  // `cancel` is called, from any thread, only while the post runs. `executor`: the one whose thread
  // may not wait.
  CallState(std::shared_ptr<const Executor> executor, CancelFunction cancel);

  std::uint64_t id() const override { return id_; }
  void Cancel() override;
  std::shared_ptr<const PostResult> Wait() override;
  std::shared_ptr<const PostResult> WaitFor(std::chrono::milliseconds timeout) override;

  // The post has ended. Called once.
  void End(std::shared_ptr<const PostResult> result);

 private:
  bool MayWait() const;
  void WaitAwake() const;

  const std::uint64_t id_;
  const pid_t owner_pid_;
  const std::shared_ptr<const Executor> executor_;
  const CancelFunction cancel_;

  std::atomic<bool> has_ended_ = false;
  Mutex mutex_;
  CondVar ended_;
  std::shared_ptr<const PostResult> result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_CALL_STATE_H_
