#include "request/field_table.h"

#include <optional>
#include <utility>

#include "text/utf8.h"

namespace postgen {

Error FieldError(const DocumentKind& kind, std::string_view name, std::string_view violation) {
  std::string path(kind.parent);
  if (!path.empty()) path += '.';
  path += name;
  std::string message = "`" + path + "` " + std::string(violation);
  return {kind.code, std::move(message), std::move(path)};
}

Result<JsonValue::Object> ParseBody(std::string_view text, std::string_view noun, Code code) {
  const auto error = [&](const std::string& violation) {
    return Error(code, "the " + std::string(noun) + " " + violation, std::string(noun));
  };
  if (text.size() > kMaxBodyBytes) {
    return error("must not be longer than " + std::to_string(kMaxBodyBytes) + " bytes");
  }
  if (const std::optional<std::size_t> offset = FindInvalidUtf8(text)) {
    return error("must be valid UTF-8, which it is not at byte " + std::to_string(*offset));
  }
  std::optional<JsonValue> value = ParseJson(text);
  if (!value) {
    return error("must be one valid JSON document of at most " + std::to_string(kMaxNesting) +
                 " nested levels");
  }
  auto* object = std::get_if<JsonValue::Object>(&value->data);
  if (object == nullptr) return error("must be a JSON object");
  return std::move(*object);
}

}  // namespace postgen
