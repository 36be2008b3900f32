#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json/json_writer.h"
#include "postgen/json.h"
#include "request/enum_names.h"
#include "request/post_json.h"
#include "request/timestamp.h"

namespace postgen {
namespace {

constexpr std::string_view kSuccessMessage = "貼文已產生";
constexpr int kMillisecondDecimals = 3;

void WriteMilliseconds(double value, JsonWriter* json) { json->Fixed(value, kMillisecondDecimals); }

void WriteTextOrNull(std::string_view text, JsonWriter* json) {
  if (text.empty()) {
    json->Null();
  } else {
    json->String(text);
  }
}

template <typename Integer>
void WriteIntOrNull(const std::optional<Integer>& value, JsonWriter* json) {
  if (value) {
    json->Int(*value);
  } else {
    json->Null();
  }
}

// Code, message and every detail; unknown ones are null.
void WriteError(const Error& error, JsonWriter* json) {
  const ErrorDetails& details = error.details;
  json->BeginObject();
  json->Key("code").String(CodeName(error.code));
  json->Key("message").String(error.message);
  json->Key("http_status");
  WriteIntOrNull(details.http_status, json);
  json->Key("provider_code");
  WriteTextOrNull(details.provider_code, json);
  json->Key("request_id");
  WriteTextOrNull(details.request_id, json);
  json->Key("retry_after_ms");
  WriteIntOrNull(details.retry_after_ms, json);
  json->Key("attempts").Int(details.attempts);
  json->Key("field");
  WriteTextOrNull(details.field, json);
  json->EndObject();
}

void WriteVersionError(const std::optional<Error>& error, JsonWriter* json) {
  if (!error) {
    json->Null();
    return;
  }
  json->BeginObject();
  json->Key("code").String(CodeName(error->code));
  json->Key("message").String(error->message);
  json->EndObject();
}

void WriteVersion(const VersionResult& version, JsonWriter* json) {
  json->BeginObject();
  json->Key("version_number").Int(version.version_number);
  json->Key("angle").String(version.angle);
  json->Key("title").String(version.title);
  json->Key("content").String(version.content);
  json->Key("words").Int(version.words);
  json->Key("within_limit").Bool(version.within_limit);
  json->Key("source");
  WriteSource(version.source, json);
  json->Key("model").String(version.model);
  json->Key("finish_reason");
  WriteFinishReason(version.finish_reason, json);
  json->Key("attempts").Int(version.attempts);
  json->Key("ttft_ms");
  if (version.ttft_ms) {
    WriteMilliseconds(*version.ttft_ms, json);
  } else {
    json->Null();
  }
  json->Key("total_ms");
  WriteMilliseconds(version.total_ms, json);
  json->Key("usage");
  WriteUsage(version.usage, json);
  json->Key("usage_kind").String(NameOf(version.usage_kind));
  json->Key("cost_usd");
  WriteCost(version.cost_usd, json);
  json->Key("request_id");
  WriteTextOrNull(version.request_id, json);
  json->Key("error");
  WriteVersionError(version.error, json);
  json->EndObject();
}

void WriteTimings(const Timings& timings, JsonWriter* json) {
  json->BeginObject();
  json->Key("1_parse_request");
  WriteMilliseconds(timings.parse_request_ms, json);
  json->Key("2_model_selection_db");
  WriteMilliseconds(timings.model_selection_db_ms, json);
  json->Key("3_gpt_generation");
  WriteMilliseconds(timings.gpt_generation_ms, json);
  json->Key("4_alternative_versions");
  WriteMilliseconds(timings.alternative_versions_ms, json);
  json->Key("5_database_write");
  WriteMilliseconds(timings.database_write_ms, json);
  json->Key("total_time");
  WriteMilliseconds(timings.total_time_ms, json);
  json->EndObject();
}

// The key `postgen` of a reply; a failed post's has the error as well.
void WriteReport(const PostResult& result, JsonWriter* json) {
  json->BeginObject();
  json->Key("model").String(result.model);
  json->Key("provider").String(result.provider);
  json->Key("chosen");
  if (result.chosen == 0) {
    json->Null();
  } else {
    json->Int(result.chosen);
  }
  json->Key("versions").BeginArray();
  for (const VersionResult& version : result.versions) WriteVersion(version, json);
  json->EndArray();
  json->Key("usage");
  WriteTotalUsage(result.usage, json);
  json->Key("cost_usd");
  WriteCost(result.cost_usd, json);
  json->Key("timings_ms");
  WriteTimings(result.timings, json);
  json->Key("stored").String(NameOf(result.stored));
  json->Key("from_cache").Bool(result.from_cache);
  json->Key("deadline_hit").Bool(result.deadline_hit);
  json->Key("warnings").BeginArray();
  for (const std::string& warning : result.warnings) json->String(warning);
  json->EndArray();
  if (result.error) {
    json->Key("error");
    WriteError(*result.error, json);
  }
  json->EndObject();
}

void WriteFailureHead(const Error& error, WallTime timestamp, JsonWriter* json) {
  json->Key("success").Bool(false);
  json->Key("message").String(error.message);
  json->Key("detail").String(error.message);
  json->Key("error_type").String(CodeName(error.code));
  json->Key("timestamp").String(TaipeiTimestamp(timestamp));
}

void WriteSuccessHead(const PostResult& result, JsonWriter* json) {
  json->Key("success").Bool(true);
  json->Key("message").String(kSuccessMessage);
  json->Key("post_id").String(result.post_id);
  json->Key("content").BeginObject();
  json->Key("title").String(result.title);
  json->Key("content").String(result.content);
  json->Key("content_md").String(result.content);
  json->EndObject();
  json->Key("stock_info").BeginObject();
  json->Key("stock_code").String(result.stock_code);
  json->Key("stock_name").String(result.stock_name);
  json->EndObject();
  json->Key("kol_info").BeginObject();
  json->Key("kol_serial").Int(result.kol_serial);
  json->Key("kol_nickname").String(result.kol_nickname);
  json->Key("kol_persona").String(result.kol_persona);
  json->EndObject();
  json->Key("commodity_tags").Raw(result.commodity_tags.empty() ? "[]" : result.commodity_tags);
  json->Key("alternative_versions");
  WriteAlternativeVersions(result, json);
  json->Key("timestamp").String(TaipeiTimestamp(result.timestamp));
}

void WriteReply(const PostResult& result, JsonWriter* json) {
  json->BeginObject();
  if (result.error) {
    WriteFailureHead(*result.error, result.timestamp, json);
  } else {
    WriteSuccessHead(result, json);
  }
  json->Key("postgen");
  WriteReport(result, json);
  json->EndObject();
}

void WriteEventBody(const QueuedEvent& event, JsonWriter* json) {
  if (event.type == Event::Type::kDelta) {
    json->Key("part").String(NameOf(event.part));
    json->Key("text").String(event.text);
  }
  if (event.version) {
    json->Key("title").String(event.version->title);
    json->Key("content").String(event.version->content);
    json->Key("version");
    WriteVersion(*event.version, json);
  }
  if (event.result) {
    json->Key("post_id");
    WriteTextOrNull(event.result->post_id, json);
    json->Key("result");
    WriteReply(*event.result, json);
  }
}

}  // namespace

std::string ResultToJson(const PostResult& result) {
  std::string out;
  JsonWriter json(&out);
  WriteReply(result, &json);
  return out;
}

std::string ErrorToJson(const Error& error) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  WriteFailureHead(error, std::chrono::system_clock::now(), &json);
  json.Key("postgen").BeginObject();
  json.Key("error");
  WriteError(error, &json);
  json.EndObject();
  json.EndObject();
  return out;
}

std::string EventToJson(const QueuedEvent& event) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("type").String(NameOf(event.type));
  json.Key("call_id").Int(static_cast<std::int64_t>(event.call_id));
  json.Key("version_number").Int(event.version_number);
  WriteEventBody(event, &json);
  json.EndObject();
  return out;
}

std::string DiagnosesToJson(const std::vector<Diagnosis>& diagnoses) {
  std::string out;
  JsonWriter json(&out);
  json.BeginArray();
  for (const Diagnosis& diagnosis : diagnoses) {
    json.BeginObject();
    json.Key("subject").String(diagnosis.subject);
    json.Key("level").String(NameOf(diagnosis.level));
    json.Key("message").String(diagnosis.message);
    json.EndObject();
  }
  json.EndArray();
  return out;
}

}  // namespace postgen
