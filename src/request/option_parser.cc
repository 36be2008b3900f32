#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postgen/json.h"
#include "request/edit_distance.h"
#include "request/field_table.h"
#include "request/json_value.h"
#include "request/option_fields.h"
#include "request/text_check.h"

namespace postgen {
namespace {

constexpr DocumentKind OptionGroup(std::string_view name) {
  return {Code::kInvalidConfig, Reading::kStrict, name};
}

constexpr DocumentKind kGeneral = OptionGroup("");
constexpr DocumentKind kLlm = OptionGroup("llm");
constexpr DocumentKind kStore = OptionGroup("store");

constexpr std::size_t kMaxEndpoints = 32;

std::vector<std::string> KnownKeys() {
  std::vector<std::string> keys;
  const auto add = [&keys](const std::string& prefix, const auto& fields) {
    for (const auto& field : fields) {
      if (!std::holds_alternative<NotYet>(field.member)) {
        keys.push_back(prefix + std::string(field.rule.name));
      }
    }
  };
  ForEachOptionGroup([&](std::string_view name, auto /*group*/, const auto& fields) {
    add(std::string(name) + ".", fields);
  });
  add("", kGeneralFields);
  return keys;
}

Error UnknownKey(const std::string& key) {
  const std::string shown = Printable(key);
  std::string nearest;
  std::size_t smallest = std::numeric_limits<std::size_t>::max();
  for (const std::string& known : KnownKeys()) {
    const std::size_t distance = EditDistance(shown, known);
    if (distance >= smallest) continue;
    smallest = distance;
    nearest = known;
  }
  // A dotted key at the top level is a known one written flat.
  const std::string advice = smallest == 0 ? "nest it: {\"group\": {\"key\": ...}}"
                                           : "the nearest known option is `" + nearest + "`";
  return {Code::kInvalidConfig, "unknown option `" + shown + "`: " + advice, shown};
}

// The last value of `key`; nullptr: absent or null.
const JsonValue* Find(const JsonValue::Object& object, std::string_view key) {
  const JsonValue* found = nullptr;
  for (const JsonValue::Member& member : object) {
    if (member.key == key) found = &member.value;
  }
  return found != nullptr && !found->IsNull() ? found : nullptr;
}

template <typename Group, typename Fields>
Status ReadGroup(const JsonValue& value, std::string_view name, const Fields& fields, Group* out) {
  const auto* members = value.As<JsonValue::Object>();
  if (members == nullptr) return FieldError(kGeneral, name, "must be a JSON object");
  std::vector<std::string_view> unknown;
  Status status = ReadFields(fields, *members, OptionGroup(name), out, &unknown);
  if (status.ok() && !unknown.empty()) {
    return UnknownKey(std::string(name) + "." + std::string(unknown.front()));
  }
  return status;
}

std::string EndpointName(std::size_t index) {
  return "llm.endpoints[" + std::to_string(index) + "]";
}

Status ReadEndpoint(const JsonValue& value, const std::string& name, LlmEndpoint* endpoint) {
  const auto* members = value.As<JsonValue::Object>();
  if (members == nullptr) return FieldError(kGeneral, name, "must be a JSON object");
  std::vector<std::string_view> unknown;
  Status status = ReadFields(kEndpointFields, *members, OptionGroup(name), endpoint, &unknown);
  if (!status.ok() || unknown.empty()) return status;
  const std::string shown = Printable(unknown.front());
  return Error(Code::kInvalidConfig,
               "unknown option `" + name + '.' + shown +
                   "`: an endpoint has base_url, api_key, models, headers, query and auth",
               name + '.' + shown);
}

Status CheckEndpoints(LlmOptions* llm) {
  if (llm->endpoints.size() > kMaxEndpoints) {
    return FieldError(kLlm, "endpoints",
                      "must not have more than " + std::to_string(kMaxEndpoints) + " entries");
  }
  for (std::size_t i = 0; i < llm->endpoints.size(); ++i) {
    LlmEndpoint& endpoint = llm->endpoints[i];
    const std::string name = EndpointName(i);
    endpoint.api_key = std::string(Trim(endpoint.api_key));
    if (endpoint.api_key.empty()) {
      return FieldError(OptionGroup(name), "api_key",
                        "must not be empty: servers that need no key take any text");
    }
    if (Status status = CheckFields(kEndpointFields, endpoint, OptionGroup(name)); !status.ok()) {
      return status;
    }
  }
  return {};
}

Status ReadOptions(const JsonValue::Object& document, Options* options) {
  std::vector<std::string_view> unknown;
  Status status = ReadFields(kGeneralFields, document, kGeneral, options, &unknown);
  ForEachOptionGroup([&](std::string_view name, auto group, const auto& fields) {
    std::erase(unknown, name);
    const JsonValue* value = Find(document, name);
    if (!status.ok() || value == nullptr) return;
    status = ReadGroup(*value, name, fields, &(options->*group));
  });
  if (status.ok() && !unknown.empty()) return UnknownKey(std::string(unknown.front()));
  return status;
}

Status CheckOptions(const Options& options) {
  Status status = CheckFields(kGeneralFields, options, kGeneral);
  ForEachOptionGroup([&](std::string_view name, auto group, const auto& fields) {
    if (status.ok()) status = CheckFields(fields, options.*group, OptionGroup(name));
  });
  return status;
}

Error EmptyKey() {
  return FieldError(kLlm, "api_key", "must not be empty: leave it out if there is none");
}

// A key that is there but empty is a mistake: an unset variable, an empty file.
bool HasEmptyKey(const JsonValue::Object& document) {
  const JsonValue* llm = Find(document, "llm");
  const auto* members = llm == nullptr ? nullptr : llm->As<JsonValue::Object>();
  const JsonValue* key = members == nullptr ? nullptr : Find(*members, "api_key");
  const auto* text = key == nullptr ? nullptr : key->As<std::string>();
  return text != nullptr && text->empty();
}

}  // namespace

Status ReadEndpoints(const JsonValue& value, LlmOptions* llm) {
  const auto* list = value.As<JsonValue::Array>();
  if (list == nullptr) return FieldError(kLlm, "endpoints", "must be a JSON array of objects");
  llm->endpoints.clear();
  for (std::size_t i = 0; i < list->size(); ++i) {
    Status status = ReadEndpoint((*list)[i], EndpointName(i), &llm->endpoints.emplace_back());
    if (!status.ok()) return status;
  }
  return {};
}

Result<Options> ParseOptions(std::string_view json) {
  const Result<JsonValue::Object> document = ParseBody(json, "options", Code::kInvalidConfig);
  if (!document.ok()) return document.error();
  if (HasEmptyKey(*document)) return EmptyKey();

  Options options;
  Status status = ReadOptions(*document, &options);
  if (status.ok()) status = ValidateOptions(&options);
  if (!status.ok()) return std::move(status).error();
  return options;
}

Status ValidateOptions(Options* options) {
  LlmOptions& llm = options->llm;
  const bool had_key = !llm.api_key.empty();
  llm.api_key = std::string(Trim(llm.api_key));
  if (had_key && llm.api_key.empty()) return EmptyKey();

  ForEachOptionGroup([options](std::string_view /*name*/, auto group, const auto& fields) {
    ClampFields(fields, &(options->*group));
  });
  if (Status status = CheckOptions(*options); !status.ok()) return status;
  if (Status status = CheckEndpoints(&llm); !status.ok()) return status;
  if (options->store.pool_min > options->store.pool_max) {
    return FieldError(kStore, "pool_min", "must not be greater than `store.pool_max`");
  }
  return {};
}

}  // namespace postgen
