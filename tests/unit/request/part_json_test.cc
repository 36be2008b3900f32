#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "postgen/json.h"
#include "request/json_value.h"

namespace postgen {
namespace {

TEST_CASE("a request for a client written in another language") {
  LlmRequest request;
  request.model = "gpt-4o-mini";
  request.messages = {{Role::kSystem, "寫\"短\""}, {Role::kUser, "2330"}};
  request.max_tokens = 512;
  request.temperature = 0.5;
  request.posting_type = "analysis";
  request.angle = "技術面";
  request.version_number = 3;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.max_words = 200;
  const TimePoint now{};
  request.deadline = now + std::chrono::milliseconds(1500);
  CHECK(LlmRequestToJson(request, now) ==
        R"({"model":"gpt-4o-mini","messages":[{"role":"system","content":"寫\"短\""},)"
        R"({"role":"user","content":"2330"}],"max_tokens":512,"temperature":0.5,"timeout_ms":1500,)"
        R"("posting_type":"analysis","angle":"技術面","version_number":3,"stock_code":"2330",)"
        R"("stock_name":"台積電","max_words":200})");

  const std::string open = LlmRequestToJson(LlmRequest(), now);
  CHECK(open.find(R"("temperature":null,"timeout_ms":null)") != std::string::npos);
}

TEST_CASE("a reply from a client written in another language") {
  const Result<LlmReply> full = ParseLlmReply(
      R"({"text": "標題：甲", "finish_reason": "length", "model": "m", "request_id": "r", "else": 1,)"
      R"( "usage": {"prompt_tokens": 7, "completion_tokens": 8, "cached_tokens": 3}})");
  REQUIRE(full.ok());
  CHECK(full->text == "標題：甲");
  CHECK(full->finish_reason == FinishReason{FinishReason::Kind::kLength, "length"});
  CHECK(full->model == "m");
  CHECK(full->request_id == "r");
  CHECK(full->usage == Usage{7, 8, 3});
  CHECK(full->usage_kind == UsageKind::kExact);

  const Result<LlmReply> bare = ParseLlmReply(R"({"text": "a", "usage": null})");
  REQUIRE(bare.ok());
  CHECK(bare->finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(bare->usage_kind == UsageKind::kUnknown);

  const Result<LlmReply> other = ParseLlmReply(R"({"text": "a", "finish_reason": "tired"})");
  REQUIRE(other.ok());
  CHECK(other->finish_reason == FinishReason{FinishReason::Kind::kOther, "tired"});
}

TEST_CASE("a reply that cannot be read is a protocol error that names the field") {
  struct Case {
    std::string json;
    std::string says;
  };
  const Case cases[] = {
      {"", "reply"},
      {"[]", "reply"},
      {R"({"text": "a"} x)", "reply"},
      {"{\"text\": \"\xff\"}", "reply"},
      {R"({})", "text"},
      {R"({"text": ""})", "text"},
      {R"({"text": 7})", "text"},
      {R"({"text": "a\u0000b"})", "text"},
      {R"({"text": "a", "finish_reason": 1})", "finish_reason"},
      {R"({"text": "a", "model": []})", "model"},
      {R"({"text": "a", "usage": 7})", "usage"},
      {R"({"text": "a", "usage": {"prompt_tokens": -1}})", "usage.prompt_tokens"},
      {R"({"text": "a", "usage": {"prompt_tokens": "1"}})", "usage.prompt_tokens"},
  };
  for (const Case& bad : cases) {
    CAPTURE(bad.json);
    const Result<LlmReply> reply = ParseLlmReply(bad.json);
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == Code::kProtocol);
    CHECK(reply.error().message.find(bad.says) != std::string::npos);
  }
}

TEST_CASE("a row for a store written in another language") {
  PostRow row;
  row.post_id = "id-1";
  row.kol_serial = 208;
  row.content = "第一行\n第二行";
  row.commodity_tags = R"([{"key":"2330"}])";
  row.topic_title = "t";
  const std::string json = PostRowToJson(row);
  const std::optional<JsonValue> value = ParseJson(json);
  REQUIRE(value.has_value());
  const auto* columns = value->As<JsonValue::Object>();
  REQUIRE(columns != nullptr);
  CHECK(columns->size() == 21);
  CHECK(json.find(R"("post_id":"id-1","created_at":"1970-01-01T08:00:00)") == 1);
  CHECK(json.find(R"("session_id":null,"kol_serial":208)") != std::string::npos);
  CHECK(json.find(R"("content":"第一行\n第二行")") != std::string::npos);
  CHECK(json.find(R"("commodity_tags":"[{\"key\":\"2330\"}]")") != std::string::npos);
  CHECK(json.find(R"("alternative_versions":null)") != std::string::npos);
  CHECK(json.find(R"("topic_title":"t","has_trending_topic":false)") != std::string::npos);
}

}  // namespace
}  // namespace postgen
