// std::mutex with clang's thread-safety annotations. Not absl::Mutex: Debian's Abseil is not built
// for TSan, which then reports correctly locked code.
#ifndef POSTGEN_SRC_RUNTIME_MUTEX_H_
#define POSTGEN_SRC_RUNTIME_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include <absl/base/thread_annotations.h>

namespace postgen {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

  // BasicLockable, for std::condition_variable_any.
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* mutex_;
};

// Waits on the monotonic clock only.
using CondVar = std::condition_variable_any;

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_MUTEX_H_
