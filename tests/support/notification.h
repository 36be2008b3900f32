// Set once by one thread, waited for by another. Not std::promise: a test that destroys one right
// after get() races with the end of set_value().
#ifndef POSTGEN_TESTS_SUPPORT_NOTIFICATION_H_
#define POSTGEN_TESTS_SUPPORT_NOTIFICATION_H_

#include <condition_variable>
#include <mutex>

namespace postgen::testing {

class Notification {
 public:
  void Notify() {
    const std::lock_guard lock(mutex_);
    notified_ = true;
    changed_.notify_all();  // under the lock: the waiter may destroy this once it has it
  }

  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return notified_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool notified_ = false;
};

// Runs `work` on an executor's thread and waits for it.
template <typename Executor, typename Work>
void RunOn(Executor* executor, Work work) {
  Notification done;
  executor->Post([&] {
    work();
    done.Notify();
  });
  done.Wait();
}

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_NOTIFICATION_H_
