#include "request/post_json.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "unit/request/json_path.h"
#include "unit/request/sample_post.h"

namespace postgen {
namespace {

TEST_CASE("alternative versions are the good ones that were not chosen") {
  PostResult post = SamplePost();
  CHECK(AlternativeVersionsJson(post) ==
        R"([{"title":"title 1","content":"content 1","version_type":"analysis",)"
        R"("angle":"angle 1","version_number":1}])");
  post.versions[2].error.reset();
  post.chosen = 1;
  const JsonValue json = Parsed(AlternativeVersionsJson(post).value());
  CHECK(JsonAt(json, "0/version_number") == "2");
  CHECK(JsonAt(json, "1/version_number") == "3");
}

TEST_CASE("no alternative version is no column, not an empty list") {
  PostResult post = SamplePost();
  post.versions.resize(2);
  post.versions[0].error = Error(Code::kUpstream, "HTTP 500");
  CHECK_FALSE(AlternativeVersionsJson(post).has_value());
  post.versions.clear();
  CHECK_FALSE(AlternativeVersionsJson(post).has_value());
}

TEST_CASE("generation parameters have the app's keys in its order, then postgen's") {
  PostRequest request;
  request.kol_persona = "mixed";
  request.trigger_type = "manual";
  request.full_triggers_config = JsonText{R"({"a":1.0})"};
  request.model_id_override = "gpt-4.1";
  const JsonValue json = Parsed(GenerationParamsJson(request, SamplePost()));
  CHECK(Keys(json) == std::vector<std::string>{"method", "kol_persona", "content_style",
                                               "target_audience", "trigger_type", "posting_type",
                                               "created_at", "full_triggers_config", "data_sources",
                                               "max_words", "news_config", "model_id_override",
                                               "use_kol_default_model", "postgen"});
  CHECK(JsonAt(json, "method") == "\"manual\"");
  CHECK(JsonAt(json, "kol_persona") == "\"mixed\"");
  CHECK(JsonAt(json, "created_at") == "\"2026-01-07T16:02:03.000000+08:00\"");
  CHECK(JsonAt(json, "full_triggers_config") == R"({"a":1.0})");
  CHECK(JsonAt(json, "data_sources") == "{}");
  CHECK(JsonAt(json, "model_id_override") == "\"gpt-4.1\"");
  CHECK(Keys(At(json, "postgen")) ==
        std::vector<std::string>{"model", "provider", "usage", "cost_usd", "versions"});
  CHECK(JsonAt(json, "postgen/usage/total_tokens") == "3600");
  CHECK(JsonAt(json, "postgen/versions/0") ==
        R"({"version_number":1,"request_id":"req_1","finish_reason":"stop","source":"llm",)"
        R"("model":"gpt-4o-mini-2024-07-18"})");
  CHECK(JsonAt(json, "postgen/versions/2/finish_reason") == "\"length\"");
}

TEST_CASE("absent parameters are null or empty objects") {
  const JsonValue json = Parsed(GenerationParamsJson(PostRequest(), PostResult()));
  CHECK(JsonAt(json, "model_id_override") == "null");
  CHECK(JsonAt(json, "news_config") == "{}");
  CHECK(JsonAt(json, "postgen/cost_usd") == "null");
  CHECK(JsonAt(json, "postgen/versions") == "[]");
}

TEST_CASE("commodity tags are the request's own, else market and stock") {
  PostRequest request;
  request.stock_code = "2330";
  CHECK(CommodityTagsJson(request) == R"([{"type":"Market","key":"TWA00","bullOrBear":0},)"
                                      R"({"type":"Stock","key":"2330","bullOrBear":0}])");
  request.stock_code.clear();
  CHECK(CommodityTagsJson(request) == R"([{"type":"Market","key":"TWA00","bullOrBear":0}])");
  request.commodity_tags = JsonText{"[]"};
  CHECK(CommodityTagsJson(request) == "[]");
}

}  // namespace
}  // namespace postgen
