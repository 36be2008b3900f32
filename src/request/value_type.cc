#include "request/value_type.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxListEntries = 1000;
constexpr std::size_t kMaxMapEntries = 1000;
constexpr double kMaxPrice = 1e6;

bool HasMin(const Rule& rule) { return rule.min > std::numeric_limits<std::int64_t>::min(); }
bool HasMax(const Rule& rule) { return rule.max < std::numeric_limits<std::int64_t>::max(); }

// "", " from 10 to 4000", " of at least 1"
std::string Range(const Rule& rule) {
  if (HasMin(rule) && HasMax(rule)) {
    return " from " + std::to_string(rule.min) + " to " + std::to_string(rule.max);
  }
  if (HasMin(rule)) return " of at least " + std::to_string(rule.min);
  if (HasMax(rule)) return " of at most " + std::to_string(rule.max);
  return "";
}

// The whole text as a number; std::nullopt also for values out of range.
template <typename T>
std::optional<T> ParseDecimal(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// std::nullopt: not integral or beyond 64 bits. The upper bound, 2^63, is itself out of range.
std::optional<std::int64_t> ToInteger(double value) {
  constexpr double kLimit = 9223372036854775808.0;
  if (!(value >= -kLimit && value < kLimit) || std::trunc(value) != value) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<double> ReadNumber(const JsonValue& value) {
  if (const auto* number = value.As<double>()) return *number;
  if (const auto* number = value.As<std::int64_t>()) return static_cast<double>(*number);
  if (const auto* number = value.As<std::uint64_t>()) return static_cast<double>(*number);
  return std::nullopt;
}

bool IsPrice(double value) { return value >= 0 && value <= kMaxPrice; }

std::optional<ModelPrice> ReadPrice(const JsonValue& value) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return std::nullopt;
  std::optional<double> input;
  std::optional<double> cached_input;
  std::optional<double> output;
  for (const auto& [key, price] : *object) {
    const std::optional<double> number = ReadNumber(price);
    if (!number) return std::nullopt;
    if (key == "input") {
      input = number;
    } else if (key == "cached_input") {
      cached_input = number;
    } else if (key == "output") {
      output = number;
    } else {
      return std::nullopt;
    }
  }
  if (!input || !output) return std::nullopt;
  return ModelPrice{*input, cached_input.value_or(*input), *output};
}

std::string Violated(TextCheck check, std::string_view text) {
  if (const std::string_view violation = TextViolation(text); !violation.empty()) {
    return std::string(violation);
  }
  return check == nullptr ? std::string() : std::string(check(text));
}

}  // namespace

// --- bool

std::string ValueType<bool>::Expectation(const Rule& /*rule*/) { return "must be true or false"; }

bool ValueType<bool>::Read(const JsonValue& value, const Rule& /*rule*/, Reading /*reading*/,
                           bool* out) {
  const auto* flag = value.As<bool>();
  if (flag == nullptr) return false;
  *out = *flag;
  return true;
}

// --- integers

std::string ValueType<std::int64_t>::Expectation(const Rule& rule) {
  return "must be an integer" + Range(rule);
}

bool ValueType<std::int64_t>::Read(const JsonValue& value, const Rule& rule, Reading reading,
                                   std::int64_t* out) {
  std::optional<std::int64_t> number;
  if (const auto* integer = value.As<std::int64_t>()) number = *integer;
  if (const auto* real = value.As<double>()) number = ToInteger(*real);
  const auto* text = value.As<std::string>();
  if (text != nullptr && reading == Reading::kTolerant) {
    std::string_view digits = *text;
    if (digits.substr(0, rule.prefix.size()) == rule.prefix) {
      digits.remove_prefix(rule.prefix.size());
    }
    number = ParseDecimal<std::int64_t>(digits);
  }
  if (!number) return false;
  *out = *number;
  return true;
}

std::string ValueType<std::int64_t>::Violation(const Rule& rule, std::int64_t value) {
  return value < rule.min || value > rule.max ? Expectation(rule) : std::string();
}

bool ValueType<int>::Read(const JsonValue& value, const Rule& rule, Reading reading, int* out) {
  std::int64_t wide = 0;
  if (!ValueType<std::int64_t>::Read(value, rule, reading, &wide)) return false;
  using Limits = std::numeric_limits<int>;
  *out = static_cast<int>(std::clamp<std::int64_t>(wide, Limits::min(), Limits::max()));
  return true;
}

// --- double

std::string ValueType<double>::Expectation(const Rule& rule) {
  return "must be a number" + Range(rule);
}

bool ValueType<double>::Read(const JsonValue& value, const Rule& /*rule*/, Reading reading,
                             double* out) {
  std::optional<double> number = ReadNumber(value);
  const auto* text = value.As<std::string>();
  if (text != nullptr && reading == Reading::kTolerant) number = ParseDecimal<double>(*text);
  if (!number) return false;
  *out = *number;
  return true;
}

std::string ValueType<double>::Violation(const Rule& rule, double value) {
  const bool inside =
      value >= static_cast<double>(rule.min) && value <= static_cast<double>(rule.max);
  return inside && std::isfinite(value) ? std::string() : Expectation(rule);
}

// --- string

std::string ValueType<std::string>::Expectation(const Rule& rule) {
  if (!HasMax(rule)) return "must be a string";
  if (HasMin(rule)) {
    return "must be a string of " + std::to_string(rule.min) + " to " + std::to_string(rule.max) +
           " characters";
  }
  return "must be a string of at most " + std::to_string(rule.max) + " characters";
}

bool ValueType<std::string>::Read(const JsonValue& value, const Rule& /*rule*/, Reading reading,
                                  std::string* out) {
  if (const auto* text = value.As<std::string>()) {
    *out = *text;
    return true;
  }
  // Ids that were sent as numbers.
  std::int64_t number = 0;
  if (reading != Reading::kTolerant ||
      !ValueType<std::int64_t>::Read(value, Rule{}, Reading::kStrict, &number)) {
    return false;
  }
  *out = std::to_string(number);
  return true;
}

std::string ValueType<std::string>::Violation(const Rule& rule, const std::string& value) {
  if (std::string violation = Violated(rule.check, value); !violation.empty()) return violation;
  if (!HasMin(rule) && !HasMax(rule)) return {};
  const auto characters = static_cast<std::int64_t>(CountCodePoints(value));
  if (characters < rule.min || characters > rule.max) return Expectation(rule);
  return {};
}

// --- JSON that passes through

std::string ValueType<JsonText>::Expectation(const Rule& rule) {
  return rule.array ? "must be a JSON array" : "must be a JSON object";
}

bool ValueType<JsonText>::Read(const JsonValue& value, const Rule& rule, Reading /*reading*/,
                               JsonText* out) {
  const bool fits = rule.array ? value.As<JsonValue::Array>() != nullptr
                               : value.As<JsonValue::Object>() != nullptr;
  if (!fits) return false;
  out->text = ToJson(value);
  return true;
}

std::string ValueType<JsonText>::Violation(const Rule& rule, const JsonText& value) {
  if (value.text.size() > kMaxBodyBytes) return "must not be longer than 1048576 bytes";
  const std::optional<JsonValue> json = ParseJson(value.text);
  JsonText minified;
  if (!json || !Read(*json, rule, Reading::kStrict, &minified)) return Expectation(rule);
  return std::string(StringsViolation(*json));
}

// --- strings

std::string ValueType<std::vector<std::string>>::Expectation(const Rule& /*rule*/) {
  return "must be an array of at most " + std::to_string(kMaxListEntries) + " strings";
}

bool ValueType<std::vector<std::string>>::Read(const JsonValue& value, const Rule& /*rule*/,
                                               Reading /*reading*/, Strings* out) {
  const auto* array = value.As<JsonValue::Array>();
  if (array == nullptr) return false;
  out->clear();
  for (const JsonValue& item : *array) {
    const auto* text = item.As<std::string>();
    if (text == nullptr) return false;
    out->push_back(*text);
  }
  return true;
}

std::string ValueType<std::vector<std::string>>::Violation(const Rule& rule, const Strings& value) {
  if (value.size() > kMaxListEntries) return Expectation(rule);
  for (const std::string& text : value) {
    if (const std::string violation = Violated(rule.check, text); !violation.empty()) {
      return "has an entry that is refused: it " + violation;
    }
  }
  return {};
}

void ValueType<std::vector<std::string>>::Write(const Strings& value, JsonWriter* json) {
  json->BeginArray();
  for (const std::string& text : value) json->String(text);
  json->EndArray();
}

// --- maps

std::string ValueType<std::map<std::string, std::string>>::Expectation(const Rule& /*rule*/) {
  return "must be an object of at most " + std::to_string(kMaxMapEntries) + " strings";
}

bool ValueType<std::map<std::string, std::string>>::Read(const JsonValue& value,
                                                         const Rule& /*rule*/, Reading /*reading*/,
                                                         Map* out) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return false;
  out->clear();
  for (const auto& [key, item] : *object) {
    const auto* text = item.As<std::string>();
    if (text == nullptr) return false;
    (*out)[key] = *text;
  }
  return true;
}

std::string ValueType<std::map<std::string, std::string>>::Violation(const Rule& rule,
                                                                     const Map& value) {
  if (value.size() > kMaxMapEntries) return Expectation(rule);
  for (const auto& [name, text] : value) {
    if (const std::string violation = Violated(rule.check_name, name); !violation.empty()) {
      return "has a name that is refused: it " + violation;
    }
    if (const std::string violation = Violated(rule.check, text); !violation.empty()) {
      return "has a value that is refused: it " + violation;
    }
  }
  return {};
}

void ValueType<std::map<std::string, std::string>>::Write(const Map& value, JsonWriter* json) {
  json->BeginObject();
  for (const auto& [name, text] : value) json->Key(name).String(text);
  json->EndObject();
}

std::string ValueType<std::map<std::string, ModelPrice>>::Expectation(const Rule& /*rule*/) {
  return "must map models to {input, cached_input, output}: USD per 1M tokens from 0 to 1000000, "
         "of which cached_input may be left out";
}

bool ValueType<std::map<std::string, ModelPrice>>::Read(const JsonValue& value,
                                                        const Rule& /*rule*/, Reading /*reading*/,
                                                        Map* out) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return false;
  out->clear();
  for (const auto& [model, item] : *object) {
    const std::optional<ModelPrice> price = ReadPrice(item);
    if (!price) return false;
    (*out)[model] = *price;
  }
  return true;
}

std::string ValueType<std::map<std::string, ModelPrice>>::Violation(const Rule& rule,
                                                                    const Map& value) {
  if (value.size() > kMaxMapEntries) return Expectation(rule);
  for (const auto& [model, price] : value) {
    if (const std::string violation = Violated(rule.check_name, model); !violation.empty()) {
      return "has a name that is refused: it " + violation;
    }
    if (!IsPrice(price.input) || !IsPrice(price.cached_input) || !IsPrice(price.output)) {
      return Expectation(rule);
    }
  }
  return {};
}

void ValueType<std::map<std::string, ModelPrice>>::Write(const Map& value, JsonWriter* json) {
  json->BeginObject();
  for (const auto& [model, price] : value) {
    json->Key(model).BeginObject();
    json->Key("input").Double(price.input);
    json->Key("cached_input").Double(price.cached_input);
    json->Key("output").Double(price.output);
    json->EndObject();
  }
  json->EndObject();
}

}  // namespace postgen
