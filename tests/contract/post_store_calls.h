// Waiting for the callbacks of stores.
#ifndef POSTGEN_TESTS_CONTRACT_POST_STORE_CALLS_H_
#define POSTGEN_TESTS_CONTRACT_POST_STORE_CALLS_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "postgen/error.h"

namespace postgen {

// Collects the answers of several calls. Each call gets a callback of its own, and what it answers
// more than once counts more than once.
template <typename T>
class Answers {
 public:
  std::function<void(Result<T>)> Callback() {
    return [state = state_](Result<T> answer) {
      const std::lock_guard lock(state->mutex);
      state->answers.push_back(std::move(answer));
      state->changed.notify_all();
    };
  }

  // Waits until there are `count`, then returns all there are.
  std::vector<Result<T>> Wait(std::size_t count) {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->answers.size() >= count; });
    return state_->answers;
  }

  std::vector<Result<T>> SoFar() { return Wait(0); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Result<T>> answers;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The answer of the one call that `start` makes.
template <typename T, typename Start>
Result<T> Await(Start start) {
  Answers<T> answers;
  start(answers.Callback());
  return answers.Wait(1).front();
}

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_POST_STORE_CALLS_H_
