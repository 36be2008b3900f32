#include "llm/wire/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace postgen {
namespace {

using std::chrono::milliseconds;

// Longer wishes are all the same to us, and this one cannot overflow.
constexpr double kLongestMs = 24.0 * 3600 * 1000;

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<milliseconds> FromMs(double ms) {
  if (!std::isfinite(ms) || ms <= 0) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::min(ms, kLongestMs))));
}

std::optional<milliseconds> ParseMs(std::string_view text) {
  const std::optional<double> ms = ParseNumber(text);
  return ms ? FromMs(*ms) : std::nullopt;
}

std::optional<milliseconds> ParseSecondsOrDate(const RetryHeaders& headers, WallTime now) {
  if (const std::optional<double> seconds = ParseNumber(headers.retry_after)) {
    return FromMs(*seconds * 1000);
  }
  const std::optional<WallTime> when = ParseHttpDate(headers.retry_after);
  if (!when) return std::nullopt;
  const WallTime server_now = ParseHttpDate(headers.date).value_or(now);
  const std::chrono::duration<double, std::milli> wait = *when - server_now;
  return FromMs(wait.count());
}

// The decimal number that fills text[begin, begin + length).
std::optional<int> ParseDigits(std::string_view text, std::size_t begin, std::size_t length) {
  int value = 0;
  for (const char c : text.substr(begin, length)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<unsigned> ParseMonth(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto* found = std::find(kMonths.begin(), kMonths.end(), name);
  if (found == kMonths.end()) return std::nullopt;
  return static_cast<unsigned>(found - kMonths.begin()) + 1;
}

}  // namespace

std::optional<milliseconds> ParseRetryAfter(const RetryHeaders& headers, WallTime now) {
  if (const auto ms = ParseMs(headers.retry_after_ms)) return ms;
  if (const auto ms = ParseMs(headers.x_ms_retry_after_ms)) return ms;
  return ParseSecondsOrDate(headers, now);
}

std::optional<bool> ParseShouldRetry(std::string_view value) {
  if (value == "true") return true;
  if (value == "false") return false;
  return std::nullopt;
}

std::optional<WallTime> ParseHttpDate(std::string_view text) {
  // Positions:                            0123456789012345678901234567 8
  static constexpr std::string_view kForm = "Sun, 06 Nov 1994 08:49:37 GMT";
  if (text.size() != kForm.size() || text[4] != ' ' || text[7] != ' ' || text[11] != ' ' ||
      text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto day = ParseDigits(text, 5, 2);
  const auto month = ParseMonth(text.substr(8, 3));
  const auto year = ParseDigits(text, 12, 4);
  const auto hour = ParseDigits(text, 17, 2);
  const auto minute = ParseDigits(text, 20, 2);
  const auto second = ParseDigits(text, 23, 2);
  if (!day || !month || !year || !hour || !minute || !second) return std::nullopt;
  // What a clock of nanoseconds can hold, with room for a difference.
  if (*year < 1970 || *year > 2200) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

}  // namespace postgen
