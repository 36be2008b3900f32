#include "callbacks.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace postgen::capi {
namespace {

thread_local int callback_depth = 0;

// Blocks all signals on this thread while it lives: threads inherit the mask.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

bool InCallback() { return callback_depth > 0; }

CallbackScope::CallbackScope() { ++callback_depth; }

CallbackScope::~CallbackScope() { --callback_depth; }

std::thread StartThread(std::function<void()> body) {
  const SignalsBlocked blocked;
  return std::thread(std::move(body));
}

}  // namespace postgen::capi
