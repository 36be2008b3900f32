// Limits that several processes on one key keep together, as one of them sees it. Where they are
// kept is behind SharedLimits; when to ask and what to do meanwhile is SharedGate's matter.
#ifndef POSTGEN_SRC_LLM_POLICY_SHARED_LIMITS_H_
#define POSTGEN_SRC_LLM_POLICY_SHARED_LIMITS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "postgen/types.h"

namespace postgen {

// The limits that hold for one call: those of its model, as the server tells them, and those of the
// options over all models. kBurst is how fast a full kRequests may be spent.
enum class LimitSlot : std::size_t { kRequests, kTokens, kBurst, kAllRequests, kAllTokens };
inline constexpr std::size_t kLimitSlots = 5;

constexpr bool CountsTokens(LimitSlot slot) {
  return slot == LimitSlot::kTokens || slot == LimitSlot::kAllTokens;
}

template <typename T>
using PerLimit = std::array<T, kLimitSlots>;

// A bucket of `capacity` that flows back at `per_second`.
struct SharedLimit {
  double per_second = 0;  // 0: not known
  double capacity = 0;
  double level = 0;
  double total = 0;      // ever taken by all, as far as they remember
  double on_way = 0;     // of it, what may still be on its way to the server
  bool learned = false;  // from heads, so that others may know it better
  bool unheard = false;  // no head has come yet: there may be such a limit
};

struct SharedAsk {
  std::string scope;  // tells endpoint and key
  std::string model;
  std::string asker;             // set by SharedLimits: unlike any other's
  PerLimit<SharedLimit> limits;  // as they seem here
  // The others were away: they may remember more than there is.
  bool returning = false;
  // Taken already (less than nothing: given back), whatever the limits say.
  PerLimit<double> debts = {};
  // The tokens that further calls may cost, in order: as many of them as fit are granted.
  std::vector<std::int64_t> calls;
};

struct SharedAnswer {
  bool away = true;  // nobody answered: nothing else is told, and what was asked may or may not be
  std::size_t granted = 0;  // calls, from the first on
  Duration wait = {};       // until the next one fits
  PerLimit<SharedLimit> limits;
};

// What a head said of a call.
struct SharedHead {
  std::string scope;
  std::string model;
  PerLimit<SharedLimit> limits;               // as they are known after that head
  PerLimit<std::optional<double>> remaining;  // as the server said
  PerLimit<double> totals = {};               // of all, when the call was sent
  PerLimit<double> on_way = {};               // and of them on their way with it
  PerLimit<bool> refused = {};                // though there should have been something left
  Duration age = {};                          // since the call was sent
  Duration hold = {};                         // the server's word to wait
};

// Used on one executor's thread, where answers come too, never from within.
class SharedLimits {
 public:
  using AnswerCallback = std::function<void(SharedAnswer)>;

  SharedLimits() = default;
  SharedLimits(const SharedLimits&) = delete;
  SharedLimits& operator=(const SharedLimits&) = delete;
  virtual ~SharedLimits() = default;

  virtual void Ask(SharedAsk ask, AnswerCallback done) = 0;
  virtual void Tell(SharedHead head, std::function<void()> done) = 0;
  // How many share them, this one included, by the last that was heard.
  virtual std::int64_t processes() const = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_SHARED_LIMITS_H_
