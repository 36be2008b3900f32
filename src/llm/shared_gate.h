// When a call may be sent to one endpoint whose limits other processes use as well. Stands before
// the endpoint's RateLimiter, which goes on hearing heads for the time when the others are away.
//
// While all limits are more than half full, calls leave at once and the others are told afterwards
// (on account, a tenth of a second's worth at the most), so that no call waits for an answer;
// otherwise those who wait are asked for together, as many as fit in a tenth of a second. When no
// answer comes in time, this process keeps to its share (the limits by the number of processes that
// there last were) until one comes again.
#ifndef POSTGEN_SRC_LLM_SHARED_GATE_H_
#define POSTGEN_SRC_LLM_SHARED_GATE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llm/policy/rate_limiter.h"
#include "llm/policy/shared_limits.h"
#include "llm/wire/rate_headers.h"
#include "postgen/types.h"
#include "runtime/executor.h"

namespace postgen {

// Used on the executor's thread only.
class SharedGate {
 public:
  // The others never hold a call up for longer than this.
  static constexpr std::chrono::milliseconds kAnswerLimit{20};
  // Between two tries to reach others that are away.
  static constexpr std::chrono::milliseconds kRetry{250};
  // The others still hear of calls that were sent while they were away for so long at the most.
  static constexpr std::chrono::milliseconds kShortly{5000};
  // What was granted and is not used goes back after this.
  static constexpr std::chrono::milliseconds kKeep{50};
  // Refusals are looked at again so soon at the earliest and at the latest.
  static constexpr std::chrono::milliseconds kLeastWait{10};
  static constexpr std::chrono::milliseconds kMostWait{250};
  // For so long an answer tells how the limits stand.
  static constexpr std::chrono::milliseconds kFresh{1000};
  // Calls asked for at once while nothing binds.
  static constexpr std::size_t kMostCalls = 32;

  struct Ticket {
    PerLimit<double> totals = {};
    PerLimit<double> on_way = {};
    TimePoint sent;
  };

  // `on_change`: an answer of ReadyAt() may be another one now. All parts outlive the gate.
  SharedGate(std::string scope, SharedLimits* limits, RateLimiter* limiter, Executor* executor,
             std::function<void()> on_change);
  ~SharedGate();
  SharedGate(const SharedGate&) = delete;
  SharedGate& operator=(const SharedGate&) = delete;

  // When a call that may cost `tokens` may be sent: as far as is known; TimePoint::max(): the
  // others have to be asked.
  TimePoint ReadyAt(const std::string& model, std::int64_t tokens, TimePoint now);
  // Does the model keep to its share?
  bool away(const std::string& model) const;
  // When to look again, whatever ReadyAt() said.
  TimePoint LookAgainAt(const std::string& model);
  // May be called whenever ReadyAt() lies ahead: asks for these calls, unless it has asked already.
  // Tokens in the order of the calls, the next one first.
  void AskFor(const std::string& model, const std::vector<std::int64_t>& calls);

  // Beside those of the limiter, whose turn comes first.
  Ticket Take(const std::string& model, std::int64_t tokens);
  void OnHead(const Ticket& ticket, const std::string& model, const RateReadings& readings);
  void OnRefused(const Ticket& ticket, const std::string& model, LimitKind limit,
                 const RateReadings& readings, std::optional<Duration> retry_after,
                 std::int64_t tokens);
  void End(const std::string& model, std::int64_t unused_tokens);

  // For people. By the last ask of any model: one that is used no more is not asked for again.
  bool away() const { return away_; }
  std::int64_t processes() const { return limits_->processes(); }

 private:
  struct Model {
    bool asking = false;
    std::uint64_t ask = 0;  // the one that is open
    TimerId ask_timer = 0;
    bool away = false;
    TimePoint retry_at = TimePoint::min();
    PerLimit<SharedLimit> known;  // by the last answer
    TimePoint known_at;
    bool stale = true;  // there is no answer yet, or a head has told of a limit since
    // Of the first call that was refused; a smaller one may fit before.
    TimePoint ready_at = TimePoint::min();
    std::int64_t refused_tokens = 0;
    TimePoint look_at = TimePoint::min();
    std::int64_t credit_calls = 0;  // granted and not used
    std::int64_t credit_tokens = 0;
    TimerId return_timer = 0;
    PerLimit<double> debts = {};  // the others have yet to hear of
    TimePoint away_since = TimePoint::min();
    PerLimit<RateBudget> shares;  // while they are away
    PerLimit<double> taken_away = {};
    bool telling = false;
  };

  Model& Find(const std::string& name);
  double LevelNow(const Model& model, std::size_t slot, TimePoint now) const;
  bool IsPlentiful(const Model& model, std::int64_t tokens, TimePoint now) const;
  void Ask(const std::string& name, Model* model, std::vector<std::int64_t> calls);
  void OnAnswer(const std::string& name, std::uint64_t ask, const std::vector<std::int64_t>& calls,
                const SharedAnswer& answer);
  void GoAway(const std::string& name, Model* model);
  void LearnShares(const std::string& name, Model* model);
  TimePoint ShareReadyAt(const Model& model, std::int64_t tokens, TimePoint now) const;
  static void ReturnCredit(Model* model);
  void ReturnLater(const std::string& name, Model* model);
  void Tell(const std::string& name, Model* model, SharedHead head);
  SharedHead MakeHead(const Ticket& ticket, const std::string& name,
                      const RateReadings& readings) const;

  const std::string scope_;
  SharedLimits* const limits_;
  RateLimiter* const limiter_;
  Executor* const executor_;
  const std::function<void()> on_change_;
  std::map<std::string, Model> models_;  // nodes do not move
  bool away_ = false;
  std::uint64_t next_ask_ = 1;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come later
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_SHARED_GATE_H_
