#include "llm/policy/limit_window.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace postgen {
namespace {

using Seconds = std::chrono::duration<double>;

// Enough for a verdict, although resets may be rounded to whole seconds.
constexpr double kJudgedSeconds = 5;
// Less of what a bucket's reset would have moved is a window's.
constexpr double kWindowShare = 0.25;
// What stands still moves less than this part of the time that goes by.
constexpr double kStandingShare = 0.5;
constexpr double kLeastElapsedSeconds = 2;

}  // namespace

void LimitWindow::Observe(TimePoint at, double taken, double remaining, Duration reset,
                          double per_second) {
  if (per_second <= 0) return;
  const TimePoint last = std::exchange(at_, at);
  const std::optional<TimePoint> before = std::exchange(reset_at_, at + reset);
  // A window that begins moves its end, and a bucket that gained more than was taken says nothing.
  const bool gained = remaining > std::exchange(remaining_, remaining);
  if (!before || gained) return;
  elapsed_ += Seconds(at - last).count();
  put_off_ += taken / per_second;
  moved_ += Seconds(*reset_at_ - *before).count();
  if (put_off_ < kJudgedSeconds || elapsed_ < kLeastElapsedSeconds) return;
  windowed_ = moved_ < std::min(put_off_ * kWindowShare, elapsed_ * kStandingShare);
  elapsed_ = put_off_ = moved_ = 0;
}

}  // namespace postgen
