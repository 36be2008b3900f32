// Looks into a JSON document from a test.
#ifndef POSTGEN_TESTS_UNIT_REQUEST_JSON_PATH_H_
#define POSTGEN_TESTS_UNIT_REQUEST_JSON_PATH_H_

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "request/json_value.h"

namespace postgen {

// The keys of an object in the document's order.
inline std::vector<std::string> Keys(const JsonValue& value) {
  std::vector<std::string> keys;
  const auto* object = value.As<JsonValue::Object>();
  REQUIRE(object != nullptr);
  for (const JsonValue::Member& member : *object) keys.push_back(member.key);
  return keys;
}

inline JsonValue Parsed(std::string_view json) {
  std::optional<JsonValue> value = ParseJson(json);
  REQUIRE_MESSAGE(value.has_value(), std::string(json));
  return *std::move(value);
}

// The value at "postgen/versions/0/title".
inline const JsonValue& At(const JsonValue& root, std::string_view path) {
  const JsonValue* at = &root;
  while (!path.empty()) {
    const std::string step(path.substr(0, path.find('/')));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    const JsonValue* next = nullptr;
    if (const auto* array = at->As<JsonValue::Array>()) {
      const std::size_t index = std::stoul(step);
      if (index < array->size()) next = &(*array)[index];
    }
    if (const auto* object = at->As<JsonValue::Object>()) {
      for (const JsonValue::Member& member : *object) {
        if (member.key == step) next = &member.value;
      }
    }
    REQUIRE_MESSAGE(next != nullptr, step);
    at = next;
  }
  return *at;
}

// The value at `path` as JSON, for short comparisons: "\"stop\"", "null", "12.5".
inline std::string JsonAt(const JsonValue& root, std::string_view path) {
  return ToJson(At(root, path));
}

}  // namespace postgen

#endif  // POSTGEN_TESTS_UNIT_REQUEST_JSON_PATH_H_
