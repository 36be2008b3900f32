#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

#include "postgen/json.h"
#include "unit/request/json_path.h"

namespace postgen {
namespace {

const JsonValue& Entry(const JsonValue& schema, std::string_view list, std::string_view name) {
  for (const JsonValue& entry : *At(schema, list).As<JsonValue::Array>()) {
    if (*At(entry, "name").As<std::string>() == name) return entry;
  }
  FAIL("no entry " << std::string(name));
  return schema;
}

std::set<std::string> Names(const JsonValue& schema, std::string_view list) {
  std::set<std::string> names;
  for (const JsonValue& entry : *At(schema, list).As<JsonValue::Array>()) {
    CHECK(names.insert(*At(entry, "name").As<std::string>()).second);
  }
  return names;
}

TEST_CASE("the schema shows type, default, bounds and words of each field") {
  const JsonValue schema = Parsed(SchemaJson());
  struct Row {
    std::string_view list;
    std::string_view name;
    std::string_view type;
    std::string_view fallback;
  };
  const Row rows[] = {
      {"request", "stock_code", "\"string\"", "\"\""},
      {"request", "kol_serial", "\"int\"", "null"},
      {"request", "max_words", "\"int\"", "200"},
      {"request", "versions", "\"int\"", "5"},
      {"request", "use_kol_default_model", "\"bool\"", "true"},
      {"request", "cache", "\"enum\"", "\"use\""},
      {"request", "news", "\"strings\"", "[]"},
      {"request", "commodityTags", "\"json\"", "null"},
      {"request", "communityTopic", "\"object\"", "null"},
      {"request", "profile", "\"object\"", "null"},
      {"options", "llm.base_url", "\"string\"", "\"https://api.openai.com/v1\""},
      {"options", "llm.temperature", "\"number\"", "1"},
      {"options", "llm.stream", "\"enum\"", "\"auto\""},
      {"options", "llm.headers", "\"object\"", "{}"},
      {"options", "llm.prices", "\"object\"", "{}"},
      {"options", "llm.max_tokens", "\"int\"", "null"},
      {"options", "cache.max_bytes", "\"int\"", "67108864"},
      {"options", "choice", "\"enum\"", "\"random\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const JsonValue& entry = Entry(schema, row.list, row.name);
    CHECK(JsonAt(entry, "type") == row.type);
    CHECK(JsonAt(entry, "default") == row.fallback);
    CHECK(!At(entry, "doc").As<std::string>()->empty());
  }
  CHECK(JsonAt(Entry(schema, "request", "max_words"), "min") == "10");
  CHECK(JsonAt(Entry(schema, "request", "max_words"), "max") == "4000");
  CHECK(JsonAt(Entry(schema, "request", "cache"), "values") == R"(["use","refresh","bypass"])");
}

TEST_CASE("every field of this version is in the schema, and none of a later one") {
  const JsonValue schema = Parsed(SchemaJson());
  CHECK(Names(schema, "request") == std::set<std::string>{"stock_code",
                                                          "stock_name",
                                                          "kol_serial",
                                                          "kol_persona",
                                                          "session_id",
                                                          "trigger_type",
                                                          "posting_type",
                                                          "max_words",
                                                          "model_id_override",
                                                          "use_kol_default_model",
                                                          "content_style",
                                                          "target_audience",
                                                          "generation_mode",
                                                          "title",
                                                          "content",
                                                          "commodityTags",
                                                          "communityTopic",
                                                          "topic_id",
                                                          "topic_title",
                                                          "has_trending_topic",
                                                          "topic_content",
                                                          "enable_realtime_price",
                                                          "include_signature",
                                                          "news_config",
                                                          "data_sources",
                                                          "full_triggers_config",
                                                          "versions",
                                                          "deadline_ms",
                                                          "cache",
                                                          "idempotency_key",
                                                          "tenant",
                                                          "seed",
                                                          "draft",
                                                          "profile",
                                                          "news",
                                                          "facts",
                                                          "store"});
  CHECK(Names(schema, "options") == std::set<std::string>{"llm.provider",
                                                          "llm.base_url",
                                                          "llm.api_key",
                                                          "llm.allow_insecure_http",
                                                          "llm.endpoints",
                                                          "llm.fallback_models",
                                                          "llm.rpm",
                                                          "llm.tpm",
                                                          "llm.headers",
                                                          "llm.query",
                                                          "llm.auth",
                                                          "llm.proxy",
                                                          "llm.ca_file",
                                                          "llm.http_version",
                                                          "llm.default_model",
                                                          "llm.temperature",
                                                          "llm.use_kol_temperature",
                                                          "llm.use_kol_max_tokens",
                                                          "llm.max_tokens",
                                                          "llm.token_param",
                                                          "llm.stream",
                                                          "llm.max_in_flight",
                                                          "llm.connect_timeout_ms",
                                                          "llm.first_token_timeout_ms",
                                                          "llm.idle_timeout_ms",
                                                          "llm.attempt_timeout_ms",
                                                          "llm.max_attempts",
                                                          "llm.max_reply_bytes",
                                                          "llm.hedge",
                                                          "llm.early_stop",
                                                          "llm.on_failure",
                                                          "llm.prices",
                                                          "prompts.dir",
                                                          "cache.url",
                                                          "cache.ttl_s",
                                                          "cache.max_bytes",
                                                          "cache.scope",
                                                          "shared.url",
                                                          "budget_usd_per_day",
                                                          "store.url",
                                                          "store.pool_min",
                                                          "store.pool_max",
                                                          "store.spool",
                                                          "store.spool_max_bytes",
                                                          "store.journal",
                                                          "profiles.url",
                                                          "profiles.ttl_s",
                                                          "default_deadline_ms",
                                                          "max_pending_posts",
                                                          "choice",
                                                          "require_kol"});
}

TEST_CASE("the defaults of the schema are options that are accepted") {
  const JsonValue schema = Parsed(SchemaJson());
  for (const JsonValue& entry : *At(schema, "options").As<JsonValue::Array>()) {
    const std::string name = *At(entry, "name").As<std::string>();
    if (name == "llm.api_key") continue;  // its default is to be left out
    CAPTURE(name);
    const std::size_t dot = name.find('.');
    const std::string value = JsonAt(entry, "default");
    const std::string json =
        dot == std::string::npos
            ? "{\"" + name + "\":" + value + "}"
            : "{\"" + name.substr(0, dot) + "\":{\"" + name.substr(dot + 1) + "\":" + value + "}}";
    CHECK(ParseOptions(json).ok());
  }
}

TEST_CASE("the schema has every code") {
  const JsonValue schema = Parsed(SchemaJson());
  const auto* codes = At(schema, "codes").As<JsonValue::Array>();
  REQUIRE(codes->size() == 32);
  CHECK(ToJson((*codes)[10]) == R"({"name":"rate_limited","number":10,"http_status":429})");
}

}  // namespace
}  // namespace postgen
