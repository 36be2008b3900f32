#ifndef POSTGEN_SRC_RUNTIME_SIGNAL_MASK_H_
#define POSTGEN_SRC_RUNTIME_SIGNAL_MASK_H_

#include <csignal>

#include <pthread.h>

namespace postgen {

// Every signal of the calling thread, and so of threads that it starts, blocked while this lives:
// the host's handlers must not run on our threads, and SIGPIPE must not end the process.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_SIGNAL_MASK_H_
