#include "llm/wire/request_body.h"

#include <cstddef>
#include <string_view>

#include "json/json_writer.h"

namespace postgen {
namespace {

std::string_view RoleName(Role role, const ModelParameters& parameters) {
  switch (role) {
    case Role::kSystem: return parameters.system_role ? "system" : "developer";
    case Role::kAssistant: return "assistant";
    case Role::kUser: break;
  }
  return "user";
}

std::size_t EstimatedSize(const LlmRequest& request) {
  std::size_t size = 256 + request.model.size();
  for (const Message& message : request.messages) {
    // Line breaks and quotes grow when escaped.
    size += 48 + message.content.size() + message.content.size() / 16;
  }
  return size;
}

void WriteMessages(const LlmRequest& request, const ModelParameters& parameters, JsonWriter* json) {
  json->Key("messages").BeginArray();
  for (const Message& message : request.messages) {
    json->BeginObject();
    json->Key("role").String(RoleName(message.role, parameters));
    json->Key("content").String(message.content);
    json->EndObject();
  }
  json->EndArray();
}

}  // namespace

std::string WriteRequestBody(const LlmRequest& request, const ModelParameters& parameters,
                             bool stream) {
  std::string body;
  body.reserve(EstimatedSize(request));
  JsonWriter json(&body);
  json.BeginObject();
  json.Key("model").String(request.model);
  WriteMessages(request, parameters, &json);
  if (request.max_tokens > 0) {
    json.Key(TokenFieldName(parameters.token_field));
    json.Int(request.max_tokens + parameters.reasoning_allowance_tokens);
  }
  if (request.temperature && parameters.temperature) {
    json.Key("temperature").Double(*request.temperature);
  }
  if (stream) {
    json.Key("stream").Bool(true);
    if (parameters.stream_options) {
      json.Key("stream_options").BeginObject().Key("include_usage").Bool(true).EndObject();
    }
  }
  json.EndObject();
  return body;
}

}  // namespace postgen
