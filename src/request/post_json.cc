#include "request/post_json.h"

#include <algorithm>
#include <string_view>

#include "request/enum_names.h"
#include "request/json_value.h"
#include "request/timestamp.h"

namespace postgen {
namespace {

constexpr int kCostDecimals = 9;

bool IsAlternative(const PostResult& result, const VersionResult& version) {
  return version.ok() && version.version_number != result.chosen;
}

void WriteObjectOrEmpty(const std::optional<JsonText>& value, JsonWriter* json) {
  json->Raw(value ? std::string_view(value->text) : "{}");
}

void WriteTag(std::string_view type, std::string_view key, JsonWriter* json) {
  json->BeginObject();
  json->Key("type").String(type);
  json->Key("key").String(key);
  json->Key("bullOrBear").Int(0);
  json->EndObject();
}

// The key that postgen adds to the app's parameters.
void WritePostgenParams(const PostResult& result, JsonWriter* json) {
  json->BeginObject();
  json->Key("model").String(result.model);
  json->Key("provider").String(result.provider);
  json->Key("usage");
  WriteTotalUsage(result.usage, json);
  json->Key("cost_usd");
  WriteCost(result.cost_usd, json);
  json->Key("versions").BeginArray();
  for (const VersionResult& version : result.versions) {
    json->BeginObject();
    json->Key("version_number").Int(version.version_number);
    json->Key("request_id").String(version.request_id);
    json->Key("finish_reason");
    WriteFinishReason(version.finish_reason, json);
    json->Key("source");
    WriteSource(version.source, json);
    json->Key("model").String(version.model);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

}  // namespace

std::optional<std::string> AlternativeVersionsJson(const PostResult& result) {
  const bool any = std::any_of(
      result.versions.begin(), result.versions.end(),
      [&result](const VersionResult& version) { return IsAlternative(result, version); });
  if (!any) return std::nullopt;
  std::string out;
  JsonWriter json(&out);
  WriteAlternativeVersions(result, &json);
  return out;
}

std::vector<VersionResult> ReadAlternativeVersions(const std::string& json) {
  std::vector<VersionResult> versions;
  if (json.size() > kMaxBodyBytes) return versions;
  const std::optional<JsonValue> document = ParseJson(json);
  const auto* items = document ? document->As<JsonValue::Array>() : nullptr;
  if (items == nullptr) return versions;
  for (const JsonValue& item : *items) {
    const auto* object = item.As<JsonValue::Object>();
    if (object == nullptr) continue;
    VersionResult version;
    for (const JsonValue::Member& member : *object) {
      if (const auto* number = member.value.As<std::int64_t>()) {
        if (member.key == "version_number") version.version_number = static_cast<int>(*number);
      } else if (const auto* text = member.value.As<std::string>()) {
        if (member.key == "title") version.title = *text;
        if (member.key == "content") version.content = *text;
        if (member.key == "version_type") version.version_type = *text;
        if (member.key == "angle") version.angle = *text;
      }
    }
    if (!version.content.empty()) versions.push_back(std::move(version));
  }
  return versions;
}

std::string GenerationParamsJson(const PostRequest& request, const PostResult& result) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("method").String("manual");
  json.Key("kol_persona").String(request.kol_persona);
  json.Key("content_style").String(request.content_style);
  json.Key("target_audience").String(request.target_audience);
  json.Key("trigger_type").String(request.trigger_type);
  json.Key("posting_type").String(request.posting_type);
  json.Key("created_at").String(TaipeiTimestamp(result.timestamp));
  json.Key("full_triggers_config");
  WriteObjectOrEmpty(request.full_triggers_config, &json);
  json.Key("data_sources");
  WriteObjectOrEmpty(request.data_sources, &json);
  json.Key("max_words").Int(request.max_words);
  json.Key("news_config");
  WriteObjectOrEmpty(request.news_config, &json);
  json.Key("model_id_override").OptionalString(request.model_id_override);
  json.Key("use_kol_default_model").Bool(request.use_kol_default_model);
  json.Key("postgen");
  WritePostgenParams(result, &json);
  json.EndObject();
  return out;
}

std::string CommodityTagsJson(const PostRequest& request) {
  if (request.commodity_tags) return request.commodity_tags->text;
  std::string out;
  JsonWriter json(&out);
  json.BeginArray();
  WriteTag("Market", "TWA00", &json);
  // A post about a topic alone has no stock to tag.
  if (!request.stock_code.empty()) WriteTag("Stock", request.stock_code, &json);
  json.EndArray();
  return out;
}

void WriteAlternativeVersions(const PostResult& result, JsonWriter* json) {
  json->BeginArray();
  for (const VersionResult& version : result.versions) {
    if (!IsAlternative(result, version)) continue;
    json->BeginObject();
    json->Key("title").String(version.title);
    json->Key("content").String(version.content);
    json->Key("version_type").String(version.version_type);
    json->Key("angle").String(version.angle);
    json->Key("version_number").Int(version.version_number);
    json->EndObject();
  }
  json->EndArray();
}

void WriteUsage(const Usage& usage, JsonWriter* json) {
  json->BeginObject();
  json->Key("prompt_tokens").Int(usage.prompt_tokens);
  json->Key("completion_tokens").Int(usage.completion_tokens);
  json->Key("cached_tokens").Int(usage.cached_tokens);
  json->EndObject();
}

void WriteTotalUsage(const Usage& usage, JsonWriter* json) {
  json->BeginObject();
  json->Key("prompt_tokens").Int(usage.prompt_tokens);
  json->Key("completion_tokens").Int(usage.completion_tokens);
  json->Key("cached_tokens").Int(usage.cached_tokens);
  json->Key("total_tokens").Int(usage.prompt_tokens + usage.completion_tokens);
  json->EndObject();
}

void WriteCost(const std::optional<double>& cost_usd, JsonWriter* json) {
  if (cost_usd) {
    json->Fixed(*cost_usd, kCostDecimals);
  } else {
    json->Null();
  }
}

void WriteFinishReason(const FinishReason& reason, JsonWriter* json) {
  using Kind = FinishReason::Kind;
  switch (reason.kind) {
    case Kind::kNone: json->Null(); return;
    case Kind::kStop: json->String("stop"); return;
    case Kind::kEarlyStop: json->String("early_stop"); return;
    case Kind::kLength: json->String("length"); return;
    case Kind::kContentFilter: json->String("content_filter"); return;
    case Kind::kOther: json->String(reason.text); return;
  }
  json->Null();
}

void WriteSource(Source source, JsonWriter* json) {
  if (source == Source::kNone) {
    json->Null();
  } else {
    json->String(NameOf(source));
  }
}

}  // namespace postgen
