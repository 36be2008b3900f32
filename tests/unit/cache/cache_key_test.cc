#include "cache/cache_key.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

// Everything MakeCacheKey takes.
struct Parts {
  std::string scope = "scope";
  std::string tenant = "tenant";
  std::string base_url = "https://api.example/v1";
  LlmRequest request;
};

Parts SomeParts() {
  Parts parts;
  parts.request.model = "gpt-4o-mini";
  parts.request.messages = {{Role::kSystem, "rules"}, {Role::kUser, "question"}};
  parts.request.max_tokens = 313;
  parts.request.temperature = 1.0;
  parts.request.posting_type = "analysis";
  parts.request.angle = "技術面分析";
  parts.request.version_number = 1;
  parts.request.stock_code = "2330";
  parts.request.stock_name = "台積電";
  parts.request.max_words = 200;
  return parts;
}

CacheKey KeyOf(const Parts& parts) {
  return MakeCacheKey(parts.scope, parts.tenant, parts.base_url, parts.request);
}

TEST_CASE("MakeCacheKey is a function of its arguments") {
  CHECK(KeyOf(SomeParts()) == KeyOf(SomeParts()));
}

TEST_CASE("MakeCacheKey differs for whatever decides the text or who may see it") {
  const std::vector<std::function<void(Parts&)>> changes = {
      [](Parts& p) { p.scope = "scopf"; },
      [](Parts& p) { p.scope.clear(); },
      [](Parts& p) { p.tenant = "other"; },
      [](Parts& p) { p.base_url += "/"; },
      [](Parts& p) { p.request.model = "gpt-4o"; },
      [](Parts& p) { p.request.max_tokens = 314; },
      [](Parts& p) { p.request.temperature = 0.7; },
      [](Parts& p) { p.request.temperature = 0.0; },
      [](Parts& p) { p.request.temperature.reset(); },
      [](Parts& p) { p.request.messages[1].content += " "; },
      [](Parts& p) { p.request.messages[0].role = Role::kUser; },
      [](Parts& p) { p.request.messages.pop_back(); },
      [](Parts& p) {
        p.request.messages.push_back({Role::kUser, ""});
      },
      [](Parts& p) {
        p.request.messages = {{Role::kSystem, "rulesquestion"}};
      },
      [](Parts& p) { p.request.messages[0].content.swap(p.request.messages[1].content); },
      // The same characters, divided otherwise.
      [](Parts& p) { p.scope = "scopet", p.tenant = "enant"; },
      [](Parts& p) {
        p.request.messages = {{Role::kSystem, "rulesq"}, {Role::kUser, "uestion"}};
      },
      [](Parts& p) { p.request.posting_type = "interaction"; },
      [](Parts& p) { p.request.angle = "基本面觀察"; },
      [](Parts& p) { p.request.version_number = 2; },
      [](Parts& p) { p.request.stock_code = "2331"; },
      [](Parts& p) { p.request.stock_name = "聯電"; },
      [](Parts& p) { p.request.max_words = 150; },
  };
  std::set<CacheKey> keys = {KeyOf(SomeParts())};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    Parts parts = SomeParts();
    changes[i](parts);
    CHECK(keys.insert(KeyOf(parts)).second);
  }
}

TEST_CASE("MakeCacheKey ignores how the reply travels") {
  Parts parts = SomeParts();
  parts.request.stream = true;
  parts.request.deadline = TimePoint(std::chrono::seconds(7));
  CHECK(KeyOf(parts) == KeyOf(SomeParts()));
}

TEST_CASE("MakeCacheKey takes 0.0 and -0.0 for one temperature") {
  Parts zero = SomeParts();
  zero.request.temperature = 0.0;
  Parts minus = SomeParts();
  minus.request.temperature = -0.0;
  CHECK(KeyOf(zero) == KeyOf(minus));
}

TEST_CASE("CacheScope tells API keys apart without telling them") {
  LlmOptions llm;
  llm.api_key = "sk-secret-0123456789";
  const std::string scope = CacheScope({}, llm);
  CHECK(scope.find("sk-secret") == std::string::npos);
  CHECK(scope.find("0123456789") == std::string::npos);
  CHECK(scope == CacheScope({}, llm));
  llm.api_key = "sk-secret-0123456780";
  CHECK(scope != CacheScope({}, llm));
}

TEST_CASE("CacheScope and CacheEndpoint of several endpoints") {
  LlmOptions llm;
  llm.api_key = "sk-secret-0";
  const std::string single = CacheScope({}, llm);
  llm.endpoints.resize(2);
  llm.endpoints[0].base_url = "https://a.test";
  llm.endpoints[0].api_key = "sk-secret-1";
  llm.endpoints[1].base_url = "https://b.test";
  llm.endpoints[1].api_key = "sk-secret-2";
  const std::string scope = CacheScope({}, llm);
  const std::string endpoint = CacheEndpoint(llm);
  CHECK(scope != single);
  CHECK(scope.find("secret") == std::string::npos);
  llm.endpoints[1].api_key = "sk-secret-3";
  CHECK(CacheScope({}, llm) != scope);
  CHECK(CacheEndpoint(llm) == endpoint);
  llm.endpoints[1].base_url = "https://c.test";
  CHECK(CacheEndpoint(llm) != endpoint);
}

TEST_CASE("CacheScope: a given scope wins and can never pose as a fingerprint") {
  LlmOptions one;
  one.api_key = "one";
  LlmOptions two;
  two.api_key = "two";
  CacheOptions cache;
  cache.scope = "shared";
  CHECK(CacheScope(cache, one) == CacheScope(cache, two));
  cache.scope = CacheScope({}, one);
  CHECK(CacheScope(cache, two) != CacheScope({}, one));
}

}  // namespace
}  // namespace postgen
