#include "request/profile_json.h"

#include <optional>
#include <string>
#include <utility>

#include "request/field_table.h"
#include "request/json_value.h"
#include "request/request_fields.h"

namespace postgen {
namespace {

constexpr DocumentKind kRow = {Code::kInvalidConfig, Reading::kTolerant, "profile"};

Error RowError(std::string_view row, std::string_view what) {
  return {Code::kInvalidConfig, std::string(row) + ": " + std::string(what)};
}

// `row` names it in messages; `serial` is that of a row that has none of its own.
Result<KolProfile> ReadRow(const JsonValue& value, const std::string& row,
                           const std::string& serial) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return RowError(row, "must be a JSON object");
  KolProfile profile;
  std::vector<std::string_view> ignored;
  Status status = ReadFields(kProfileFields, *object, kRow, &profile, &ignored);
  if (profile.serial.empty()) profile.serial = serial;
  if (status.ok()) status = CheckFields(kProfileFields, profile, kRow);
  if (!status.ok()) return RowError(row, status.error().message);
  if (profile.serial.empty()) return RowError(row, "has no serial");
  return profile;
}

bool HasSerial(const JsonValue::Object& object) {
  for (const auto& [key, value] : object) {
    if (key == "serial") return true;
  }
  return false;
}

}  // namespace

Result<std::vector<KolProfile>> ParseProfiles(std::string_view json) {
  if (json.size() > kMaxBodyBytes) return RowError("the profiles", "are larger than 1 MiB");
  const std::optional<JsonValue> document = ParseJson(json);
  if (!document) return RowError("the profiles", "are not valid JSON in UTF-8");

  std::vector<KolProfile> profiles;
  const auto add = [&](const JsonValue& value, const std::string& row,
                       const std::string& serial) -> Status {
    Result<KolProfile> profile = ReadRow(value, row, serial);
    if (!profile.ok()) return std::move(profile).error();
    profiles.push_back(*std::move(profile));
    return {};
  };
  Status status;
  if (const auto* array = document->As<JsonValue::Array>()) {
    for (std::size_t i = 0; i < array->size() && status.ok(); ++i) {
      status = add((*array)[i], "entry " + std::to_string(i + 1), "");
    }
  } else if (const auto* object = document->As<JsonValue::Object>()) {
    if (HasSerial(*object)) {
      status = add(*document, "the profile", "");
    } else {
      for (auto member = object->begin(); member != object->end() && status.ok(); ++member) {
        status = add(member->value, "a KOL's entry", member->key);
      }
    }
  } else {
    status = RowError("the profiles", "must be a JSON array or object");
  }
  if (!status.ok()) return std::move(status).error();
  return profiles;
}

}  // namespace postgen
