// The documents that parts written in other languages receive and give.

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postgen/json.h"
#include "request/field_table.h"
#include "request/post_json.h"
#include "request/timestamp.h"

namespace postgen {
namespace {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
  }
  return "user";
}

FinishReason FinishReasonOf(std::string word) {
  using Kind = FinishReason::Kind;
  const Kind kind = word == "stop"             ? Kind::kStop
                    : word == "length"         ? Kind::kLength
                    : word == "content_filter" ? Kind::kContentFilter
                                               : Kind::kOther;
  return {kind, std::move(word)};
}

void WriteNullable(const std::optional<std::int64_t>& value, JsonWriter* json) {
  if (value) {
    json->Int(*value);
  } else {
    json->Null();
  }
}

// --- The reply of an LLM client

constexpr std::int64_t kMaxTokens = 1'000'000'000;

struct ReplyDocument {
  std::optional<std::string> text;
  std::string finish_reason = "stop";
  std::string model;
  std::string request_id;
  std::optional<Usage> usage;
};

constexpr DocumentKind kReply{Code::kProtocol, Reading::kStrict, ""};
constexpr DocumentKind kReplyUsage{Code::kProtocol, Reading::kStrict, "usage"};

constexpr auto kUsageFields = std::to_array<Field<Usage>>({
    {&Usage::prompt_tokens, {.name = "prompt_tokens", .min = 0, .max = kMaxTokens}},
    {&Usage::completion_tokens, {.name = "completion_tokens", .min = 0, .max = kMaxTokens}},
    {&Usage::cached_tokens, {.name = "cached_tokens", .min = 0, .max = kMaxTokens}},
});

Status ReadUsage(const JsonValue& value, ReplyDocument* out) {
  const auto* object = value.As<JsonValue::Object>();
  if (object == nullptr) return FieldError(kReply, "usage", "must be a JSON object");
  std::vector<std::string_view> ignored;
  Usage& usage = out->usage.emplace();
  Status status = ReadFields(kUsageFields, *object, kReplyUsage, &usage, &ignored);
  return status.ok() ? CheckFields(kUsageFields, usage, kReplyUsage) : status;
}

constexpr auto kReplyFields = std::to_array<Field<ReplyDocument>>({
    {&ReplyDocument::text, {.name = "text"}},
    {&ReplyDocument::finish_reason, {.name = "finish_reason", .max = 100}},
    {&ReplyDocument::model, {.name = "model", .max = 200}},
    {&ReplyDocument::request_id, {.name = "request_id", .max = 200}},
    {ReadObject<ReplyDocument>(&ReadUsage), {.name = "usage"}},
});

}  // namespace

std::string LlmRequestToJson(const LlmRequest& request, TimePoint now) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("model").String(request.model);
  json.Key("messages").BeginArray();
  for (const Message& message : request.messages) {
    json.BeginObject();
    json.Key("role").String(RoleName(message.role));
    json.Key("content").String(message.content);
    json.EndObject();
  }
  json.EndArray();
  json.Key("max_tokens").Int(request.max_tokens);
  json.Key("temperature");
  if (request.temperature) {
    json.Double(*request.temperature);
  } else {
    json.Null();
  }
  json.Key("timeout_ms");
  if (request.deadline == TimePoint::max()) {
    json.Null();
  } else {
    json.Int(std::chrono::duration_cast<std::chrono::milliseconds>(request.deadline - now).count());
  }
  json.Key("posting_type").String(request.posting_type);
  json.Key("angle").String(request.angle);
  json.Key("version_number").Int(request.version_number);
  json.Key("stock_code").String(request.stock_code);
  json.Key("stock_name").String(request.stock_name);
  json.Key("max_words").Int(request.max_words);
  json.EndObject();
  return out;
}

Result<LlmReply> ParseLlmReply(std::string_view json) {
  Result<JsonValue::Object> object = ParseBody(json, "reply", Code::kProtocol);
  if (!object.ok()) return object.error();
  ReplyDocument document;
  std::vector<std::string_view> ignored;
  if (Status read = ReadFields(kReplyFields, *object, kReply, &document, &ignored); !read.ok()) {
    return read.error();
  }
  if (Status valid = CheckFields(kReplyFields, document, kReply); !valid.ok()) return valid.error();
  if (!document.text) return FieldError(kReply, "text", "must be there and not empty");

  LlmReply reply;
  reply.text = *std::move(document.text);
  reply.finish_reason = FinishReasonOf(std::move(document.finish_reason));
  reply.model = std::move(document.model);
  reply.request_id = std::move(document.request_id);
  if (document.usage) {
    reply.usage = *document.usage;
    reply.usage_kind = UsageKind::kExact;
  }
  return reply;
}

std::string PostRowToJson(const PostRow& row) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("post_id").String(row.post_id);
  json.Key("created_at").String(TaipeiTimestamp(row.created_at));
  json.Key("session_id");
  WriteNullable(row.session_id, &json);
  json.Key("kol_serial").Int(row.kol_serial);
  json.Key("kol_nickname").String(row.kol_nickname);
  json.Key("kol_persona").String(row.kol_persona);
  json.Key("stock_code").String(row.stock_code);
  json.Key("stock_name").String(row.stock_name);
  json.Key("title").String(row.title);
  json.Key("content").String(row.content);
  json.Key("content_md").String(row.content_md);
  json.Key("status").String(row.status);
  json.Key("commodity_tags").String(row.commodity_tags);
  json.Key("generation_params").String(row.generation_params);
  json.Key("alternative_versions").OptionalString(row.alternative_versions);
  json.Key("trigger_type").String(row.trigger_type);
  json.Key("generation_mode").String(row.generation_mode);
  json.Key("topic_id").OptionalString(row.topic_id);
  json.Key("topic_title").OptionalString(row.topic_title);
  json.Key("has_trending_topic").Bool(row.has_trending_topic);
  json.Key("topic_content").OptionalString(row.topic_content);
  json.EndObject();
  return out;
}

}  // namespace postgen
