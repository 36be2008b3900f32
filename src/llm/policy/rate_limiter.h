// When a call may be sent to one endpoint with one key, so that the server need not refuse it:
// requests and tokens a minute, for each model as the server tells it, and over all models as
// the options say. Models that share a quota at the server look to each other like another client
// on it, which the heads show.
//
//   if (const TimePoint at = limiter.ReadyAt(model, tokens, now); at > now) return WaitUntil(at);
//   RateLimiter::Ticket ticket = limiter.Take(model, tokens, now);   // and send
//   limiter.OnHead(&ticket, readings, now);
//   limiter.End(&ticket, used_tokens, now);
//
// An answer holds until the next event (the head or the end of a call). Where other processes send
// with the same key, SharedGate (shared_gate.h) keeps the limits with them.
#ifndef POSTGEN_SRC_LLM_POLICY_RATE_LIMITER_H_
#define POSTGEN_SRC_LLM_POLICY_RATE_LIMITER_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "llm/policy/rate_budget.h"
#include "llm/policy/shared_limits.h"
#include "llm/wire/rate_headers.h"
#include "postgen/types.h"

namespace postgen {

// Of the options; absent: as the server tells.
struct RateLimits {
  std::optional<std::int64_t> rpm;
  std::optional<std::int64_t> tpm;
};

// Pure: time is what the caller says. Not thread-safe.
class RateLimiter {
 private:
  // Requests and tokens, taken together.
  struct Budgets {
    RateBudget requests;
    RateBudget tokens;
    TimePoint ReadyAt(std::int64_t call_tokens, TimePoint now) const;
  };
  struct Model {
    Budgets budgets;
    RateBudget burst;  // of requests: how fast a full budget may be spent
    bool heard = false;
    TimePoint opened_at;                      // when the first of the open tickets was taken
    std::int64_t open = 0;                    // tickets
    TimePoint held_until = TimePoint::min();  // the server's word
  };

 public:
  // As long as no head of a model's reply has come, the server's limits are unknown: no more calls
  // than this are sent at once, enough for the versions of two posts, and twice as many with each
  // kUnheardTime that passes in silence. Refusals are quick; a server that is slow has no limits.
  static constexpr std::int64_t kUnheardCalls = 10;
  static constexpr std::chrono::milliseconds kUnheardTime{250};
  // Model names come from requests: a caller that makes them up must not fill the memory. Beyond
  // this those that nothing is open for are forgotten.
  static constexpr std::size_t kMaxModels = 256;

  // One call that was sent. Ends with End(), once; empty after that.
  class Ticket {
   public:
    Ticket() = default;
    bool open() const { return model_ != nullptr; }

   private:
    friend class RateLimiter;
    struct Takes {
      RateBudget::Taken requests;
      RateBudget::Taken tokens;
    };
    Model* model_ = nullptr;
    std::int64_t tokens_ = 0;
    Takes model_takes_;
    Takes all_takes_;
  };

  RateLimiter(const RateLimits& limits, TimePoint now);

  // Has the server, or did its refusals, tell a limit for the model?
  bool Knows(const std::string& model) const;

  // When a call that may cost `tokens` (prompt and token limit) may be sent; `now`: at once.
  // Before the first head `processes` share what may be sent.
  TimePoint ReadyAt(const std::string& model, std::int64_t tokens, TimePoint now,
                    std::int64_t processes = 1) const;
  // The same for what no other process can know of: the server's word to wait, that no head has
  // come yet, limits that are guesses.
  TimePoint OwnReadyAt(const std::string& model, std::int64_t tokens, TimePoint now) const;
  // The limits as they seem to stand here, to be kept with other processes; `per_second` 0 where
  // one is not known.
  std::array<SharedLimit, kLimitSlots> Limits(const std::string& model, TimePoint now) const;
  // Does the slot's limit take back what a call did not use? Else its heads tell.
  bool TakesBack(const std::string& model, LimitSlot slot) const;
  // The same behind `calls` others of this model that may cost `ahead_tokens`; too early rather
  // than too late, as those may cost less.
  TimePoint ReadyAfter(const std::string& model, std::int64_t calls, std::int64_t ahead_tokens,
                       std::int64_t tokens, TimePoint now) const;

  // The ticket is valid as long as the limiter.
  Ticket Take(const std::string& model, std::int64_t tokens, TimePoint now);
  void OnHead(Ticket* ticket, const RateReadings& readings, TimePoint now);
  // A 429 for `limit`; `retry_after` where the server said. Before End().
  void OnRefused(Ticket* ticket, LimitKind limit, const RateReadings& readings,
                 std::optional<Duration> retry_after, TimePoint now);
  // `used_tokens`: what the call really cost; absent: unknown.
  void End(Ticket* ticket, std::optional<std::int64_t> used_tokens, TimePoint now);

  // For people. The tightest model's figures; absent: unknown.
  struct View {
    std::optional<double> rpm;
    std::optional<double> tpm;
    std::optional<double> requests_left;
    std::optional<double> tokens_left;
    bool smooth = false;
    std::int64_t held_ms = 0;
  };
  View Look(TimePoint now) const;

 private:
  Model* Find(const std::string& model);
  const Model& ModelOf(const std::string& model) const;
  const RateBudget& BudgetOf(const Model& model, LimitSlot slot) const;
  static TimePoint UnheardUntil(const Model& model, std::int64_t processes, TimePoint now);

  Budgets all_;                          // of the options
  std::map<std::string, Model> models_;  // of the server; nodes do not move
  Model fresh_;                          // what nothing is known of
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_RATE_LIMITER_H_
