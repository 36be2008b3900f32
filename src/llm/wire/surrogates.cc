#include "llm/wire/surrogates.h"

#include <charconv>
#include <cstdint>
#include <system_error>

namespace postgen {
namespace {

constexpr std::size_t kEscapeSize = 6;  // of "\ud83d"

// The code unit of the \uXXXX escape at `offset`.
std::optional<std::uint32_t> UnicodeEscapeAt(std::string_view json, std::size_t offset) {
  if (json.substr(offset, 2) != "\\u" || json.size() - offset < kEscapeSize) return std::nullopt;
  std::uint32_t unit = 0;
  const char* end = json.data() + offset + kEscapeSize;
  const auto [stop, error] = std::from_chars(end - 4, end, unit, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return unit;
}

bool IsHigh(std::uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLow(std::uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

}  // namespace

std::optional<LoneSurrogate> FindLoneSurrogate(std::string_view json) {
  std::size_t i = json.find('\\');
  while (i != std::string_view::npos) {
    const std::optional<std::uint32_t> unit = UnicodeEscapeAt(json, i);
    if (unit && IsLow(*unit)) return LoneSurrogate{i, false};
    if (unit && IsHigh(*unit)) {
      const std::optional<std::uint32_t> partner = UnicodeEscapeAt(json, i + kEscapeSize);
      if (!partner || !IsLow(*partner)) return LoneSurrogate{i, true};
      i += kEscapeSize;
    }
    i = json.find('\\', i + (unit ? kEscapeSize : 2));
  }
  return std::nullopt;
}

std::optional<std::string> SurrogateJoiner::TakeHigh(std::string_view json) {
  const std::optional<LoneSurrogate> lone = FindLoneSurrogate(json);
  if (!lone || !lone->high || holding()) return std::nullopt;
  if (json.substr(lone->offset + kEscapeSize, 1) != "\"") return std::nullopt;
  held_ = json.substr(lone->offset, kEscapeSize);
  return std::string(json).erase(lone->offset, kEscapeSize);
}

std::optional<std::string> SurrogateJoiner::PutHigh(std::string_view json) {
  const std::optional<LoneSurrogate> lone = FindLoneSurrogate(json);
  if (!lone || lone->high || !holding()) return std::nullopt;
  if (lone->offset == 0 || json[lone->offset - 1] != '"') return std::nullopt;
  std::string joined = std::string(json).insert(lone->offset, held_);
  held_.clear();
  return joined;
}

}  // namespace postgen
