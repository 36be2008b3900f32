#include "request/timestamp.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>

namespace postgen {

std::string TaipeiTimestamp(WallTime time) {
  using std::chrono::floor;
  // Taiwan keeps no daylight saving time. Microseconds first: nanoseconds end in 2262.
  const auto local = floor<std::chrono::microseconds>(time) + std::chrono::hours(8);
  const auto day = floor<std::chrono::days>(local);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(local - day);
  std::array<char, 64> text;
  const int length = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06d+08:00",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace postgen
