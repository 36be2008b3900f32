// Whole texts to numbers, by std::from_chars: no locale, no leading blanks, nothing left over.
#ifndef POSTGEN_EMULATOR_NUMBERS_H_
#define POSTGEN_EMULATOR_NUMBERS_H_

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace emulator {

template <typename Number>
std::optional<Number> ToNumber(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  auto [stop, code] = std::from_chars(text.data(), end, number);
  if (code != std::errc() || stop != end) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(number)) return std::nullopt;
  }
  return number;
}

// The shortest text that reads back as `number`.
template <typename Number>
std::string ToText(Number number) {
  char digits[40];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_NUMBERS_H_
