// A parsed JSON document as a plain tree, so that only json_value.cc meets the JSON parser.
//
//   Result<JsonValue> value = ParseJson(text, kMaxBodyBytes);
//   if (const auto* object = value->As<JsonValue::Object>()) { ... }
//
// Rules where JSON leaves a choice: of duplicate keys the last one counts, integers reach from
// -2^63 to 2^64 - 1, numbers that a double cannot hold are refused, nesting ends at kMaxNesting.
#ifndef POSTGEN_SRC_REQUEST_JSON_VALUE_H_
#define POSTGEN_SRC_REQUEST_JSON_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "postgen/error.h"

namespace postgen {

inline constexpr std::size_t kMaxBodyBytes = 1024UL * 1024;
inline constexpr std::size_t kMaxNesting = 64;

struct JsonValue {
  struct Member;
  using Null = std::monostate;
  using Array = std::vector<JsonValue>;
  using Object = std::vector<Member>;  // in the document's order, duplicates included

  // std::uint64_t only for integers that std::int64_t cannot hold.
  std::variant<Null, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data;

  template <typename T>
  const T* As() const {
    return std::get_if<T>(&data);
  }
  bool IsNull() const { return As<Null>() != nullptr; }
};

struct JsonValue::Member {
  std::string key;
  JsonValue value;
};

// Parses one whole document. std::nullopt: `text` is not JSON by the rules above, or not UTF-8.
// REQUIRES: text.size() <= kMaxBodyBytes.
std::optional<JsonValue> ParseJson(std::string_view text);

// The value as JSON without white space; an integral double keeps its point (1.0).
std::string ToJson(const JsonValue& value);

// Why the strings of `value`, keys included, cannot be taken (too long, NUL); empty: they can.
std::string_view StringsViolation(const JsonValue& value);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_JSON_VALUE_H_
