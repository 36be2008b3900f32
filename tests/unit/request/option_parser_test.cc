#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "postgen/json.h"

namespace postgen {
namespace {

Options Good(std::string_view json) {
  Result<Options> options = ParseOptions(json);
  REQUIRE_MESSAGE(options.ok(), options.error().message);
  return *std::move(options);
}

Error Bad(std::string_view json) {
  Result<Options> options = ParseOptions(json);
  REQUIRE_FALSE(options.ok());
  CHECK(options.error().code == Code::kInvalidConfig);
  return options.error();
}

// `llm.proxy` with the value "x" as {"llm":{"proxy":"x"}}.
std::string Option(std::string_view key, std::string_view value) {
  const std::size_t dot = key.find('.');
  if (dot == std::string_view::npos) {
    return "{\"" + std::string(key) + "\":" + std::string(value) + "}";
  }
  return "{\"" + std::string(key.substr(0, dot)) + "\":" + Option(key.substr(dot + 1), value) + "}";
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

TEST_CASE("no options are the defaults") {
  const Options options = Good("{}");
  CHECK(options.llm.provider == "openai");
  CHECK(options.llm.base_url == "https://api.openai.com/v1");
  CHECK(options.llm.default_model == "gpt-4o-mini");
  CHECK(options.llm.max_in_flight == 256);
  CHECK(options.cache.url == "memory:");
  CHECK(options.store.url == "none:");
  CHECK(options.default_deadline_ms == 120000);
  CHECK(Good(R"({"llm":{},"store":null,"cache":{"url":null}})").cache.url == "memory:");
}

TEST_CASE("every option arrives") {
  const Options options = Good(R"({
    "llm": {
      "provider": "template", "base_url": "http://127.0.0.1:8080/v1", "api_key": "sk-1",
      "allow_insecure_http": true, "headers": {"X-Team": "a b"}, "query": {"api-version": "1"},
      "auth": "api-key", "proxy": "http://proxy:3128", "ca_file": "/etc/ca.pem",
      "http_version": "1.1", "default_model": "gpt-4.1", "temperature": 0.5,
      "use_kol_temperature": true, "use_kol_max_tokens": true, "max_tokens": 900,
      "token_param": "max_tokens", "stream": false,
      "max_in_flight": 7, "connect_timeout_ms": 1, "first_token_timeout_ms": 2,
      "idle_timeout_ms": 3, "attempt_timeout_ms": 4, "max_attempts": 5, "max_reply_bytes": 4096,
      "on_failure": "template",
      "prices": {"m": {"input": 1, "output": 2.5}, "n": {"input": 4, "cached_input": 1, "output": 8}}
    },
    "prompts": {"dir": "prompts"},
    "cache": {"url": "none:", "ttl_s": 0, "max_bytes": 1000, "scope": "team"},
    "store": {"url": "sqlite:posts.db", "pool_min": 1, "pool_max": 2},
    "profiles": {"url": "file:kols.json", "ttl_s": 5},
    "shared": {"url": "redis://localhost"}, "budget_usd_per_day": 5,
    "default_deadline_ms": 1000, "max_pending_posts": 9, "choice": "random", "require_kol": true
  })");
  const LlmOptions& llm = options.llm;
  CHECK(llm.provider == "template");
  CHECK(llm.base_url == "http://127.0.0.1:8080/v1");
  CHECK(llm.api_key == "sk-1");
  CHECK(llm.allow_insecure_http);
  CHECK(llm.headers.at("X-Team") == "a b");
  CHECK(llm.query.at("api-version") == "1");
  CHECK(llm.auth == AuthScheme::kApiKey);
  CHECK(llm.proxy == "http://proxy:3128");
  CHECK(llm.ca_file == "/etc/ca.pem");
  CHECK(llm.http_version == HttpVersion::kHttp1);
  CHECK(llm.default_model == "gpt-4.1");
  CHECK(llm.temperature == 0.5);
  CHECK(llm.use_kol_temperature);
  CHECK(llm.use_kol_max_tokens);
  CHECK(llm.max_tokens == 900);
  CHECK(llm.token_param == TokenParam::kMaxTokens);
  CHECK(llm.stream == StreamMode::kNever);
  CHECK(llm.max_in_flight == 7);
  CHECK(llm.connect_timeout_ms == 1);
  CHECK(llm.first_token_timeout_ms == 2);
  CHECK(llm.idle_timeout_ms == 3);
  CHECK(llm.attempt_timeout_ms == 4);
  CHECK(llm.max_attempts == 5);
  CHECK(llm.max_reply_bytes == 4096);
  CHECK(llm.on_failure == OnFailure::kTemplate);
  CHECK(llm.prices.at("m") == ModelPrice{1, 1, 2.5});
  CHECK(llm.prices.at("n") == ModelPrice{4, 1, 8});
  CHECK(options.prompts.dir == "prompts");
  CHECK(options.cache.url == "none:");
  CHECK(options.cache.ttl_s == 0);
  CHECK(options.cache.max_bytes == 1000);
  CHECK(options.cache.scope == "team");
  CHECK(options.store.url == "sqlite:posts.db");
  CHECK(options.store.pool_min == 1);
  CHECK(options.store.pool_max == 2);
  CHECK(options.profiles.url == "file:kols.json");
  CHECK(options.profiles.ttl_s == 5);
  CHECK(options.shared.url == "redis://localhost");
  CHECK(options.budget_usd_per_day == 5.0);
  CHECK(options.default_deadline_ms == 1000);
  CHECK(options.max_pending_posts == 9);
  CHECK(options.require_kol);
}

TEST_CASE("the words of stream are auto, true and false") {
  CHECK(Good(Option("llm.stream", "\"auto\"")).llm.stream == StreamMode::kAuto);
  CHECK(Good(Option("llm.stream", "true")).llm.stream == StreamMode::kAlways);
  CHECK(Good(Option("llm.stream", "false")).llm.stream == StreamMode::kNever);
}

TEST_CASE("every bound and type is kept, and named with its option") {
  const std::string day_ms = "86400000";
  struct Row {
    std::string_view key;
    std::string good;
    std::string bad;
  };
  const Row rows[] = {
      {"llm.provider", "\"openai\"", "\"anthropic\""},
      {"llm.temperature", "0", "-0.1"},
      {"llm.temperature", "2.0", "2.1"},
      {"llm.temperature", "1", "\"1\""},
      {"llm.use_kol_temperature", "true", "1"},
      {"llm.max_tokens", "1", "0"},
      {"llm.max_tokens", "null", "1.5"},
      {"llm.token_param", "\"auto\"", "\"tokens\""},
      {"llm.stream", "true", "\"yes\""},
      {"llm.http_version", "\"2\"", "2"},
      {"llm.auth", "\"bearer\"", "\"basic\""},
      {"llm.on_failure", "\"error\"", "\"ignore\""},
      {"llm.max_in_flight", "1", "0"},
      {"llm.max_in_flight", "100000", "1000000000"},
      {"llm.connect_timeout_ms", "1", "0"},
      {"llm.connect_timeout_ms", day_ms, "86400001"},
      {"llm.connect_timeout_ms", "5e3", "9223372036854775807"},
      {"llm.connect_timeout_ms", "5000", "\"5000\""},
      {"llm.first_token_timeout_ms", day_ms, "-1"},
      {"llm.idle_timeout_ms", day_ms, "18446744073709551615"},
      {"llm.attempt_timeout_ms", day_ms, "0.5"},
      {"llm.attempt_timeout_ms", "1", "true"},
      {"llm.max_attempts", "1", "0"},
      {"llm.max_attempts", "20", "21"},
      {"llm.max_reply_bytes", "1024", "1023"},
      {"llm.default_model", "\"m\"", "\"\""},
      {"llm.default_model", "\"ft:gpt-4o\\\"x\"", "\"gpt\\n4\""},
      {"llm.default_model", Quoted(std::string(200, 'm')), Quoted(std::string(201, 'm'))},
      {"llm.proxy", "\"\"", "\"http://a b\""},
      {"llm.ca_file", "\"/a b/ca.pem\"", "\"/a\\u0000b\""},
      {"prompts.dir", "\"dir\"", "7"},
      {"cache.ttl_s", "0", "-1"},
      {"cache.max_bytes", "1", "0"},
      {"cache.url", "\"none:\"", "\"memory\""},
      {"store.pool_min", "0", "-1"},
      {"store.pool_max", "50", "0"},
      {"profiles.url", "\"\"", "\"kols.json\""},
      {"profiles.ttl_s", "0", "-1"},
      {"default_deadline_ms", "100", "99"},
      {"default_deadline_ms", "600000", "600001"},
      {"max_pending_posts", "1", "0"},
      {"require_kol", "true", "\"true\""},
      {"choice", "\"random\"", "\"first\""},
      {"llm", "{}", "[]"},
      {"store", "{}", "\"memory:\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    CAPTURE(row.bad);
    const Result<Options> good = ParseOptions(Option(row.key, row.good));
    CHECK_MESSAGE(good.ok(), (good.ok() ? "" : good.error().message));
    const Error error = Bad(Option(row.key, row.bad));
    CHECK(error.details.field == row.key);
    CHECK(Contains(error.message, "`" + std::string(row.key) + "`"));
  }
}

TEST_CASE("an unknown option is refused with the nearest known one") {
  struct Row {
    std::string_view json;
    std::string_view field;
    std::string_view nearest;
  };
  const Row rows[] = {
      {R"({"llm":{"max_inflight":1}})", "llm.max_inflight", "`llm.max_in_flight`"},
      {R"({"llm":{"timeout_ms":1}})", "llm.timeout_ms", "`llm.idle_timeout_ms`"},
      {R"({"stor":{"url":"none:"}})", "stor", "`store.url`"},
      {R"({"api_key":"sk"})", "api_key", "`llm.api_key`"},
      {R"({"deadline_ms":1})", "deadline_ms", "`default_deadline_ms`"},
      {R"({"llm.max_in_flight":1})", "llm.max_in_flight", "nest it"},
      {R"({"llm":{"a\nb":1}})", "llm.a?b", "nearest"},
      {R"({"":1})", "", "nearest"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    const Error error = Bad(row.json);
    CHECK(error.details.field == row.field);
    CHECK(Contains(error.message, row.nearest));
    CHECK_FALSE(Contains(error.message, "\n"));
  }
}

TEST_CASE("options of later versions are refused by name") {
  CHECK(Contains(Bad(R"({"choice":"best"})").message, "best is not in this version"));
}

TEST_CASE("Redis is named by a URL without TLS") {
  CHECK(Good(Option("cache.url", "\"redis://:p@localhost/1\"")).cache.url ==
        "redis://:p@localhost/1");
  CHECK(Good(Option("shared.url", "\"redis://:p@localhost/1\"")).shared.url ==
        "redis://:p@localhost/1");
  CHECK(Good(Option("shared.url", "\"\"")).shared.url.empty());
  for (const char* key : {"cache.url", "shared.url"}) {
    CAPTURE(key);
    CHECK(Contains(Bad(Option(key, "\"rediss://localhost\"")).message, "TLS"));
    CHECK(Contains(Bad(Option(key, "\"localhost\"")).message, "must be redis://"));
  }
  CHECK(Contains(Bad(Option("shared.url", "\"memory:\"")).message, "must be redis://"));
}

TEST_CASE("a budget is an amount of money") {
  CHECK_FALSE(Good("{}").budget_usd_per_day.has_value());
  CHECK_FALSE(Good(R"({"budget_usd_per_day":null})").budget_usd_per_day.has_value());
  CHECK(Good(R"({"budget_usd_per_day":0})").budget_usd_per_day == 0.0);
  CHECK(Good(R"({"budget_usd_per_day":2.5})").budget_usd_per_day == 2.5);
  for (const char* value : {"-1", "1e300", "true", "[]"}) {
    CAPTURE(value);
    CHECK(Bad(Option("budget_usd_per_day", value)).details.field == "budget_usd_per_day");
  }
}

TEST_CASE("rates are whole and at least 1") {
  const Options options = Good(R"({"llm":{"rpm":500,"tpm":200000}})");
  CHECK(options.llm.rpm == 500);
  CHECK(options.llm.tpm == 200000);
  CHECK_FALSE(Good("{}").llm.rpm.has_value());
  for (const std::string_view key : {"llm.rpm", "llm.tpm"}) {
    for (const std::string_view value : {"0", "-1", "0.5", "1.5", "\"500\"", "1e30", "true"}) {
      CAPTURE(value);
      CHECK(Bad(Option(key, value)).details.field == key);
    }
  }
}

TEST_CASE("fallback models") {
  CHECK(Good(R"({"llm":{"fallback_models":["a","b"]}})").llm.fallback_models ==
        std::vector<std::string>{"a", "b"});
  for (const std::string_view value : {R"("a")", R"([""])", R"(["a\nb"])", "[1]", "{}"}) {
    CAPTURE(value);
    CHECK(Bad(Option("llm.fallback_models", value)).details.field == "llm.fallback_models");
  }
}

TEST_CASE("endpoints") {
  const Options options = Good(R"({"llm":{"endpoints":[
    {"base_url":"https://a.test/v1","api_key":" sk-a "},
    {"base_url":"https://b.test/openai","api_key":"sk-b","models":["gpt-4o"],"auth":"api-key",
     "headers":{"X-Team":"t"},"query":{"api-version":"1"}}]}})");
  REQUIRE(options.llm.endpoints.size() == 2);
  CHECK(options.llm.endpoints[0].api_key == "sk-a");
  CHECK(options.llm.endpoints[0].auth == AuthScheme::kBearer);
  CHECK(options.llm.endpoints[1].base_url == "https://b.test/openai");
  CHECK(options.llm.endpoints[1].models == std::vector<std::string>{"gpt-4o"});
  CHECK(options.llm.endpoints[1].auth == AuthScheme::kApiKey);
  CHECK(options.llm.endpoints[1].headers.at("X-Team") == "t");
  CHECK(options.llm.endpoints[1].query.at("api-version") == "1");
  CHECK(Good(R"({"llm":{"endpoints":[]}})").llm.endpoints.empty());
}

TEST_CASE("an endpoint that is refused is named, its key is not") {
  struct Row {
    std::string endpoint;
    std::string field;
  };
  const std::string good = R"({"base_url":"https://a.test/v1","api_key":"sk-a"})";
  const std::vector<Row> rows = {
      {"1", ""},
      {R"({"api_key":"sk-secret"})", ".base_url"},
      {R"({"base_url":"ftp://b.test","api_key":"sk-secret"})", ".base_url"},
      {R"({"base_url":"https://b.test"})", ".api_key"},
      {R"({"base_url":"https://b.test","api_key":"sk-\nsecret"})", ".api_key"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","models":"gpt-4o"})", ".models"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","models":[""]})", ".models"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","headers":{"Host":"x"}})", ".headers"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","query":1})", ".query"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","auth":"basic"})", ".auth"},
      {R"({"base_url":"https://b.test","api_key":"sk-secret","modles":[]})", ".modles"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.endpoint);
    const Error error = Bad(Option("llm.endpoints", "[" + good + "," + row.endpoint + "]"));
    CHECK(error.details.field == "llm.endpoints[1]" + row.field);
    CHECK(Contains(error.message, "llm.endpoints[1]" + row.field));
    CHECK_FALSE(Contains(error.message, "secret"));
  }
  CHECK(Bad(Option("llm.endpoints", good)).details.field == "llm.endpoints");
  std::string many = "[" + good;
  for (int i = 0; i < 32; ++i) many += "," + good;
  CHECK(Bad(Option("llm.endpoints", many + "]")).details.field == "llm.endpoints");
}

TEST_CASE("an API key is trimmed outside and refused for what is inside") {
  for (const std::string json : {"sk-1", "sk-1\\n", " \\t sk-1\\r\\n "}) {
    CAPTURE(json);
    CHECK(Good(Option("llm.api_key", Quoted(json))).llm.api_key == "sk-1");
  }
  const std::string bad[] = {
      "",
      " \\n ",
      "CANARY\\r\\nX: y",
      "CANARY\\nz",
      "CANARY\\u0000z",
      "CANARY\\u007fz",
      "CANARY\\u001bz",
      "CANARY金鑰",
      "CANARY" + std::string(4096, 'x'),
  };
  for (const std::string& key : bad) {
    CAPTURE(key.substr(0, 20));
    const Error error = Bad(Option("llm.api_key", Quoted(key)));
    CHECK(error.details.field == "llm.api_key");
    CHECK_FALSE(Contains(error.message, "CANARY"));
  }
}

TEST_CASE("a base URL needs a scheme and plain characters") {
  for (const std::string url :
       {"https://api.example.com/v1", "HTTP://127.0.0.1:8080", "http://[::1]:8080/v1/"}) {
    CAPTURE(url);
    CHECK(ParseOptions(Option("llm.base_url", Quoted(url))).ok());
  }
  for (const std::string url :
       {"", "api.example.com", "file:///etc/passwd", "ftp://a", "unix:/a", "gopher://a", "https:/a",
        "https://a b", "https://a\\r\\nb", "https://a\\u0000", "https://例.tw", " https://a"}) {
    CAPTURE(url);
    CHECK(Bad(Option("llm.base_url", Quoted(url))).details.field == "llm.base_url");
  }
}

TEST_CASE("store URLs are known by their scheme and never shown") {
  for (const std::string url : {"postgresql://u:p@h/db", "postgres://h", "sqlite:posts.db",
                                "sqlite:/a b/posts.db", "memory:", "none:"}) {
    CAPTURE(url);
    CHECK(ParseOptions(Option("store.url", Quoted(url))).ok());
    CHECK(ParseOptions(Option("profiles.url", Quoted(url))).ok());
  }
  for (const std::string url : {"", "posts.db", "mysql://u:CANARY@h", "sqlite:", "postgresql:",
                                "postgresql://", "file:a.json", "postgresql://u:CANARY@h/\\n"}) {
    CAPTURE(url);
    const Error error = Bad(Option("store.url", Quoted(url)));
    CHECK(error.details.field == "store.url");
    CHECK_FALSE(Contains(error.message, "CANARY"));
  }
}

TEST_CASE("headers cannot break the request nor replace what the client sends") {
  const std::string good[] = {R"({})", R"({"X-A":"1","OpenAI-Organization":"org 1"})",
                              R"({"x-a":""})"};
  for (const std::string& headers : good) {
    CAPTURE(headers);
    CHECK(ParseOptions(Option("llm.headers", headers)).ok());
  }
  const std::string bad[] = {
      R"({"":"x"})",
      R"({"X A":"x"})",
      R"({"X:":"x"})",
      R"({"X-A\r\n":"x"})",
      R"({"é":"x"})",
      R"({"X-A":"a\r\nHost: b"})",
      R"({"X-A":"a\nb"})",
      R"({"X-A":"a\u0000"})",
      R"({"X-A":"é"})",
      R"({"Authorization":"x"})",
      R"({"hOST":"x"})",
      R"({"content-length":"1"})",
      R"({"Transfer-Encoding":"chunked"})",
      R"({"X-A":1})",
      R"(["X-A"])",
  };
  for (const std::string& headers : bad) {
    CAPTURE(headers);
    CHECK(Bad(Option("llm.headers", headers)).details.field == "llm.headers");
  }
  CHECK(Bad(Option("llm.query", R"({"a":"b\nc"})")).details.field == "llm.query");
}

TEST_CASE("prices are complete and not negative") {
  const std::string bad[] = {
      R"({"m":{}})",
      R"({"m":{"input":1}})",
      R"({"m":{"output":1}})",
      R"({"m":{"input":-1,"output":1}})",
      R"({"m":{"input":1,"output":1e7}})",
      R"({"m":{"input":"1","output":1}})",
      R"({"m":{"input":1,"output":1,"inptu":1}})",
      R"({"m":3})",
      R"([])",
  };
  for (const std::string& prices : bad) {
    CAPTURE(prices);
    CHECK(Bad(Option("llm.prices", prices)).details.field == "llm.prices");
  }
}

TEST_CASE("the pool's least is not above its most") {
  CHECK(ParseOptions(R"({"store":{"pool_min":5,"pool_max":5}})").ok());
  CHECK(Bad(R"({"store":{"pool_max":5}})").details.field == "store.pool_min");
}

TEST_CASE("very long times to live become ten years") {
  const Options options =
      Good(R"({"cache":{"ttl_s":9223372036854775807},"profiles":{"ttl_s":315360001}})");
  CHECK(options.cache.ttl_s == 315360000);
  CHECK(options.profiles.ttl_s == 315360000);
  CHECK(Good(Option("cache.ttl_s", "315360000")).cache.ttl_s == 315360000);
}

TEST_CASE("of duplicate options the last one counts") {
  CHECK(Good(R"({"require_kol":false,"require_kol":true})").require_kol);
  CHECK(Good(R"({"llm":{"max_attempts":2},"llm":{"max_attempts":3}})").llm.max_attempts == 3);
}

TEST_CASE("options that are no JSON object are refused") {
  for (const std::string_view json : {"", "[]", "null", "{", "{\"a\":\xFF}"}) {
    CAPTURE(json);
    CHECK(Bad(json).details.field == "options");
  }
}

TEST_CASE("options built in C++ have the same bounds") {
  Options good;
  good.llm.api_key = " sk-1\n";
  CHECK(ValidateOptions(&good).ok());
  CHECK(good.llm.api_key == "sk-1");

  struct Row {
    std::string_view key;
    void (*spoil)(Options*);
  };
  const Row rows[] = {
      {"llm.temperature", [](Options* o) { o->llm.temperature = std::nan(""); }},
      {"llm.temperature",
       [](Options* o) { o->llm.temperature = std::numeric_limits<double>::infinity(); }},
      {"llm.connect_timeout_ms", [](Options* o) { o->llm.connect_timeout_ms = -5; }},
      {"llm.api_key", [](Options* o) { o->llm.api_key = "a\r\nb"; }},
      {"llm.api_key", [](Options* o) { o->llm.api_key = "  "; }},
      {"llm.base_url", [](Options* o) { o->llm.base_url = ""; }},
      {"llm.default_model", [](Options* o) { o->llm.default_model = "\xFF"; }},
      {"llm.headers", [](Options* o) { o->llm.headers["Host"] = "x"; }},
      {"llm.prices",
       [](Options* o) {
         o->llm.prices["m"] = {std::nan(""), 0, 0};
       }},
      {"llm.auth", [](Options* o) { o->llm.auth = static_cast<AuthScheme>(7); }},
      {"cache.scope", [](Options* o) { o->cache.scope = std::string("a\0b", 3); }},
      {"store.url", [](Options* o) { o->store.url = ""; }},
      {"choice", [](Options* o) { o->choice = static_cast<Choice>(1); }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    Options options;
    row.spoil(&options);
    const Status status = ValidateOptions(&options);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == Code::kInvalidConfig);
    CHECK(status.error().details.field == row.key);
  }
}

}  // namespace
}  // namespace postgen
