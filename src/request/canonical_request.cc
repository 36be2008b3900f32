#include "request/canonical_request.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "request/request_fields.h"

namespace postgen {
namespace {

void Append(std::string_view text, std::string* out) {
  *out += std::to_string(text.size());
  *out += ':';
  *out += text;
}

void Append(double number, std::string* out) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  Append(std::string_view(digits, static_cast<std::size_t>(end - digits)), out);
}

template <typename T>
void AppendValue(const T& value, std::string* out) {
  if constexpr (std::is_same_v<T, std::string>) {
    Append(std::string_view(value), out);
  } else if constexpr (std::is_same_v<T, JsonText>) {
    Append(std::string_view(value.text), out);
  } else if constexpr (std::is_same_v<T, double>) {
    Append(value, out);
  } else if constexpr (std::is_enum_v<T>) {
    Append(std::to_string(static_cast<int>(value)), out);
  } else if constexpr (std::is_arithmetic_v<T>) {
    Append(std::to_string(value), out);
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    Append(std::to_string(value.size()), out);
    for (const std::string& item : value) Append(std::string_view(item), out);
  }
}

template <typename T>
void AppendValue(const std::optional<T>& value, std::string* out) {
  *out += value.has_value() ? '+' : '-';
  if (value.has_value()) AppendValue(*value, out);
}

template <typename Document, typename Fields>
void AppendFields(const Document& document, const Fields& fields, std::string* out) {
  for (const auto& field : fields) {
    if (field.rule.name == "idempotency_key" || field.rule.name == "deadline_ms" ||
        field.rule.name == "tenant") {
      continue;
    }
    std::visit(
        [&](auto member) {
          if constexpr (std::is_member_object_pointer_v<decltype(member)>) {
            Append(field.rule.name, out);
            AppendValue(document.*member, out);
          }
        },
        field.member);
  }
}

}  // namespace

std::string CanonicalRequest(const PostRequest& request) {
  std::string bytes;
  AppendFields(request, kRequestFields, &bytes);
  bytes += request.profile.has_value() ? '+' : '-';
  if (request.profile.has_value()) AppendFields(*request.profile, kProfileFields, &bytes);
  return bytes;
}

}  // namespace postgen
