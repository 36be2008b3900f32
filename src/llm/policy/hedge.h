// Whether a call whose first token is late gets a second attempt beside the first: decided from
// what recent calls of the same model at the same endpoint did, so that it is tested by simulation.
//
//   number = policy.OnSent(now)          the first attempt of a call was sent
//   due = now + *policy.Delay()          if no token has come by then ...
//   if (policy.MayHedge(now, waited)) ...  ... send another one, and keep the faster
//     policy.OnHedge()                   if it was sent
//   policy.OnFirstToken(number, after)   or OnGone(number, after)
//
// A second attempt helps where one request had bad luck, and harms where the server has too much to
// do. So it is not sent while many first tokens are late, while they are all slower than they used
// to be or slow from the start, while attempts fail, or beyond 3 % of the calls.
#ifndef POSTGEN_SRC_LLM_POLICY_HEDGE_H_
#define POSTGEN_SRC_LLM_POLICY_HEDGE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "postgen/error.h"
#include "postgen/types.h"

namespace postgen {

// One model at one endpoint. Not thread-safe.
class HedgePolicy {
 public:
  static constexpr int kExtraPercent = 3;        // of the calls
  static constexpr int kMaxSaved = 10;           // second attempts that may be saved up
  static constexpr double kQuantile = 0.95;      // of the recent first tokens, ...
  static constexpr double kPatience = 1.4;       // ... times this: the delay
  static constexpr std::size_t kMinTokens = 40;  // until then nothing is known, nothing is sent
  static constexpr std::chrono::milliseconds kMinDelay{100};  // less is not worth a call
  static constexpr std::size_t kMaxLate = 4;                  // of the last kDecided calls
  static constexpr std::size_t kMaxFailures = 2;              // of the last kEnded attempts
  static constexpr double kMaxSlowdown = 2;             // of the median, against its best of late
  static constexpr std::chrono::seconds kMaxMedian{3};  // beyond, the model itself is slow
  static constexpr std::chrono::minutes kForget{30};    // in which a best median counts half

  // The first attempt of a call was sent. Calls are told apart by the number.
  std::uint64_t OnSent(TimePoint now);
  // Its first token came.
  void OnFirstToken(std::uint64_t number, TimePoint now, Duration after);
  // It ended without one, by our will: it would have come later than that.
  void OnGone(std::uint64_t number, TimePoint now, Duration after);
  // It ended without one by a failure; says nothing about time.
  void OnLost(std::uint64_t number) { waiting_.erase(number); }
  // Any attempt ended, second ones too, by itself. `error`: Code::kOk if well.
  void OnAttemptEnd(Code error);

  // How long after OnSent to ask; nothing: too little is known.
  std::optional<Duration> Delay() const { return delay_; }
  // A call has waited as long as Delay() told it when it was sent: may it have its second attempt?
  bool MayHedge(TimePoint now, Duration waited);
  // It has been sent: on the account it goes.
  void OnHedge() { saved_percent_ -= 100; }

 private:
  static constexpr std::size_t kTokens = 200;
  static constexpr std::size_t kRecent = 48;
  static constexpr std::size_t kDecided = 32;
  static constexpr std::size_t kEnded = 50;

  void Decide(bool late);
  void Learn(TimePoint now, Duration after);
  Duration Median() const;

  int saved_percent_ = 0;  // of a second attempt
  std::uint64_t next_number_ = 1;
  std::map<std::uint64_t, TimePoint> waiting_;  // not late yet: when they were sent

  std::array<Duration, kTokens> tokens_ = {};  // a ring
  std::size_t token_count_ = 0;
  std::optional<Duration> delay_;
  Duration median_ = {};
  Duration best_median_ = {};
  TimePoint best_at_;

  std::array<bool, kDecided> late_ = {};  // a ring
  std::size_t decided_ = 0;
  std::size_t late_count_ = 0;

  std::array<bool, kEnded> failed_ = {};  // a ring
  std::size_t ended_ = 0;
  std::size_t failed_count_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_HEDGE_H_
