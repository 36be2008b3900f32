#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/json.h"
#include "request/request_fields.h"

namespace postgen {
namespace {

// A request that is good without `fields`, which come last and so win.
std::string With(const std::string& fields) {
  return R"({"stock_code":"2330","kol_serial":208)" + (fields.empty() ? "" : "," + fields) + "}";
}

PostRequest Good(const std::string& json) {
  Result<PostRequest> request = ParseRequest(json);
  REQUIRE_MESSAGE(request.ok(), request.error().message);
  return *std::move(request);
}

Error Bad(const std::string& json) {
  Result<PostRequest> request = ParseRequest(json);
  REQUIRE_FALSE(request.ok());
  return request.error();
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

TEST_CASE("the smallest request has the documented defaults") {
  const PostRequest request = Good(R"({"stock_code":"2330","kol_serial":208})");
  CHECK(request.stock_code == "2330");
  CHECK(request.kol_serial == 208);
  CHECK(request.stock_name.empty());
  CHECK(request.kol_persona == "technical");
  CHECK_FALSE(request.session_id.has_value());
  CHECK(request.trigger_type == "custom_stocks");
  CHECK(request.posting_type == "analysis");
  CHECK(request.max_words == 200);
  CHECK_FALSE(request.model_id_override.has_value());
  CHECK(request.use_kol_default_model);
  CHECK(request.content_style == "chart_analysis");
  CHECK(request.target_audience == "active_traders");
  CHECK(request.generation_mode == "manual");
  CHECK_FALSE(request.commodity_tags.has_value());
  CHECK(request.versions == 5);
  CHECK_FALSE(request.deadline_ms.has_value());
  CHECK(request.cache == CacheMode::kUse);
  CHECK(request.tenant.empty());
  CHECK_FALSE(request.draft);
  CHECK(request.store);
  CHECK(request.warnings.empty());
}

TEST_CASE("every field arrives") {
  const PostRequest request = Good(R"({
    "stock_code": "2330", "stock_name": "台積電", "kol_serial": 208, "kol_persona": "mixed",
    "session_id": 1767772923000, "trigger_type": "limit_up_after_hours",
    "posting_type": "interaction", "max_words": 50, "model_id_override": "gpt-4.1-mini",
    "use_kol_default_model": false, "content_style": "casual", "target_audience": "everyone",
    "generation_mode": "scheduled", "title": "標題", "content": "內文\n第二行",
    "commodityTags": [ {"type": "Stock", "key": "2330", "bullOrBear": 1} ],
    "communityTopic": {"id": 77, "title": "熱門"}, "has_trending_topic": true,
    "topic_content": "話題", "include_signature": true,
    "full_triggers_config": { "a" : [ 1.0, "é" ] },
    "versions": 3, "deadline_ms": 5000, "cache": "refresh", "tenant": "acme", "seed": -7,
    "draft": true, "news": ["一", "二"], "facts": ["三"], "store": false,
    "profile": {"serial": 208, "nickname": "阿土", "model_temp": 0.5, "max_tokens": 700,
                "prompt_cta": "留言", "email": "a@b.c", "password": "secret", "question_ratio": 0.5}
  })");
  CHECK(request.stock_name == "台積電");
  CHECK(request.kol_persona == "mixed");
  CHECK(request.session_id == 1767772923000);
  CHECK(request.trigger_type == "limit_up_after_hours");
  CHECK(request.posting_type == "interaction");
  CHECK(request.max_words == 50);
  CHECK(request.model_id_override == "gpt-4.1-mini");
  CHECK_FALSE(request.use_kol_default_model);
  CHECK(request.content_style == "casual");
  CHECK(request.target_audience == "everyone");
  CHECK(request.generation_mode == "scheduled");
  CHECK(request.title == "標題");
  CHECK(request.content == "內文\n第二行");
  CHECK(request.commodity_tags->text == R"([{"type":"Stock","key":"2330","bullOrBear":1}])");
  CHECK(request.topic_id == "77");
  CHECK(request.topic_title == "熱門");
  CHECK(request.has_trending_topic);
  CHECK(request.topic_content == "話題");
  CHECK(request.include_signature);
  CHECK(request.full_triggers_config->text == R"({"a":[1.0,"é"]})");
  CHECK(request.versions == 3);
  CHECK(request.deadline_ms == 5000);
  CHECK(request.cache == CacheMode::kRefresh);
  CHECK(request.tenant == "acme");
  CHECK(request.seed == -7);
  CHECK(request.draft);
  CHECK(request.news == std::vector<std::string>{"一", "二"});
  CHECK(request.facts == std::vector<std::string>{"三"});
  CHECK_FALSE(request.store);
  CHECK(request.profile->serial == "208");
  CHECK(request.profile->nickname == "阿土");
  CHECK(request.profile->model_temp == 0.5);
  CHECK(request.profile->max_tokens == 700);
  CHECK(request.profile->prompt_cta == "留言");
  CHECK_FALSE(request.profile->persona.has_value());
  CHECK(request.warnings.empty());
}

TEST_CASE("integers: numbers, integral floats and decimal strings") {
  struct Row {
    std::string_view json;
    std::int64_t max_words;
  };
  const Row rows[] = {{"50", 50}, {"50.0", 50}, {"5e1", 50}, {"\"50\"", 50}, {"null", 200}};
  for (const Row& row : rows) {
    CAPTURE(row.json);
    CHECK(Good(With("\"max_words\":" + std::string(row.json))).max_words == row.max_words);
  }
  for (const std::string bad :
       {"true", "50.5", "\"50.0\"", "\" 50\"", "\"5O\"", "\"\"", "[50]", "{}", "1e300",
        "18446744073709551615", "\"9223372036854775808\"", "\"KOL-50\""}) {
    CAPTURE(bad);
    const Error error = Bad(With("\"max_words\":" + bad));
    CHECK(error.code == Code::kInvalidRequest);
    CHECK(error.details.field == "max_words");
    CHECK(error.message == "`max_words` must be an integer from 10 to 4000");
  }
}

TEST_CASE("the KOL's serial may have its prefix") {
  for (const std::string good : {"208", "208.0", "\"208\"", "\"KOL-208\""}) {
    CAPTURE(good);
    CHECK(Good(R"({"stock_code":"2330","kol_serial":)" + good + "}").kol_serial == 208);
  }
  for (const std::string bad : {"null", "0", "-1", "\"\"", "\"KOL-\"", "\"KOL-KOL-2\"",
                                "\"KOL208\"", "false", "2147483648", "\"208x\""}) {
    CAPTURE(bad);
    CHECK(Bad(R"({"stock_code":"2330","kol_serial":)" + bad + "}").details.field == "kol_serial");
  }
  CHECK(Bad(R"({"stock_code":"2330"})").message ==
        "`kol_serial` is required: the serial number of the KOL");
}

TEST_CASE("string ids may be sent as numbers") {
  CHECK(Good(R"({"stock_code":2330,"kol_serial":208})").stock_code == "2330");
  CHECK(Good(R"({"stock_code":2330.0,"kol_serial":208})").stock_code == "2330");
  CHECK(Good(With("\"topic_id\":12")).topic_id == "12");
  for (const std::string bad : {"true", "2330.5", "[]", "{}"}) {
    CAPTURE(bad);
    CHECK(Bad(With("\"stock_code\":" + bad)).message == "`stock_code` must be a string");
  }
}

TEST_CASE("booleans are JSON's own") {
  CHECK(Good(With("\"draft\":true")).draft);
  for (const std::string bad : {"1", "0", "\"true\"", "\"\"", "[]"}) {
    CAPTURE(bad);
    CHECK(Bad(With("\"draft\":" + bad)).message == "`draft` must be true or false");
  }
}

TEST_CASE("null and, for optional texts, the empty text are absent") {
  const PostRequest request =
      Good(With(R"("model_id_override":"","title":null,"topic_id":"","versions":null,)"
                R"("cache":null,"news":null,"profile":null,"communityTopic":null)"));
  CHECK_FALSE(request.model_id_override.has_value());
  CHECK_FALSE(request.title.has_value());
  CHECK_FALSE(request.topic_id.has_value());
  CHECK(request.versions == 5);
  CHECK_FALSE(request.profile.has_value());
}

TEST_CASE("an empty idempotency_key is none, and would be paid for each time: it is refused") {
  const std::string message = "`idempotency_key` must be a string of 1 to 200 characters";
  const Error error = Bad(With(R"("idempotency_key":"")"));
  CHECK(error.code == Code::kInvalidRequest);
  CHECK(error.details.field == "idempotency_key");
  CHECK(error.message == message);
  PostRequest request = Good(With(R"("idempotency_key":null)"));
  CHECK_FALSE(request.idempotency_key.has_value());
  request.idempotency_key = "";
  CHECK(ValidateRequest(request).error().message == message);
}

TEST_CASE("of duplicate fields the last one counts") {
  CHECK(Good(With(R"("versions":1,"versions":2)")).versions == 2);
  CHECK(Good(With(R"("versions":0,"versions":2)")).versions == 2);
  CHECK(Good(With(R"("versions":2,"versions":null)")).versions == 5);
}

TEST_CASE("every bound is kept, and named with its field") {
  const auto text = [](std::size_t bytes) { return "\"" + std::string(bytes, 'x') + "\""; };
  struct Row {
    std::string field;
    std::string good;
    std::string bad;
  };
  const Row rows[] = {
      {"max_words", "10", "9"},
      {"max_words", "4000", "4001"},
      {"versions", "1", "0"},
      {"versions", "10", "11"},
      {"versions", "10", "4294967301"},  // 5 in 32 bits
      {"deadline_ms", "100", "99"},
      {"deadline_ms", "600000", "600001"},
      {"tenant", text(100), text(101)},
      {"trigger_type", text(100), text(101)},
      {"generation_mode", text(50), text(51)},
      {"model_id_override", text(200), text(201)},
      {"model_id_override", "\"gpt \\\"x\\\"\"", "\"gpt\\n4\""},
      {"stock_name", text(65536), text(65537)},
      {"content", text(65536), text(65537)},
      {"cache", "\"bypass\"", "\"BYPASS\""},
      {"cache", "\"use\"", "true"},
      {"news", "[]", "\"one\""},
      {"news", "[\"a\"]", "[1]"},
      {"news", "[" + text(65536) + "]", "[" + text(65537) + "]"},
      {"facts", "[\"\"]", "[null]"},
      {"commodityTags", "[]", "{}"},
      {"full_triggers_config", "{}", "[]"},
      {"news_config", "{}", "\"{}\""},
      {"data_sources", "{}", "1"},
      {"communityTopic", "{}", "[]"},
      {"profile", "{}", "[]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.field);
    CAPTURE(row.bad.substr(0, 40));
    CHECK(ParseRequest(With("\"" + row.field + "\":" + row.good)).ok());
    const Error error = Bad(With("\"" + row.field + "\":" + row.bad));
    CHECK(error.code == Code::kInvalidRequest);
    CHECK(error.details.field == row.field);
    CHECK(Contains(error.message, "`" + row.field + "`"));
    CHECK_FALSE(Contains(error.message, "\n"));
  }
}

TEST_CASE("the characters of a bound are code points") {
  std::string hundred;
  for (int i = 0; i < 100; ++i) hundred += "漲";
  CHECK(ParseRequest(With("\"trigger_type\":\"" + hundred + "\"")).ok());
  CHECK_FALSE(ParseRequest(With("\"trigger_type\":\"" + hundred + "停\"")).ok());
}

TEST_CASE("nested fields are named with their parent") {
  struct Row {
    std::string_view json;
    std::string_view field;
  };
  const Row rows[] = {
      {R"("profile":{"model_temp":2.5})", "profile.model_temp"},
      {R"("profile":{"model_temp":"nan"})", "profile.model_temp"},
      {R"("profile":{"max_tokens":0})", "profile.max_tokens"},
      {R"("profile":{"nickname":["x"]})", "profile.nickname"},
      {R"("profile":{"nickname":"a\u0000b"})", "profile.nickname"},
      {R"("communityTopic":{"id":true})", "communityTopic.id"},
      {R"("communityTopic":{"title":"\u0000"})", "communityTopic.title"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    CHECK(Bad(With(std::string(row.json))).details.field == row.field);
  }
}

TEST_CASE("the body has a bound of its own") {
  const auto padded = [](std::size_t bytes) {
    std::string body = With("");
    body.append(bytes - body.size(), ' ');
    return body;
  };
  CHECK(ParseRequest(padded(1048576)).ok());
  CHECK(Bad(padded(1048577)).message == "the request must not be longer than 1048576 bytes");
}

TEST_CASE("bytes that are not UTF-8 and NUL are refused") {
  const std::string fields[] = {"stock_name", "kol_persona", "title", "topic_id", "tenant"};
  for (const std::string& field : fields) {
    CAPTURE(field);
    const Error nul = Bad(With("\"" + field + "\":\"a\\u0000b\""));
    CHECK(nul.details.field == field);
    CHECK(Contains(nul.message, "NUL"));
    for (const std::string bytes : {"\xFF", "\xED\xA0\x80", "\xC0\xAF", "\xF4\x90\x80\x80"}) {
      CHECK(Contains(Bad(With("\"" + field + "\":\"a" + bytes + "\"")).message, "UTF-8"));
    }
  }
  CHECK(Bad(With(R"("full_triggers_config":{"a":["\u0000"]})")).details.field ==
        "full_triggers_config");
  CHECK(Bad(With(R"("commodityTags":[{"\u0000":1}])")).details.field == "commodityTags");
  CHECK(Bad(With(R"("news":["ok","\u0000"])")).details.field == "news");
  CHECK_FALSE(ParseRequest(With("\"title\":\"a") + '\0' + "b\"}").ok());
  const std::string at_ten = "{\"title\":\"\xFF\"}";
  CHECK(Contains(Bad(at_ten).message, "byte 10"));
}

TEST_CASE("a post needs a stock, a topic or a text of its own") {
  const std::string good[] = {
      R"({"kol_serial":1,"stock_code":"2330"})",
      R"({"kol_serial":1,"topic_id":"t"})",
      R"({"kol_serial":1,"stock_code":null,"communityTopic":{"id":"t"}})",
      R"({"kol_serial":1,"stock_code":"","topic_content":"t"})",
      R"({"kol_serial":1,"title":"a","content":"b"})",
  };
  for (const std::string& json : good) {
    CAPTURE(json);
    CHECK(ParseRequest(json).ok());
  }
  const std::string bad[] = {
      R"({"kol_serial":1})",
      R"({"kol_serial":1,"stock_code":"","stock_name":"台積電"})",
      R"({"kol_serial":1,"title":"a"})",
      R"({"kol_serial":1,"title":"a","content":""})",
      R"({"kol_serial":1,"communityTopic":{}})",
      R"({"kol_serial":1,"topic_id":""})",
  };
  for (const std::string& json : bad) {
    CAPTURE(json);
    CHECK(Bad(json).details.field == "stock_code");
  }
}

TEST_CASE("the community topic goes before the plain topic fields") {
  const PostRequest both = Good(
      R"({"kol_serial":1,"communityTopic":{"id":"a","title":"A"},"topic_id":"b","topic_title":"B"})");
  CHECK(both.topic_id == "a");
  CHECK(both.topic_title == "A");
  const PostRequest id_alone =
      Good(R"({"kol_serial":1,"communityTopic":{"id":"a","more":1},"topic_title":"B"})");
  CHECK(id_alone.topic_id == "a");
  CHECK(id_alone.topic_title == "B");
}

TEST_CASE("fields of later versions are refused, unless null") {
  for (const std::string field : {"min_versions"}) {
    CAPTURE(field);
    const Error error = Bad(With("\"" + field + "\":1"));
    CHECK(error.code == Code::kInvalidRequest);
    CHECK(error.details.field == field);
    CHECK(Contains(error.message, "not in this version"));
    CHECK(ParseRequest(With("\"" + field + "\":null")).ok());
  }
}

TEST_CASE("what postgen does not fetch is warned of") {
  CHECK(Good(With(R"("enable_realtime_price":false,"news_config":{},"data_sources":{})"))
            .warnings.empty());
  const PostRequest request = Good(
      With(R"("enable_realtime_price":true,"news_config":{"max_links":5},"data_sources":{"a":1})"));
  REQUIRE(request.warnings.size() == 3);
  CHECK(Contains(request.warnings[0], "`enable_realtime_price`"));
  CHECK(Contains(request.warnings[1], "`news_config`"));
  CHECK(Contains(request.warnings[2], "`data_sources`"));
}

TEST_CASE("likely misspellings are warned of, other unknown fields are not") {
  struct Row {
    std::string_view name;
    std::string_view meant;  // empty: no warning
  };
  const Row rows[] = {
      {"max_word", "max_words"},
      {"maxWords", "max_words"},
      {"Versions", "versions"},
      {"kolSerial", "kol_serial"},
      {"tenants", "tenant"},
      {"commodity_tags", "commodityTags"},
      {"xyz", ""},
      {"quality", ""},
      {"post_to_thread", ""},
      {"stock_codes", ""},
      {"communityTopics", ""},
      {"data_source_config", ""},
      {"", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const PostRequest request = Good(With("\"" + std::string(row.name) + "\":1"));
    REQUIRE(request.warnings.size() == (row.meant.empty() ? 0U : 1U));
    if (!row.meant.empty()) {
      CHECK(Contains(request.warnings[0], "`" + std::string(row.name) + "`"));
      CHECK(Contains(request.warnings[0], "`" + std::string(row.meant) + "`"));
    }
  }
}

TEST_CASE("a batch of the app passes without a word") {
  const PostRequest request = Good(R"({
    "stock_code": "2330", "stock_name": "台積電", "kol_serial": "208", "kol_persona": "technical",
    "content_style": "chart_analysis", "target_audience": "active_traders",
    "session_id": 1767772923000, "max_words": 200, "posting_type": "analysis",
    "model_id_override": null, "use_kol_default_model": true, "trigger_type": "manual",
    "auto_post": false, "post_to_thread": null, "batch_mode": true, "content_length": "medium",
    "data_sources": {}, "explainability_config": {}, "news_config": {}, "news_time_range": "d2",
    "tags_config": {}, "shared_commodity_tags": [], "topic_id": null, "topic_title": null,
    "stock_count_limit": 20, "stock_filter_criteria": [], "data_source_config": {},
    "enable_links": true, "link_count": 5, "kol_selection_method": "random",
    "kol_assignment_strategy": "random", "custom_word_count": null, "analysis_depth": "basic",
    "include_chart_description": false, "include_risk_warning": true, "generation_mode": "manual",
    "has_stock_tags": true, "has_topic_tags": false, "trigger_data": {}, "generation_config": {},
    "full_triggers_config": {}
  })");
  CHECK(request.warnings.empty());
  CHECK(request.kol_serial == 208);
}

TEST_CASE("no known field is on the list of ignored ones") {
  for (const std::string_view ignored : kIgnoredRequestFields) {
    for (const auto& field : kRequestFields) CHECK(field.rule.name != ignored);
  }
}

TEST_CASE("an unknown name cannot break out of its warning") {
  const PostRequest request = Good(With("\"see\\nd\":1,\"\\u001bseed\":2"));
  REQUIRE(request.warnings.size() == 2);
  for (const std::string& warning : request.warnings) {
    CHECK_FALSE(Contains(warning, "\n"));
    CHECK_FALSE(Contains(warning, "\x1B"));
  }
}

TEST_CASE("many unknown names cost little and warn a bounded number of times") {
  std::string json = With("");
  json.pop_back();
  while (json.size() < 1000000) json += ",\"seef\":1";
  json += "}";
  CHECK(Good(json).warnings.size() <= 200);
}

TEST_CASE("messages never show what was sent") {
  const std::string secret = "CANARY-c4f1";
  const std::string fields[] = {"max_words",  "kol_serial", "draft", "cache",
                                "news",       "profile",    "seed",  "full_triggers_config",
                                "deadline_ms"};
  for (const std::string& field : fields) {
    CAPTURE(field);
    CHECK_FALSE(Contains(Bad(With("\"" + field + "\":\"" + secret + "\"")).message, secret));
  }
}

TEST_CASE("every beginning of a request is refused or parsed, and nothing else happens") {
  const std::string json = With(
      R"("stock_name":"台積電 📈\ud83d\udcc8","max_words":"150","news":["a"],"profile":{"serial":"1"})");
  for (std::size_t size = 0; size < json.size(); ++size) {
    CAPTURE(size);
    // On the heap and of exactly this size, so that a read behind the end is seen.
    const std::vector<char> bytes(json.begin(), json.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(ParseRequest(std::string_view(bytes.data(), bytes.size())).ok());
  }
  CHECK(ParseRequest(json).ok());
}

TEST_CASE("an inline profile is for the KOL who writes") {
  CHECK(Good(With(R"("profile":{"nickname":"n"})")).profile->serial == "208");
  CHECK(Good(With(R"("profile":{"serial":"7"})")).profile->serial == "7");
}

TEST_CASE("requests built in C++ have the same bounds") {
  PostRequest good;
  good.stock_code = "2330";
  good.kol_serial = 208;
  CHECK(ValidateRequest(good).ok());

  struct Row {
    std::string_view field;
    void (*spoil)(PostRequest*);
  };
  const Row rows[] = {
      {"kol_serial", [](PostRequest* r) { r->kol_serial.reset(); }},
      {"kol_serial", [](PostRequest* r) { r->kol_serial = 0; }},
      {"stock_code", [](PostRequest* r) { r->stock_code.clear(); }},
      {"max_words", [](PostRequest* r) { r->max_words = 4001; }},
      {"versions", [](PostRequest* r) { r->versions = -1; }},
      {"deadline_ms", [](PostRequest* r) { r->deadline_ms = 1; }},
      {"cache", [](PostRequest* r) { r->cache = static_cast<CacheMode>(9); }},
      {"title", [](PostRequest* r) { r->title = std::string("a\0b", 3); }},
      {"content", [](PostRequest* r) { r->content = "\xFF"; }},
      {"stock_name", [](PostRequest* r) { r->stock_name.assign(65537, 'x'); }},
      {"facts", [](PostRequest* r) { r->facts.emplace_back("\xED\xA0\x80"); }},
      {"facts", [](PostRequest* r) { r->facts.assign(1001, "x"); }},
      {"facts", [](PostRequest* r) { r->facts.assign(17, std::string(65536, 'x')); }},
      {"data_sources", [](PostRequest* r) { r->data_sources = JsonText{"{\"a\":"}; }},
      {"data_sources", [](PostRequest* r) { r->data_sources = JsonText{""}; }},
      {"data_sources", [](PostRequest* r) { r->data_sources = JsonText{"[]"}; }},
      {"commodityTags", [](PostRequest* r) { r->commodity_tags = JsonText{"{}"}; }},
      {"commodityTags", [](PostRequest* r) { r->commodity_tags = JsonText{"[] []"}; }},
      {"full_triggers_config",
       [](PostRequest* r) { r->full_triggers_config = JsonText{std::string(2000000, ' ')}; }},
      {"profile.max_tokens", [](PostRequest* r) { r->profile.emplace().max_tokens = -1; }},
      {"profile.persona", [](PostRequest* r) { r->profile.emplace().persona = "\x80"; }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.field);
    PostRequest request = good;
    row.spoil(&request);
    const Status status = ValidateRequest(request);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == Code::kInvalidRequest);
    CHECK(status.error().details.field == row.field);
  }
}

}  // namespace
}  // namespace postgen
