#include "llm/wire/rate_headers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <utility>

namespace postgen {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kLongest = std::chrono::hours(24);
// No limit of a server is that high; a higher number is nonsense.
constexpr std::int64_t kHighestLimit = 1'000'000'000'000;
// Plain numbers from here on are no durations but times since 1970.
constexpr double kEpochSeconds = 1e9;
constexpr double kEpochMilliseconds = 1e12;

std::optional<std::int64_t> ParseCount(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0 || value > kHighestLimit) {
    return std::nullopt;
  }
  return value;
}

// The number at the start of *text, which is cut off; no signs, exponents or words.
std::optional<double> TakeNumber(std::string_view* text) {
  const std::size_t length = std::min(text->find_first_not_of("0123456789."), text->size());
  double value = 0;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + length, value);
  if (error != std::errc() || stop != text->data() + length) return std::nullopt;
  text->remove_prefix(length);
  return value;
}

// The seconds of the unit at the start of *text, which is cut off. Longer names stand first.
std::optional<double> TakeUnit(std::string_view* text) {
  static constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {
      {{"ms", 1e-3}, {"us", 1e-6}, {"µs", 1e-6}, {"ns", 1e-9}, {"h", 3600}, {"m", 60}, {"s", 1}}};
  for (const auto& [name, seconds] : kUnits) {
    if (!text->starts_with(name)) continue;
    text->remove_prefix(name.size());
    return seconds;
  }
  return std::nullopt;
}

std::optional<Duration> FromSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return std::nullopt;
  return std::chrono::ceil<Duration>(std::min(Seconds(seconds), kLongest));
}

std::optional<Duration> ParseReset(std::string_view text, WallTime now) {
  std::string_view rest = text;
  const std::optional<double> number = TakeNumber(&rest);
  if (!number || !rest.empty() || *number < kEpochSeconds) return ParseRateDuration(text);
  const double since_epoch = *number < kEpochMilliseconds ? *number : *number / 1000;
  return FromSeconds(since_epoch - Seconds(now.time_since_epoch()).count());
}

}  // namespace

RateReading ParseRateReading(std::string_view limit, std::string_view remaining,
                             std::string_view reset, WallTime now) {
  RateReading reading;
  reading.limit = ParseCount(limit);
  if (reading.limit == 0) reading.limit.reset();
  reading.remaining = ParseCount(remaining);
  reading.reset = ParseReset(reset, now);
  return reading;
}

std::optional<Duration> ParseRateDuration(std::string_view text) {
  double seconds = 0;
  std::string_view rest = text;
  do {
    const std::optional<double> number = TakeNumber(&rest);
    if (!number) return std::nullopt;
    if (rest.empty() && seconds == 0) return FromSeconds(*number);
    const std::optional<double> unit = TakeUnit(&rest);
    if (!unit) return std::nullopt;
    seconds += *number * *unit;
  } while (!rest.empty());
  return FromSeconds(seconds);
}

LimitKind LimitOf(const ProviderError& error) {
  if (error.type == "requests") return LimitKind::kRequests;
  if (error.type == "tokens") return LimitKind::kTokens;
  return LimitKind::kUnknown;
}

std::optional<Duration> FindTryAgain(std::string_view message) {
  static constexpr std::string_view kWords = "try again in ";
  const std::size_t found = message.find(kWords);
  if (found == std::string_view::npos) return std::nullopt;
  std::string_view rest = message.substr(found + kWords.size());
  rest = rest.substr(0, rest.find_first_of(" ,;"));
  while (rest.ends_with('.')) rest.remove_suffix(1);
  return ParseRateDuration(rest);
}

}  // namespace postgen
