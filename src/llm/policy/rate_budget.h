// One limit of a server (so many requests, or so many tokens, a minute) as we believe it to stand.
//
// The belief is reckoned anew from every reply's head: what the server said was left when it took
// that call in, less what was taken here since, plus what has flowed back since. Errors therefore
// do not add up, another client on the same limit shows in the next head, and how fast it takes
// shows from head to head.
#ifndef POSTGEN_SRC_LLM_POLICY_RATE_BUDGET_H_
#define POSTGEN_SRC_LLM_POLICY_RATE_BUDGET_H_

#include <cstdint>

#include "llm/policy/limit_window.h"
#include "llm/wire/rate_headers.h"
#include "postgen/types.h"

namespace postgen {

// Pure: time is what the caller says. Not thread-safe.
class RateBudget {
 public:
  // What was taken for one call, and where the budget stood just after.
  struct Taken {
    TimePoint at;
    double amount = 0;
    double total = 0;
  };

  // Without a limit as yet: everything may start.
  RateBudget() = default;
  // `per_minute` is the user's word: heads are not heard. REQUIRES: per_minute > 0.
  static RateBudget Fixed(std::int64_t per_minute, TimePoint now);

  // A full budget of `capacity` that flows back at `per_minute`.
  static RateBudget Burst(double per_minute, double capacity, TimePoint now);

  bool known() const { return per_second_ > 0; }
  double per_minute() const { return per_second_ * 60; }
  double per_second() const { return per_second_; }
  double capacity() const { return capacity_; }
  // Is it only a guess of ours, from refusals?
  bool guessed() const { return guessed_; }
  // Does GiveBack() count?
  bool takes_back() const { return known() && !heard_ && gives_back_; }
  // What may be taken at once; below zero after a call larger than the budget.
  double LevelAt(TimePoint now) const;
  // Are bursts held back, after a refusal that the limits do not explain?
  bool SmoothAt(TimePoint now) const { return now < smooth_until_; }

  // When `amount` may be taken; `now` if it may be now.
  TimePoint ReadyAt(double amount, TimePoint now) const;
  // As ReadyAt, once `ahead` has been taken by others: as things stand, not before this.
  TimePoint ReadyAfter(double ahead, double amount, TimePoint now) const;

  Taken Take(double amount, TimePoint now);
  // Part of what was taken was not used. Where heads tell what is left they tell this too, and a
  // server that turned out to keep what was reserved gives nothing back: then a no-op.
  void GiveBack(double amount, TimePoint now);

  // The head of the reply to the call of `taken`.
  void Observe(const RateReading& reading, const Taken& taken, TimePoint now);
  // That call was refused for this limit.
  void Refuse(const RateReading& reading, const Taken& taken, TimePoint now);

 private:
  void LearnLimit(const RateReading& reading);
  void LearnWindow(const RateReading& reading, const Taken& taken);
  bool InWindow(TimePoint now) const;
  bool HoldsBackAt(TimePoint now) const;
  void LearnDrift(const Taken& taken, double remaining);
  void GuessLimit(TimePoint now);
  double CapacityAt(TimePoint now) const;
  double ShareAt(TimePoint now) const;
  double GuessedShareAfter(double seconds) const;
  double RateAt(TimePoint now) const;
  void Settle(TimePoint now);  // brings level_ up to `now`

  bool fixed_ = false;
  bool guessed_ = false;
  double per_second_ = 0;  // 0: no limit known
  double capacity_ = 0;    // the most that can be left
  double level_ = 0;       // at settled_at_
  TimePoint settled_at_ = TimePoint::min();
  double total_ = 0;  // ever taken
  bool gives_back_ = true;
  double refused_rate_ = 0;  // at which a guess was refused last
  // The rate of what was taken lately, for a limit that shows in refusals only.
  double pace_ = 0;
  TimePoint paced_at_ = TimePoint::min();

  // The newest call whose head has told what is left.
  bool heard_ = false;
  Taken newest_;
  double newest_remaining_ = 0;
  LimitWindow window_;
  // What flows back less (others take it) or more (it was not used after all) than the limit says,
  // a second.
  double drift_ = 0;

  // After refusals without reason: no bursts until then, and a share of the rate that recovers.
  TimePoint smooth_until_ = TimePoint::min();
  double share_ = 1;
  TimePoint share_at_ = TimePoint::min();  // of the last cut
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_RATE_BUDGET_H_
