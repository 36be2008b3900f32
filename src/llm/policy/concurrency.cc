#include "llm/policy/concurrency.h"

#include <algorithm>
#include <chrono>

namespace postgen {
namespace {

constexpr double kCut = 0.7;
constexpr double kDeepCut = 0.5;
// Quiet for so long: whatever it was is over, and the limit grows by a share rather than by ones.
constexpr auto kQuiet = std::chrono::seconds(10);
constexpr double kQuietGrowth = 0.1;

}  // namespace

void Concurrency::End(Strain strain, TimePoint sent, TimePoint now) {
  const auto used = static_cast<double>(in_flight_);
  --in_flight_;
  if (strain != Strain::kNone) {
    // Calls that were under way at the last cut are part of what it answered.
    if (sent <= cut_at_) return;
    cut_at_ = now;
    limit_ = std::max(1.0, std::min(limit_, used) * (strain == Strain::kHigh ? kCut : kDeepCut));
    return;
  }
  if (limit_ >= most_ || used < limit_ / 2) return;  // what is not used proves nothing
  limit_ = std::min(most_, limit_ + (now - cut_at_ > kQuiet ? kQuietGrowth : 1 / limit_));
}

}  // namespace postgen
