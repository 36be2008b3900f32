#include "llm/policy/rate_budget.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace postgen {
namespace {

using Seconds = std::chrono::duration<double>;

// Kept in hand, as time at the full rate: calls that left one after the other may arrive together.
constexpr double kMarginSeconds = 0.25;
constexpr double kOthersSeconds = 0.5;
// What may start at once while bursts are held back.
constexpr double kSmoothSeconds = 0.1;
constexpr auto kSmoothTime = std::chrono::minutes(10);
// Two clocks and rounding: a server that enforces slices of a second is asked for a little less.
constexpr double kSmoothShare = 0.97;
// Of the share, for a refusal while bursts are held back already.
constexpr double kCut = 0.95;
constexpr double kLeastShare = 0.05;
constexpr double kShareRecovery = 0.005;  // a second
// Of a limit that was guessed, for a refusal, and for one soon after another.
constexpr double kGuessCut = 0.9;
constexpr double kDeepGuessCut = 0.7;
constexpr double kSoonSeconds = 2;
constexpr double kNearRefused = 0.97;
constexpr double kProbing = 0.0005;    // a second
constexpr double kMostGuessShare = 2;  // it may have been too low, too
// Calls that left within so short a time may arrive in another order.
constexpr double kOvertaking = 0.05;
constexpr double kAverageSeconds = 5;  // over which rates are averaged
constexpr double kMostDrift = 0.9;     // of the rate
// Headers are rounded: whole seconds, whole requests.
constexpr double kRounding = 1.05;
constexpr double kLongestWindow = 25.0 * 3600;
// Two clocks, and calls that come before those that were sent earlier.
constexpr auto kWindowMargin = std::chrono::milliseconds(50);
constexpr double kHair = 1e-6;  // refilling adds fractions

TimePoint After(TimePoint now, double seconds) {
  if (seconds <= 0) return now;
  // As far away as anyone may wait.
  constexpr double kFar = 24.0 * 3600 * 30;
  return now + std::chrono::ceil<Duration>(Seconds(std::min(seconds, kFar)));
}

double SecondsBetween(TimePoint from, TimePoint to) { return Seconds(to - from).count(); }

}  // namespace

RateBudget RateBudget::Fixed(std::int64_t per_minute, TimePoint now) {
  const auto rate = static_cast<double>(per_minute);
  return Burst(rate, rate, now);
}

RateBudget RateBudget::Burst(double per_minute, double capacity, TimePoint now) {
  RateBudget budget;
  budget.fixed_ = true;
  budget.per_second_ = per_minute / 60;
  budget.capacity_ = capacity;
  budget.level_ = capacity;
  budget.settled_at_ = now;
  return budget;
}

double RateBudget::ShareAt(TimePoint now) const {
  if (share_at_ == TimePoint::min()) return 1;
  const double seconds = SecondsBetween(share_at_, now);
  if (guessed_) return GuessedShareAfter(seconds);
  return std::min(SmoothAt(now) ? kSmoothShare : 1, share_ + kShareRecovery * seconds);
}

// Up to nearly what was refused last, and then so slowly that finding out whether it still is costs
// few refusals.
double RateBudget::GuessedShareAfter(double seconds) const {
  const double near = std::max(share_, refused_rate_ * kNearRefused / per_second_);
  const double until = (near - share_) / kShareRecovery;
  const double share =
      seconds < until ? share_ + kShareRecovery * seconds : near + kProbing * (seconds - until);
  return std::min(kMostGuessShare, share);
}

double RateBudget::RateAt(TimePoint now) const {
  return (per_second_ + std::clamp(drift_, -kMostDrift * per_second_, 0.0)) * ShareAt(now);
}

// Bursts are held back by what is left at once; of a window that would be all that is left of it.
bool RateBudget::HoldsBackAt(TimePoint now) const { return SmoothAt(now) && !window_.end(); }

double RateBudget::CapacityAt(TimePoint now) const {
  return HoldsBackAt(now) ? std::min(capacity_, per_second_ * kSmoothSeconds) : capacity_;
}

// Of a window nothing flows back before its end. When that has come and no head has told of the
// next one yet, the limit flows back as that of a bucket would.
bool RateBudget::InWindow(TimePoint now) const { return window_.end() && now < *window_.end(); }

double RateBudget::LevelAt(TimePoint now) const {
  if (!known()) return 0;
  if (InWindow(now)) return level_;
  if (InWindow(settled_at_)) return CapacityAt(now);
  return std::min(CapacityAt(now), level_ + RateAt(now) * SecondsBetween(settled_at_, now));
}

void RateBudget::Settle(TimePoint now) {
  level_ = LevelAt(now);
  settled_at_ = now;
}

TimePoint RateBudget::ReadyAt(double amount, TimePoint now) const {
  if (!known()) return now;
  const double capacity = CapacityAt(now);
  // Someone else's calls come when they like.
  const double others = std::max(0.0, -drift_) * kOthersSeconds;
  const double margin = std::min(per_second_ * kMarginSeconds + others, capacity / 4);
  // A call larger than the whole budget waits until that is full.
  const double missing = std::min(amount + margin, capacity) - LevelAt(now);
  if (missing <= kHair) return now;
  if (InWindow(now)) return *window_.end() + kWindowMargin;
  return After(now, missing / RateAt(now));
}

TimePoint RateBudget::ReadyAfter(double ahead, double amount, TimePoint now) const {
  if (!known()) return now;
  if (InWindow(now)) return ahead + amount <= LevelAt(now) ? now : *window_.end();
  return After(now, (ahead + std::min(amount, capacity_) - LevelAt(now)) / per_second_);
}

RateBudget::Taken RateBudget::Take(double amount, TimePoint now) {
  total_ += amount;
  if (known()) {
    Settle(now);
    level_ -= amount;
  } else {
    const double faded = paced_at_ == TimePoint::min()
                             ? 0
                             : pace_ * std::exp(-SecondsBetween(paced_at_, now) / kAverageSeconds);
    pace_ = faded + amount / kAverageSeconds;
    paced_at_ = now;
  }
  return {now, amount, total_};
}

void RateBudget::GiveBack(double amount, TimePoint now) {
  if (!takes_back()) return;
  Settle(now);
  level_ = std::min(capacity_, level_ + amount);
}

void RateBudget::LearnLimit(const RateReading& reading) {
  const auto limit = static_cast<double>(*reading.limit);
  guessed_ = false;
  capacity_ = limit;
  per_second_ = limit / 60;
  if (!reading.remaining || !reading.reset || window_.end()) return;
  // The reset tells how far from full the server is: less than the limit where it holds less than a
  // minute's worth. More than a minute is that of a longer window; of those up to a minute that do
  // not fit a bucket, LimitWindow makes what can be made of them.
  const auto remaining = static_cast<double>(*reading.remaining);
  const double reset = Seconds(*reading.reset).count();
  const double full = remaining + reset * per_second_;
  if (full <= limit * kRounding + per_second_) {
    capacity_ = std::clamp(full, std::min(1.0, limit), limit);
  } else if (remaining < limit && reset > 60 * kRounding) {
    const double per_second = (limit - remaining) / reset;
    if (limit / per_second <= kLongestWindow) per_second_ = per_second;
  }
}

// From head to head: what was left and flowed back since, less what was taken here, is what should
// be left.
void RateBudget::LearnDrift(const Taken& taken, double remaining) {
  const double seconds = SecondsBetween(newest_.at, taken.at);
  if (!heard_ || seconds <= 0) return;
  if (window_.end()) {
    drift_ = 0;
    return;
  }
  const double expected = std::min(capacity_, newest_remaining_ + per_second_ * seconds) -
                          (taken.total - newest_.total);
  // Calls may overtake each other on their way; the errors of that cancel out over time.
  const double weight = 1 - std::exp(-seconds / kAverageSeconds);
  const double seen = (remaining - expected) / seconds;
  drift_ += weight * (std::clamp(seen, -per_second_, per_second_) - drift_);
}

void RateBudget::LearnWindow(const RateReading& reading, const Taken& taken) {
  if (!reading.limit || !reading.reset) return;
  window_.Observe(taken.at, taken.total - newest_.total, static_cast<double>(*reading.remaining),
                  *reading.reset, static_cast<double>(*reading.limit) / 60);
}

void RateBudget::Observe(const RateReading& reading, const Taken& taken, TimePoint now) {
  if (fixed_ || (!reading.limit && !known())) return;
  if (heard_ && taken.at < newest_.at) return;  // a call that was sent later has told more
  const bool first = !known();
  if (!first) Settle(now);
  if (reading.limit) LearnLimit(reading);
  if (!reading.remaining && !first) return;
  double then = capacity_;
  bool overtaking = false;
  if (reading.remaining) {
    then = static_cast<double>(*reading.remaining);
    overtaking = heard_ && SecondsBetween(newest_.at, taken.at) < kOvertaking;
    if (!overtaking) {
      LearnWindow(reading, taken);
      LearnDrift(taken, then);
      heard_ = true;
      newest_ = taken;
      newest_remaining_ = then;
    }
  }
  // Of a window that is over the head says nothing any more.
  if (window_.end() && taken.at < *window_.end() && now >= *window_.end()) then = capacity_;
  const double back = InWindow(now) ? 0 : RateAt(now) * SecondsBetween(taken.at, now);
  const double level = std::min(capacity_, then + back) - (total_ - taken.total);
  // While bursts are held back the budget says less than the pace.
  level_ = !first && (overtaking || HoldsBackAt(now)) ? std::min(level_, level) : level;
  settled_at_ = now;
}

// A server that tells no limit has one nevertheless: what was sent lately was too much.
void RateBudget::GuessLimit(TimePoint now) {
  guessed_ = true;
  per_second_ = pace_;
  capacity_ = per_second_ * kAverageSeconds;
  settled_at_ = now;
}

void RateBudget::Refuse(const RateReading& reading, const Taken& taken, TimePoint now) {
  Observe(reading, taken, now);
  if (!heard_) gives_back_ = false;
  if (!known()) GuessLimit(now);
  Settle(now);
  const bool explained =
      reading.remaining && static_cast<double>(*reading.remaining) < taken.amount;
  if (explained) return;
  level_ = std::min(level_, 0.0);
  if (taken.at <= share_at_) return;  // sent before the last cut: the same cause
  const bool soon = SmoothAt(now) && SecondsBetween(share_at_, now) < kSoonSeconds;
  // A call a second finds out whether it is over.
  if (guessed_) {
    refused_rate_ = RateAt(now);
    const double cut = per_second_ * (soon ? kDeepGuessCut : kGuessCut);
    per_second_ = std::max(cut, std::min(per_second_, taken.amount));
  }
  share_ = SmoothAt(now) ? std::max(kLeastShare, ShareAt(now) * kCut) : kSmoothShare;
  share_at_ = now;
  smooth_until_ = now + kSmoothTime;
}

}  // namespace postgen
