// Keeps fork() away from what must not be cut in two.
#ifndef POSTGEN_SRC_RUNTIME_FORK_HOLD_H_
#define POSTGEN_SRC_RUNTIME_FORK_HOLD_H_

#include <chrono>

namespace postgen {

// How long a fork() waits for holds to end before it goes on without.
constexpr auto kLongestForkWait = std::chrono::seconds(10);

// While one lives, a fork() of this process waits: its child would have the locks that a library
// has taken, and not the thread that gives them back. Threads do not wait for each other's holds,
// and a hold within another one costs next to nothing; new ones wait while a fork() does.
//
// A hold ends on the thread that it began on. Nothing may fork under it, so no function of the
// user's is called, and its threads run no signal handlers of the host.
class ForkHold {
 public:
  ForkHold();
  ForkHold(const ForkHold& /*other*/) : ForkHold() {}
  ForkHold& operator=(const ForkHold&) = default;
  ~ForkHold();
};

// This process comes from a fork() that did not wait any longer: what is used under holds may hang.
bool ForkedUnderHold();

}  // namespace postgen

#endif  // POSTGEN_SRC_RUNTIME_FORK_HOLD_H_
