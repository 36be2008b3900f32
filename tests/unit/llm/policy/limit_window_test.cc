#include "llm/policy/limit_window.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <doctest/doctest.h>

#include "llm/policy/rate_budget.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr double kRate = 10;  // a second, of 600 a minute

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(Seconds(seconds));
}

// The heads of calls that are sent every `gap_s`, for so long.
struct Heads {
  double gap_s = 0.05;
  double seconds = 30;
  bool whole_seconds = false;  // resets are rounded up
};

LimitWindow AfterBucket(const Heads& heads) {
  LimitWindow window;
  double level = 600;
  for (double at = 0; at < heads.seconds; at += heads.gap_s) {
    level = std::min(600.0, level + kRate * heads.gap_s) - 1;
    double reset = (600 - level) / kRate;
    if (heads.whole_seconds) reset = std::ceil(reset);
    window.Observe(kStart + FromSeconds(at), 1, std::floor(level), FromSeconds(reset), kRate);
  }
  return window;
}

// Of a minute, `into_s` seconds of which are over at first.
LimitWindow AfterWindows(const Heads& heads, double into_s) {
  LimitWindow window;
  double level = 600;
  for (double at = into_s; at < into_s + heads.seconds; at += heads.gap_s) {
    const bool anew = std::floor(at / 60) != std::floor((at - heads.gap_s) / 60);
    level = anew ? 599 : std::max(0.0, level - 1);
    double reset = 60 - std::fmod(at, 60);
    if (heads.whole_seconds) reset = std::ceil(reset);
    window.Observe(kStart + FromSeconds(at), 1, level, FromSeconds(reset), kRate);
  }
  return window;
}

TEST_CASE("a bucket is no window, however fast it is emptied") {
  for (const double gap_s : {0.02, 0.05, 0.1, 0.3, 2.0}) {
    for (const bool whole_seconds : {false, true}) {
      CAPTURE(gap_s);
      CAPTURE(whole_seconds);
      const Heads heads{gap_s, 200 * gap_s, whole_seconds};
      CHECK_FALSE(AfterBucket(heads).end().has_value());
    }
  }
}

TEST_CASE("a window is found out, and its end is told, in the next one too") {
  for (const double gap_s : {0.05, 0.1, 0.3}) {
    for (const bool whole_seconds : {false, true}) {
      CAPTURE(gap_s);
      CAPTURE(whole_seconds);
      for (const double seconds : {30.0, 80.0}) {
        const auto end = AfterWindows({gap_s, seconds, whole_seconds}, 5).end();
        REQUIRE(end.has_value());
        const double error = Seconds(*end - kStart).count() - (seconds < 55 ? 60 : 120);
        CHECK(error >= -0.001);
        CHECK(error <= (whole_seconds ? 1 : 0.001));
      }
    }
  }
}

TEST_CASE("a reset that is the same duration each time says nothing") {
  for (const double reset_s : {0.0, 1.0, 60.0}) {
    for (const double gap_s : {0.0, 0.02, 0.1, 1.0}) {
      CAPTURE(reset_s);
      CAPTURE(gap_s);
      LimitWindow window;
      double left = 600;
      // Bursts of ten at once, as if there were much, and pauses between them.
      for (double at = 0; left > 0; --left) {
        const Duration time = FromSeconds(at);
        window.Observe(kStart + time, 1, left, FromSeconds(reset_s), kRate);
        at += static_cast<int>(left) % 10 == 0 ? 0.5 : gap_s;
        CHECK_FALSE(window.end().has_value());
      }
    }
  }
}

TEST_CASE("what was a window may turn out to be a bucket") {
  LimitWindow window = AfterWindows({}, 0);
  REQUIRE(window.end().has_value());
  for (int i = 1; i <= 100; ++i) {
    window.Observe(kStart + milliseconds(100 * i), 1, 500 - i, FromSeconds(10 + i / kRate), kRate);
  }
  CHECK_FALSE(window.end().has_value());
}

TEST_CASE("a refusal without heads does not choke a limit that is counted in windows") {
  RateBudget budget;
  TimePoint now = kStart;
  RateReading reading;
  reading.limit = 600;
  for (int i = 1; i <= 200; ++i) {
    const RateBudget::Taken taken = budget.Take(1, now);
    reading.remaining = 600 - i;
    reading.reset = std::chrono::seconds(60) - (now - kStart);
    budget.Observe(reading, taken, now);
    now += milliseconds(100);
  }
  budget.Refuse({}, budget.Take(1, now), now);
  CHECK(budget.ReadyAt(1, now) >= kStart + std::chrono::seconds(60));
  CHECK(budget.LevelAt(kStart + std::chrono::seconds(61)) == 600);
}

TEST_CASE("a limit without a rate says nothing") {
  LimitWindow window;
  for (int i = 0; i < 100; ++i) window.Observe(kStart, 1, 0, std::chrono::seconds(60), 0);
  CHECK_FALSE(window.end().has_value());
}

}  // namespace
}  // namespace postgen
