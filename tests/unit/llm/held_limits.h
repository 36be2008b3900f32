// Shared limits that answer when the test says.
#ifndef POSTGEN_TESTS_UNIT_LLM_HELD_LIMITS_H_
#define POSTGEN_TESTS_UNIT_LLM_HELD_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "llm/policy/shared_limits.h"

namespace postgen::testing {

class HeldLimits final : public SharedLimits {
 public:
  void Ask(SharedAsk ask, AnswerCallback done) override {
    asks.push_back(std::move(ask));
    callbacks.push_back(std::move(done));
  }
  void Tell(SharedHead head, std::function<void()> done) override {
    heads.push_back(std::move(head));
    done();
  }
  std::int64_t processes() const override { return 4; }

  std::vector<SharedAsk> asks;
  std::vector<AnswerCallback> callbacks;
  std::vector<SharedHead> heads;
};

// 600 requests a minute, `level` of them left; tokens without an end.
inline SharedAnswer Grant(std::size_t calls, double level = 10) {
  constexpr auto kRequests = static_cast<std::size_t>(LimitSlot::kRequests);
  constexpr auto kTokens = static_cast<std::size_t>(LimitSlot::kTokens);
  SharedAnswer answer;
  answer.away = false;
  answer.granted = calls;
  answer.limits[kRequests] = {10, 600, level, 100, 0, true, false};
  answer.limits[kTokens] = {1e6, 6e7, 6e7, 1000, 0, true, false};
  return answer;
}

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_UNIT_LLM_HELD_LIMITS_H_
