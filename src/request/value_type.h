// What each type of a field can do, whatever the document: be read from JSON, be checked against a
// rule, be named and shown.
//
//   ValueType<T>::kName                        in the schema: "int", "string", ...
//   ValueType<T>::Expectation(rule)            "must be an integer from 10 to 4000"
//   ValueType<T>::Read(json, rule, reading, T*)   false: of another type
//   ValueType<T>::Violation(rule, value)       what the value must be; empty: it is
//   ValueType<T>::Write(value, JsonWriter*)    as JSON
#ifndef POSTGEN_SRC_REQUEST_VALUE_TYPE_H_
#define POSTGEN_SRC_REQUEST_VALUE_TYPE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "json/json_writer.h"
#include "request/enum_names.h"
#include "request/field.h"
#include "request/json_value.h"

namespace postgen {

// kTolerant: decimal strings serve as numbers, and integers as strings.
enum class Reading { kTolerant, kStrict };

// Enumerations. JSON's true and false serve as the words "true" and "false".
template <typename T>
struct ValueType {
  static_assert(std::is_enum_v<T>);
  static constexpr std::string_view kName = "enum";

  static std::string Expectation(const Rule& rule) {
    std::string text = "must be one of";
    std::string_view separator = " ";
    for (const EnumName<T>& entry : EnumNames<T>::kAll) {
      text.append(separator).append(entry.name);
      separator = ", ";
    }
    if (!rule.later_value.empty()) {
      text.append("; ").append(rule.later_value).append(" is not in this version yet");
    }
    return text;
  }

  static bool Read(const JsonValue& value, const Rule& /*rule*/, Reading /*reading*/, T* out) {
    std::string_view word;
    if (const auto* text = value.As<std::string>()) word = *text;
    if (const auto* flag = value.As<bool>()) word = *flag ? "true" : "false";
    for (const EnumName<T>& entry : EnumNames<T>::kAll) {
      if (entry.name != word) continue;
      *out = entry.value;
      return true;
    }
    return false;
  }

  static std::string Violation(const Rule& rule, T value) {
    return NameOf(value).empty() ? Expectation(rule) : std::string();
  }

  static void Write(T value, JsonWriter* json) { json->String(NameOf(value)); }
};

template <>
struct ValueType<bool> {
  static constexpr std::string_view kName = "bool";
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, bool* out);
  static std::string Violation(const Rule& /*rule*/, bool /*value*/) { return {}; }
  static void Write(bool value, JsonWriter* json) { json->Bool(value); }
};

template <>
struct ValueType<std::int64_t> {
  static constexpr std::string_view kName = "int";
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, std::int64_t* out);
  static std::string Violation(const Rule& rule, std::int64_t value);
  static void Write(std::int64_t value, JsonWriter* json) { json->Int(value); }
};

template <>
struct ValueType<int> : ValueType<std::int64_t> {
  // Larger integers become the largest int, which the rule's bounds refuse.
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, int* out);
};

template <>
struct ValueType<double> {
  static constexpr std::string_view kName = "number";
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, double* out);
  static std::string Violation(const Rule& rule, double value);
  static void Write(double value, JsonWriter* json) { json->Double(value); }
};

template <>
struct ValueType<std::string> {
  static constexpr std::string_view kName = "string";
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, std::string* out);
  static std::string Violation(const Rule& rule, const std::string& value);
  static void Write(const std::string& value, JsonWriter* json) { json->String(value); }
};

template <>
struct ValueType<JsonText> {
  static constexpr std::string_view kName = "json";
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, JsonText* out);
  static std::string Violation(const Rule& rule, const JsonText& value);
  static void Write(const JsonText& value, JsonWriter* json) { json->Raw(value.text); }
};

template <>
struct ValueType<std::vector<std::string>> {
  static constexpr std::string_view kName = "strings";
  using Strings = std::vector<std::string>;
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, Strings* out);
  static std::string Violation(const Rule& rule, const Strings& value);
  static void Write(const Strings& value, JsonWriter* json);
};

template <>
struct ValueType<std::map<std::string, std::string>> {
  static constexpr std::string_view kName = "object";
  using Map = std::map<std::string, std::string>;
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, Map* out);
  static std::string Violation(const Rule& rule, const Map& value);
  static void Write(const Map& value, JsonWriter* json);
};

template <>
struct ValueType<std::map<std::string, ModelPrice>> {
  static constexpr std::string_view kName = "object";
  using Map = std::map<std::string, ModelPrice>;
  static std::string Expectation(const Rule& rule);
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading, Map* out);
  static std::string Violation(const Rule& rule, const Map& value);
  static void Write(const Map& value, JsonWriter* json);
};

// An empty text is an absent one, but where the rule asks for some length.
template <typename T>
struct ValueType<std::optional<T>> : ValueType<T> {
  static bool Read(const JsonValue& value, const Rule& rule, Reading reading,
                   std::optional<T>* out) {
    if (!ValueType<T>::Read(value, rule, reading, &out->emplace())) return false;
    if constexpr (std::is_same_v<T, std::string>) {
      if ((*out)->empty() && rule.min < 1) out->reset();
    }
    return true;
  }

  static std::string Violation(const Rule& rule, const std::optional<T>& value) {
    return value ? ValueType<T>::Violation(rule, *value) : std::string();
  }

  static void Write(const std::optional<T>& value, JsonWriter* json) {
    if (value) {
      ValueType<T>::Write(*value, json);
    } else {
      json->Null();
    }
  }
};

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_VALUE_TYPE_H_
