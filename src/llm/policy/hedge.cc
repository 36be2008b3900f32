#include "llm/policy/hedge.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "llm/policy/failure_kind.h"

namespace postgen {
namespace {

Duration Scale(Duration duration, double factor) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, Duration::period>(duration) * factor);
}

double HalfLives(Duration age) {
  return std::chrono::duration<double>(age) / std::chrono::duration<double>(HedgePolicy::kForget);
}

// Puts `value` into a ring in place of its oldest one and keeps the count of those that are true.
template <std::size_t N>
void Put(bool value, std::array<bool, N>* ring, std::size_t* put, std::size_t* count) {
  bool& place = (*ring)[(*put)++ % N];
  *count -= place ? 1U : 0U;
  *count += value ? 1U : 0U;
  place = value;
}

}  // namespace

std::uint64_t HedgePolicy::OnSent(TimePoint now) {
  saved_percent_ = std::min(saved_percent_ + kExtraPercent, 100 * kMaxSaved);
  waiting_.emplace(next_number_, now);
  return next_number_++;
}

void HedgePolicy::OnFirstToken(std::uint64_t number, TimePoint now, Duration after) {
  if (waiting_.erase(number) > 0) Decide(/*late=*/delay_ && after > *delay_);
  Learn(now, after);
}

void HedgePolicy::OnGone(std::uint64_t number, TimePoint now, Duration after) {
  waiting_.erase(number);
  // A short wait that a caller broke off tells nothing; a long one is as good as a late token.
  if (delay_ && after >= *delay_) Learn(now, after);
}

void HedgePolicy::OnAttemptEnd(Code error) {
  Put(IsServerTrouble(error) || error == Code::kRateLimited, &failed_, &ended_, &failed_count_);
}

bool HedgePolicy::MayHedge(TimePoint now, Duration waited) {
  if (!delay_) return false;
  // All that are late count, not only the one that asks first; and if this one is, so are those
  // that were sent with it.
  const TimePoint late_if_sent_by = now - std::min(waited, *delay_);
  while (!waiting_.empty() && waiting_.begin()->second <= late_if_sent_by) {
    waiting_.erase(waiting_.begin());
    Decide(/*late=*/true);
  }
  const Duration best = Scale(best_median_, std::exp2(HalfLives(now - best_at_)));
  if (late_count_ > kMaxLate || failed_count_ > kMaxFailures) return false;
  if (median_ > kMaxMedian || median_ > Scale(best, kMaxSlowdown)) return false;
  return saved_percent_ >= 100;
}

void HedgePolicy::Decide(bool late) { Put(late, &late_, &decided_, &late_count_); }

void HedgePolicy::Learn(TimePoint now, Duration after) {
  tokens_[token_count_++ % kTokens] = after;
  if (token_count_ < kMinTokens) return;
  std::array<Duration, kTokens> sorted = tokens_;
  const std::size_t count = std::min(token_count_, kTokens);
  const auto place = static_cast<std::size_t>(kQuantile * static_cast<double>(count));
  std::nth_element(sorted.begin(), sorted.begin() + place, sorted.begin() + count);
  delay_ = std::max<Duration>(Scale(sorted[place], kPatience), kMinDelay);

  median_ = Median();
  if (best_median_ == Duration() ||
      median_ < Scale(best_median_, std::exp2(HalfLives(now - best_at_)))) {
    best_median_ = median_;
    best_at_ = now;
  }
}

// Of the most recent tokens.
Duration HedgePolicy::Median() const {
  std::array<Duration, kRecent> recent = {};
  const std::size_t count = std::min(token_count_, kRecent);
  for (std::size_t i = 0; i < count; ++i) recent[i] = tokens_[(token_count_ - 1 - i) % kTokens];
  std::nth_element(recent.begin(), recent.begin() + count / 2, recent.begin() + count);
  return recent[count / 2];
}

}  // namespace postgen
