#include "store/time_text.h"

#include <array>
#include <chrono>
#include <cstdio>

namespace postgen {
namespace {

using std::chrono::floor;
using std::chrono::microseconds;

// Takes digits off the front of `text`; std::nullopt: there are not so many.
std::optional<int> TakeDigits(std::string_view* text, std::size_t count) {
  if (text->size() < count) return std::nullopt;
  int value = 0;
  for (const char c : text->substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text->remove_prefix(count);
  return value;
}

bool TakeCharacter(std::string_view* text, char expected) {
  if (text->empty() || text->front() != expected) return false;
  text->remove_prefix(1);
  return true;
}

// ".5" is 500000 microseconds; nothing at all is 0.
std::optional<microseconds> TakeFraction(std::string_view* text) {
  if (text->empty()) return microseconds(0);
  if (!TakeCharacter(text, '.') || text->empty()) return std::nullopt;
  std::string digits(*text);
  if (digits.size() > 6) return std::nullopt;
  digits.resize(6, '0');
  std::string_view rest = digits;
  const std::optional<int> value = TakeDigits(&rest, 6);
  if (!value) return std::nullopt;
  return microseconds(*value);
}

}  // namespace

std::string FormatTime(WallTime time) {
  const auto rounded = floor<microseconds>(time);
  const auto day = floor<std::chrono::days>(rounded);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(rounded - day);
  std::array<char, 64> text{};
  const int size = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02u %02d:%02d:%02d.%06d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(size)};
}

std::optional<WallTime> ParseTime(std::string_view text) {
  const auto year = TakeDigits(&text, 4);
  if (!year || !TakeCharacter(&text, '-')) return std::nullopt;
  const auto month = TakeDigits(&text, 2);
  if (!month || !TakeCharacter(&text, '-')) return std::nullopt;
  const auto day = TakeDigits(&text, 2);
  if (!day || !TakeCharacter(&text, ' ')) return std::nullopt;
  const auto hours = TakeDigits(&text, 2);
  if (!hours || !TakeCharacter(&text, ':')) return std::nullopt;
  const auto minutes = TakeDigits(&text, 2);
  if (!minutes || !TakeCharacter(&text, ':')) return std::nullopt;
  const auto seconds = TakeDigits(&text, 2);
  if (!seconds) return std::nullopt;
  const auto fraction = TakeFraction(&text);
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  // A WallTime counts nanoseconds in 64 bits: it ends in the year 2262.
  constexpr int kFirstYear = 1678;
  constexpr int kLastYear = 2261;
  if (!fraction || !date.ok() || *year < kFirstYear || *year > kLastYear || *hours > 23 ||
      *minutes > 59 || *seconds > 59) {
    return std::nullopt;
  }
  return std::chrono::sys_days(date) + std::chrono::hours(*hours) + std::chrono::minutes(*minutes) +
         std::chrono::seconds(*seconds) + *fraction;
}

}  // namespace postgen
