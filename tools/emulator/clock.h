// The one clock of the emulator: monotonic, in nanoseconds.
#ifndef POSTGEN_EMULATOR_CLOCK_H_
#define POSTGEN_EMULATOR_CLOCK_H_

#include <chrono>

namespace emulator {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = std::chrono::nanoseconds;

inline Duration FromMs(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

inline double ToMs(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_CLOCK_H_
