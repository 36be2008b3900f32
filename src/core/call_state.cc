#include "core/call_state.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

namespace postgen {
namespace {

constexpr std::chrono::microseconds kAwake{100};

std::uint64_t NextCallId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

CallState::CallState(std::shared_ptr<const Executor> executor, CancelFunction cancel)
    : id_(NextCallId()),
      owner_pid_(getpid()),
      executor_(std::move(executor)),
      cancel_(std::move(cancel)) {}

// Held while cancelling, so that the generator cannot see the post end, and go away, in between.
void CallState::Cancel() {
  if (getpid() != owner_pid_) return;
  const MutexLock lock(&mutex_);
  if (result_ == nullptr) cancel_(id_);
}

bool CallState::MayWait() const {
  return getpid() == owner_pid_ && (executor_ == nullptr || !executor_->InThread());
}

// A post from the cache is there before a thread has fallen asleep and woken up again.
void CallState::WaitAwake() const {
  const TimePoint until = std::chrono::steady_clock::now() + kAwake;
  while (!has_ended_.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
}

std::shared_ptr<const PostResult> CallState::Wait() {
  if (!MayWait()) return nullptr;
  WaitAwake();
  const MutexLock lock(&mutex_);
  while (result_ == nullptr) ended_.wait(mutex_);
  return result_;
}

std::shared_ptr<const PostResult> CallState::WaitFor(std::chrono::milliseconds timeout) {
  if (!MayWait()) return nullptr;
  const TimePoint until =
      std::chrono::steady_clock::now() +
      std::clamp<std::chrono::milliseconds>(timeout, std::chrono::milliseconds(0), kLongestWait);
  const MutexLock lock(&mutex_);
  while (result_ == nullptr) {
    if (ended_.wait_until(mutex_, until) == std::cv_status::timeout) break;
  }
  return result_;
}

void CallState::End(std::shared_ptr<const PostResult> result) {
  {
    const MutexLock lock(&mutex_);
    result_ = std::move(result);
    has_ended_.store(true, std::memory_order_release);
  }
  // Whoever wakes finds the lock free.
  ended_.notify_all();
}

}  // namespace postgen
