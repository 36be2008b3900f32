#include "request/json_value.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "json/json_writer.h"
#include "request/text_check.h"

namespace postgen {
namespace {

namespace dom = simdjson::dom;

// Recursion ends at the parser's depth limit.
JsonValue Convert(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY: {
      JsonValue::Array array;
      for (const dom::element item : dom::array(element)) array.push_back(Convert(item));
      return {std::move(array)};
    }
    case dom::element_type::OBJECT: {
      JsonValue::Object object;
      for (const auto& [key, value] : dom::object(element)) {
        object.push_back({std::string(key), Convert(value)});
      }
      return {std::move(object)};
    }
    case dom::element_type::INT64: return {std::int64_t{element}};
    case dom::element_type::UINT64: return {std::uint64_t{element}};
    case dom::element_type::DOUBLE: return {double{element}};
    case dom::element_type::STRING: return {std::string(std::string_view(element))};
    case dom::element_type::BOOL: return {bool{element}};
    case dom::element_type::NULL_VALUE: break;
  }
  return {};
}

struct Writer {
  JsonWriter& json;

  void operator()(JsonValue::Null) const { json.Null(); }
  void operator()(bool value) const { json.Bool(value); }
  void operator()(std::int64_t value) const { json.Int(value); }
  void operator()(std::uint64_t value) const { json.Raw(std::to_string(value)); }
  void operator()(double value) const {
    std::string text;
    JsonWriter(&text).Double(value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    json.Raw(text);
  }
  void operator()(const std::string& value) const { json.String(value); }
  void operator()(const JsonValue::Array& array) const {
    json.BeginArray();
    for (const JsonValue& item : array) std::visit(*this, item.data);
    json.EndArray();
  }
  void operator()(const JsonValue::Object& object) const {
    json.BeginObject();
    for (const auto& [key, value] : object) {
      json.Key(key);
      std::visit(*this, value.data);
    }
    json.EndObject();
  }
};

}  // namespace

std::optional<JsonValue> ParseJson(std::string_view text) {
  if (text.empty()) return std::nullopt;  // and perhaps without an address, which the parser copies
  dom::parser parser(kMaxBodyBytes);
  const std::size_t capacity = std::max(text.size(), dom::MINIMAL_DOCUMENT_CAPACITY);
  if (parser.allocate(capacity, kMaxNesting) != simdjson::SUCCESS) return std::nullopt;
  dom::element root;
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS) return std::nullopt;
  return Convert(root);
}

std::string ToJson(const JsonValue& value) {
  std::string out;
  JsonWriter json(&out);
  std::visit(Writer{json}, value.data);
  return out;
}

std::string_view StringsViolation(const JsonValue& value) {
  if (const auto* text = value.As<std::string>()) return TextViolation(*text);
  if (const auto* array = value.As<JsonValue::Array>()) {
    for (const JsonValue& item : *array) {
      if (const std::string_view violation = StringsViolation(item); !violation.empty()) {
        return violation;
      }
    }
  }
  if (const auto* object = value.As<JsonValue::Object>()) {
    for (const auto& [key, item] : *object) {
      if (const std::string_view violation = TextViolation(key); !violation.empty()) {
        return violation;
      }
      if (const std::string_view violation = StringsViolation(item); !violation.empty()) {
        return violation;
      }
    }
  }
  return {};
}

}  // namespace postgen
