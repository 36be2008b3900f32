// Reads and checks a document by its table of fields.
#ifndef POSTGEN_SRC_REQUEST_FIELD_TABLE_H_
#define POSTGEN_SRC_REQUEST_FIELD_TABLE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "request/field.h"
#include "request/json_value.h"
#include "request/value_type.h"

namespace postgen {

// What the errors about a document have in common.
struct DocumentKind {
  Code code;  // kInvalidRequest or kInvalidConfig
  Reading reading;
  std::string_view parent;  // of nested documents, for messages: "llm", "profile"
};

template <typename Document, std::size_t N>
using FieldTable = std::array<Field<Document>, N>;

// "`llm.temperature` must be a number from 0 to 2"
Error FieldError(const DocumentKind& kind, std::string_view name, std::string_view violation);

// The object that `text` is. `noun` ("request") names the document in messages.
Result<JsonValue::Object> ParseBody(std::string_view text, std::string_view noun, Code code);

template <typename Document>
Status ReadField(const Field<Document>& field, const JsonValue& value, const DocumentKind& kind,
                 Document* out) {
  const auto read = [&](const auto& member) -> Status {
    using Member = std::decay_t<decltype(member)>;
    if constexpr (std::is_same_v<Member, NotYet>) {
      return FieldError(kind, field.rule.name,
                        "is not in this version of postgen yet: leave it out");
    } else if constexpr (std::is_same_v<Member, ReadObject<Document>>) {
      return member(value, out);
    } else {
      using Type = ValueType<std::decay_t<decltype(out->*member)>>;
      if (Type::Read(value, field.rule, kind.reading, &(out->*member))) return {};
      return FieldError(kind, field.rule.name, Type::Expectation(field.rule));
    }
  };
  return std::visit(read, field.member);
}

// Reads the fields of `object` into *out, in the order of the table. Of duplicate keys the last one
// counts; null is absent. Keys that the table does not have go to *unknown; they borrow from
// `object`.
template <typename Document, std::size_t N>
Status ReadFields(const FieldTable<Document, N>& fields, const JsonValue::Object& object,
                  const DocumentKind& kind, Document* out, std::vector<std::string_view>* unknown) {
  std::array<const JsonValue*, N> found{};
  for (const auto& [key, value] : object) {
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&key = key](const auto& f) { return f.rule.name == key; });
    if (field == fields.end()) {
      unknown->push_back(key);
    } else {
      found[static_cast<std::size_t>(field - fields.begin())] = &value;
    }
  }
  for (std::size_t i = 0; i < N; ++i) {
    if (found[i] == nullptr || found[i]->IsNull()) continue;
    if (Status status = ReadField(fields[i], *found[i], kind, out); !status.ok()) return status;
  }
  return {};
}

// Checks every field that is a member against its rule.
template <typename Document, std::size_t N>
Status CheckFields(const FieldTable<Document, N>& fields, const Document& document,
                   const DocumentKind& kind) {
  for (const Field<Document>& field : fields) {
    const auto violation = [&](const auto& member) -> std::string {
      if constexpr (std::is_member_object_pointer_v<std::decay_t<decltype(member)>>) {
        using Type = ValueType<std::decay_t<decltype(document.*member)>>;
        return Type::Violation(field.rule, document.*member);
      } else {
        return {};
      }
    };
    if (const std::string text = std::visit(violation, field.member); !text.empty()) {
      return FieldError(kind, field.rule.name, text);
    }
  }
  return {};
}

// Brings the integers whose rule says so down to their greatest value.
template <typename Document, std::size_t N>
void ClampFields(const FieldTable<Document, N>& fields, Document* document) {
  for (const Field<Document>& field : fields) {
    const auto* member = std::get_if<std::int64_t Document::*>(&field.member);
    if (member == nullptr || !field.rule.clamp_max) continue;
    std::int64_t& value = document->**member;
    value = std::min(value, field.rule.max);
  }
}

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_FIELD_TABLE_H_
