#include "runtime/fork_hold.h"

#include <condition_variable>
#include <mutex>
#include <new>

#include <pthread.h>

namespace postgen {
namespace {

// Not Mutex and CondVar: a forking thread keeps the lock from one function to the next, and a child
// must be able to make all of it anew without freeing anything.
struct ForkGate {
  std::mutex mutex;
  std::condition_variable changed;
  int holding = 0;          // threads
  int forking = 0;          // threads
  bool waited_out = false;  // by the fork under way
  bool forked_under_hold = false;
};

void BeforeFork();
void AfterForkInParent();
void AfterForkInChild();

// When the library is loaded: a child of a fork() meanwhile would wait forever for a static of a
// function that another thread was making.
ForkGate* const gate = [] {
  pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild);
  return new ForkGate;
}();

thread_local int holds = 0;  // of this thread

void BeforeFork() {
  std::unique_lock<std::mutex> lock(gate->mutex);
  ++gate->forking;
  gate->waited_out =
      !gate->changed.wait_for(lock, kLongestForkWait, [] { return gate->holding == 0; });
  lock.release();  // the fork's, until it is over
}

void AfterForkInParent() {
  --gate->forking;
  gate->mutex.unlock();
  gate->changed.notify_all();
}

// The parent's other threads are not here to end their holds and waits.
void AfterForkInChild() {
  const bool under_hold = gate->waited_out || gate->forked_under_hold;
  new (gate) ForkGate;
  gate->forked_under_hold = under_hold;
}

}  // namespace

ForkHold::ForkHold() {
  if (holds++ > 0) return;
  std::unique_lock<std::mutex> lock(gate->mutex);
  gate->changed.wait(lock, [] { return gate->forking == 0; });
  ++gate->holding;
}

ForkHold::~ForkHold() {
  if (--holds > 0) return;
  const std::lock_guard<std::mutex> lock(gate->mutex);
  if (--gate->holding == 0 && gate->forking > 0) gate->changed.notify_all();
}

bool ForkedUnderHold() {
  const std::lock_guard<std::mutex> lock(gate->mutex);
  return gate->forked_under_hold;
}

}  // namespace postgen
