#include "llm/endpoint.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "llm/transport/endpoint_url.h"

namespace postgen {
namespace {

LlmOptions Options() {
  LlmOptions options;
  options.api_key = "sk-test";
  return options;
}

// The only one.
Result<Endpoint> MakeEndpoint(const LlmOptions& options) {
  Result<std::vector<Endpoint>> endpoints = MakeEndpoints(options);
  if (!endpoints.ok()) return std::move(endpoints).error();
  REQUIRE(endpoints->size() == 1);
  return std::move(endpoints->front());
}

bool HasHeader(const Endpoint& endpoint, std::string_view header) {
  const auto& headers = endpoint.http.headers;
  return std::find(headers.begin(), headers.end(), header) != headers.end();
}

TEST_CASE("the default endpoint") {
  const Result<Endpoint> endpoint = MakeEndpoint(Options());
  REQUIRE(endpoint.ok());
  CHECK(endpoint->http.url == "https://api.openai.com/v1/chat/completions");
  CHECK(endpoint->host == "api.openai.com");
  CHECK(HasHeader(*endpoint, "Authorization: Bearer sk-test"));
}

TEST_CASE("base URLs are normalised by libcurl's own parser") {
  struct {
    std::string_view given;
    std::string_view url;
    std::string_view host;
    bool loopback;
  } const cases[] = {
      {"https://api.openai.com/v1/", "https://api.openai.com/v1", "api.openai.com", false},
      {"https://api.openai.com/v1//", "https://api.openai.com/v1", "api.openai.com", false},
      {"HTTPS://API.OpenAI.com", "https://api.openai.com", "api.openai.com", false},
      {"https://h.test:8443/a/b", "https://h.test:8443/a/b", "h.test", false},
      {"http://localhost:8000/v1", "http://localhost:8000/v1", "localhost", true},
      {"http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", "127.0.0.1", true},
      {"http://127.9.9.9", "http://127.9.9.9", "127.9.9.9", true},
      {"http://[::1]:8000/v1", "http://[::1]:8000/v1", "::1", true},
      {"http://2130706433/v1", "http://127.0.0.1/v1", "127.0.0.1", true},
      {"http://0x7f.1/v1", "http://127.0.0.1/v1", "127.0.0.1", true},
      {"http://134744072/v1", "http://8.8.8.8/v1", "8.8.8.8", false},
      {"http://[::ffff:127.0.0.1]/v1", "http://[::ffff:127.0.0.1]/v1", "::ffff:127.0.0.1", true},
      {"http://[::ffff:8.8.8.8]/v1", "http://[::ffff:8.8.8.8]/v1", "::ffff:8.8.8.8", false},
      {"http://localhost.evil.test", "http://localhost.evil.test", "localhost.evil.test", false},
      {"https://127.0.0.1.evil.test", "https://127.0.0.1.evil.test", "127.0.0.1.evil.test", false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.given);
    const Result<EndpointUrl> url = ParseEndpointUrl(c.given);
    REQUIRE(url.ok());
    CHECK(url->url == c.url);
    CHECK(url->host == c.host);
    CHECK(url->loopback == c.loopback);
  }
}

TEST_CASE("base URLs that are refused, without showing them") {
  const std::string_view cases[] = {
      "",
      "api.openai.com/v1",
      "//api.openai.com/v1",
      "file:///etc/passwd",
      "ftp://h.test",
      "gopher://h.test",
      "unix:/run/x.sock",
      "https://",
      "https:///v1",
      "https:h.test",
      "https://user:SECRET@h.test/v1",
      "https://SECRET@h.test/v1",
      "https://origin.test@other.test/v1",
      "https://h.test/v1?key=SECRET",
      "https://h.test/v1#SECRET",
      "https://h.test/a b",
      "https://h.test/a\r\nX: y",
      "https://h.test\t/",
      "https://h\xC3\xB6st.test/v1",
      "https://h.test:0/v1",
      "https://h.test:99999/v1",
      "https://h.test:x/v1",
      "https://h.test/v1/../admin",
      "https://h.test/v1/..",
      "https://h.test/./v1",
      "https://h.test/v1/%2e%2E/admin",
      "https://h.test/v1%2fadmin",
      "https://h.test//v1",
      "https://h.test\\@other.test/v1",
      "https://[::1",
      "https://../v1",
      "https://h%ee.test/v1",
      "https://h.test%0d%0a",
      "https://[fe80::1%25lo]/v1",
      "https://.h.test/v1",
      "https://h..test/v1",
  };
  for (const std::string_view given : cases) {
    CAPTURE(given);
    LlmOptions options = Options();
    options.base_url = given;
    const Result<Endpoint> endpoint = MakeEndpoint(options);
    REQUIRE_FALSE(endpoint.ok());
    CHECK(endpoint.error().code == Code::kInvalidConfig);
    CHECK(endpoint.error().details.field == "llm.base_url");
    CHECK(endpoint.error().message.find("SECRET") == std::string::npos);
  }
  LlmOptions with_nul = Options();
  with_nul.base_url = std::string("https://h.test\0/v1", 18);
  CHECK_FALSE(MakeEndpoint(with_nul).ok());
}

TEST_CASE("http beyond loopback must be asked for") {
  LlmOptions options = Options();
  options.base_url = "http://h.test/v1";
  REQUIRE_FALSE(MakeEndpoint(options).ok());
  CHECK(MakeEndpoint(options).error().details.field == "llm.base_url");
  options.allow_insecure_http = true;
  CHECK(MakeEndpoint(options).ok());
  options.allow_insecure_http = false;
  options.base_url = "http://127.0.0.1:1/v1";
  CHECK(MakeEndpoint(options).ok());
}

TEST_CASE("keys") {
  struct {
    std::string key;
    bool ok;
  } const cases[] = {
      {"sk-test", true},
      {" \t sk-test\r\n", true},
      {"", false},
      {" \n", false},
      {"sk\r\nX-Evil: 1", false},
      {std::string("sk\0x", 4), false},
      {"sk\x7F", false},
      {"sk-\xE5\xAF\x86", false},
      {std::string(4096, 'k'), true},
      {std::string(4097, 'k'), false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.key);
    LlmOptions options;
    options.api_key = c.key;
    const Result<Endpoint> endpoint = MakeEndpoint(options);
    REQUIRE(endpoint.ok() == c.ok);
    if (c.ok) continue;
    CHECK(endpoint.error().details.field == "llm.api_key");
    CHECK(endpoint.error().message.find("sk") == std::string::npos);
  }
}

TEST_CASE("the key's header, trimmed, by scheme") {
  LlmOptions options;
  options.api_key = "\n sk-test ";
  CHECK(HasHeader(*MakeEndpoint(options), "Authorization: Bearer sk-test"));
  options.auth = AuthScheme::kApiKey;
  CHECK(HasHeader(*MakeEndpoint(options), "api-key: sk-test"));
  CHECK_FALSE(HasHeader(*MakeEndpoint(options), "Authorization: Bearer sk-test"));
}

TEST_CASE("own headers and queries") {
  LlmOptions options = Options();
  options.base_url = "https://r.test/openai/deployments/d";
  options.headers = {{"HTTP-Referer", "https://app.test"}, {"X-Title", " 貼文 "}};
  options.query = {{"api-version", "2024-10-21"}, {"a b", "c&d=e/é"}};
  const Result<Endpoint> endpoint = MakeEndpoint(options);
  REQUIRE(endpoint.ok());
  CHECK(HasHeader(*endpoint, "HTTP-Referer: https://app.test"));
  CHECK(HasHeader(*endpoint, "X-Title: 貼文"));
  CHECK(endpoint->http.url ==
        "https://r.test/openai/deployments/d/chat/completions"
        "?a%20b=c%26d%3De%2F%C3%A9&api-version=2024-10-21");
}

TEST_CASE("headers that are refused") {
  struct {
    std::string name;
    std::string value;
  } const cases[] = {
      {"", "x"},
      {"X Y", "x"},
      {"X:Y", "x"},
      {"X\r\nY", "x"},
      {"X-\xC3\xA9", "x"},
      {"X-A", "a\r\nX-Evil: 1"},
      {"X-A", std::string("a\0b", 3)},
      {"X-A", "a\x7F"},
      {"X-A", " "},
      {"authorization", "Bearer other"},
      {"Host", "other.test"},
      {"Content-Length", "1"},
      {"Content-Type", "text/plain"},
      {"Transfer-Encoding", "chunked"},
      {"Accept-Encoding", "gzip"},
      {"Connection", "close"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    LlmOptions options = Options();
    options.headers = {{c.name, c.value}};
    const Result<Endpoint> endpoint = MakeEndpoint(options);
    REQUIRE_FALSE(endpoint.ok());
    CHECK(endpoint.error().code == Code::kInvalidConfig);
    CHECK(endpoint.error().details.field.rfind("llm.headers", 0) == 0);
    CHECK(endpoint.error().message.find("Evil") == std::string::npos);
  }
  LlmOptions options = Options();
  options.headers = {{"api-key", "x"}};
  CHECK(MakeEndpoint(options).ok());
  options.auth = AuthScheme::kApiKey;
  CHECK_FALSE(MakeEndpoint(options).ok());
}

TEST_CASE("limits and protocol are passed on") {
  LlmOptions options = Options();
  options.max_in_flight = 7;
  options.connect_timeout_ms = 1234;
  options.max_reply_bytes = 4096;
  options.http_version = HttpVersion::kHttp1;
  options.proxy = "http://proxy.test:3128";
  options.ca_file = "/etc/ca.pem";
  const Result<Endpoint> endpoint = MakeEndpoint(options);
  REQUIRE(endpoint.ok());
  CHECK(endpoint->http.max_connections == 7);
  CHECK(endpoint->http.connect_timeout == std::chrono::milliseconds(1234));
  CHECK(endpoint->http.max_reply_bytes == 4096);
  CHECK_FALSE(endpoint->http.allow_http2);
  CHECK_FALSE(endpoint->http.require_http2);
  CHECK(endpoint->http.proxy == options.proxy);
  CHECK(endpoint->http.ca_file == options.ca_file);
  options.http_version = HttpVersion::kHttp2;
  CHECK(MakeEndpoint(options)->http.require_http2);
}

TEST_CASE("several endpoints, each with its own key, headers and query") {
  LlmOptions options;
  options.headers = {{"X-Only", "single"}};
  options.endpoints.resize(2);
  options.endpoints[0] = {.base_url = "https://a.test/v1",
                          .api_key = "sk-a",
                          .models = {},
                          .headers = {},
                          .query = {},
                          .auth = AuthScheme::kBearer};
  options.endpoints[1] = {.base_url = "https://b.test/openai/deployments/d",
                          .api_key = "sk-b",
                          .models = {"gpt-4o"},
                          .headers = {{"X-Team", "t"}},
                          .query = {{"api-version", "2024-10-21"}},
                          .auth = AuthScheme::kApiKey};
  Result<std::vector<Endpoint>> endpoints = MakeEndpoints(options);
  REQUIRE(endpoints.ok());
  REQUIRE(endpoints->size() == 2);
  const Endpoint& a = (*endpoints)[0];
  const Endpoint& b = (*endpoints)[1];
  CHECK(a.host == "a.test");
  CHECK(a.models.empty());
  CHECK(HasHeader(a, "Authorization: Bearer sk-a"));
  CHECK_FALSE(HasHeader(a, "X-Only: single"));
  CHECK(b.http.url ==
        "https://b.test/openai/deployments/d/chat/completions?api-version=2024-10-21");
  CHECK(b.models == std::vector<std::string>{"gpt-4o"});
  CHECK(HasHeader(b, "api-key: sk-b"));
  CHECK(HasHeader(b, "X-Team: t"));

  SUBCASE("a wrong one is named") {
    options.endpoints[1].base_url = "http://b.test";
    const Result<std::vector<Endpoint>> refused = MakeEndpoints(options);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().details.field == "llm.endpoints[1].base_url");
  }
  SUBCASE("so is a wrong header") {
    options.endpoints[0].headers = {{"Host", "x"}};
    const Result<std::vector<Endpoint>> refused = MakeEndpoints(options);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().details.field == "llm.endpoints[0].headers.Host");
  }
}

}  // namespace
}  // namespace postgen
