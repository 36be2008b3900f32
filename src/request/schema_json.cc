#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "json/json_writer.h"
#include "postgen/json.h"
#include "request/enum_names.h"
#include "request/field.h"
#include "request/option_fields.h"
#include "request/request_fields.h"
#include "request/value_type.h"

namespace postgen {
namespace {

template <typename T>
void WriteType(JsonWriter* json) {
  json->Key("type").String(ValueType<T>::kName);
  if constexpr (std::is_enum_v<T>) {
    json->Key("values").BeginArray();
    for (const EnumName<T>& entry : EnumNames<T>::kAll) json->String(entry.name);
    json->EndArray();
  }
}

void WriteBounds(const Rule& rule, JsonWriter* json) {
  using Limits = std::numeric_limits<std::int64_t>;
  if (rule.min != Limits::min()) json->Key("min").Int(rule.min);
  if (rule.max != Limits::max()) json->Key("max").Int(rule.max);
}

// One entry for each field that can be used in this version.
template <typename Document, typename Fields>
void WriteFields(std::string_view group, const Fields& fields, JsonWriter* json) {
  const Document defaults;
  for (const Field<Document>& field : fields) {
    if (std::holds_alternative<NotYet>(field.member)) continue;
    json->BeginObject();
    json->Key("name").String(std::string(group) + std::string(field.rule.name));
    const auto write = [&](const auto& member) {
      if constexpr (std::is_member_object_pointer_v<std::decay_t<decltype(member)>>) {
        using Member = std::decay_t<decltype(defaults.*member)>;
        WriteType<Member>(json);
        json->Key("default");
        ValueType<Member>::Write(defaults.*member, json);
      } else {
        json->Key("type").String(field.rule.array ? "json" : "object");
        json->Key("default").Null();
      }
    };
    std::visit(write, field.member);
    WriteBounds(field.rule, json);
    json->Key("doc").String(field.rule.doc);
    json->EndObject();
  }
}

void WriteCodes(JsonWriter* json) {
  for (std::int32_t number = 0; number <= static_cast<std::int32_t>(Code::kInternal); ++number) {
    const auto code = static_cast<Code>(number);
    json->BeginObject();
    json->Key("name").String(CodeName(code));
    json->Key("number").Int(number);
    json->Key("http_status").Int(HttpStatus(code));
    json->EndObject();
  }
}

}  // namespace

std::string SchemaJson() {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("request").BeginArray();
  WriteFields<PostRequest>("", kRequestFields, &json);
  json.EndArray();
  json.Key("options").BeginArray();
  const Options defaults;
  ForEachOptionGroup([&](std::string_view name, auto group, const auto& fields) {
    using Group = std::remove_cvref_t<decltype(defaults.*group)>;
    WriteFields<Group>(std::string(name) + ".", fields, &json);
  });
  WriteFields<Options>("", kGeneralFields, &json);
  json.EndArray();
  json.Key("codes").BeginArray();
  WriteCodes(&json);
  json.EndArray();
  json.EndObject();
  return out;
}

}  // namespace postgen
