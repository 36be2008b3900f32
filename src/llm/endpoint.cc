#include "llm/endpoint.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

#include "digest/sha256.h"
#include "llm/transport/endpoint_url.h"
#include "postgen/version.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxKeyBytes = 4096;
constexpr std::string_view kOuterSpace = " \t\r\n";

Error ConfigError(std::string field, std::string_view why) {
  std::string message = field + ' ' + std::string(why);
  return Error(Code::kInvalidConfig, std::move(message), std::move(field));
}

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kOuterSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kOuterSpace) - begin + 1);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsAlphanumeric(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// RFC 9110, "token".
bool IsHeaderName(std::string_view name) {
  static constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return IsAlphanumeric(c) || kSymbols.find(c) != std::string_view::npos;
  });
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20U && c != '\t') || byte == 0x7FU;
  });
}

// Headers that decide where a request ends, who sends it, or how its reply is encoded.
bool IsReserved(std::string_view lower_name, AuthScheme auth) {
  static constexpr std::array<std::string_view, 11> kReserved = {
      "accept-encoding", "authorization",       "connection", "content-length",    "content-type",
      "expect",          "proxy-authorization", "host",       "transfer-encoding", "te",
      "upgrade"};
  if (auth == AuthScheme::kApiKey && lower_name == "api-key") return true;
  return std::find(kReserved.begin(), kReserved.end(), lower_name) != kReserved.end();
}

Result<std::string> KeyHeader(const LlmEndpoint& options, const std::string& prefix) {
  const std::string field = prefix + "api_key";
  const std::string_view key = Trim(options.api_key);
  if (key.empty()) {
    return ConfigError(field, "is empty; servers that need no key take any text, such as \"none\"");
  }
  if (key.size() > kMaxKeyBytes) return ConfigError(field, "is longer than 4096 bytes");
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable) return ConfigError(field, "has a control or non-ASCII character inside");
  // Of its final size at once: no part of the key stays behind in freed memory.
  std::string header;
  header.reserve(32 + key.size());
  header += options.auth == AuthScheme::kBearer ? "Authorization: Bearer " : "api-key: ";
  header += key;
  return header;
}

Status AddUserHeaders(const LlmEndpoint& options, const std::string& prefix,
                      std::vector<std::string>* headers) {
  bool has_user_agent = false;
  for (const auto& [name, raw_value] : options.headers) {
    if (!IsHeaderName(name)) {
      return ConfigError(prefix + "headers", "has a name that is no header name (RFC 9110 token)");
    }
    const std::string field = prefix + "headers." + name;
    const std::string lower = Lower(name);
    if (IsReserved(lower, options.auth)) return ConfigError(field, "is set by postgen itself");
    if (HasControl(raw_value)) return ConfigError(field, "has a control character in its value");
    const std::string_view value = Trim(raw_value);
    if (value.empty()) return ConfigError(field, "is empty");
    has_user_agent = has_user_agent || lower == "user-agent";
    headers->push_back(name + ": " + std::string(value));
  }
  if (!has_user_agent) headers->push_back("User-Agent: postgen/" POSTGEN_VERSION);
  return {};
}

std::string QueryText(const LlmEndpoint& options) {
  std::string query;
  for (const auto& [name, value] : options.query) {
    query += query.empty() ? '?' : '&';
    query += PercentEncode(name);
    query += '=';
    query += PercentEncode(value);
  }
  return query;
}

Result<EndpointUrl> CheckedUrl(const std::string& base_url, const std::string& prefix,
                               bool allow_insecure_http) {
  const std::string field = prefix + "base_url";
  Result<EndpointUrl> url = ParseEndpointUrl(base_url, field);
  if (url.ok() && !url->secure && !url->loopback && !allow_insecure_http) {
    return ConfigError(field,
                       "would send the key and the prompts unencrypted to another machine; use "
                       "https:// or set llm.allow_insecure_http");
  }
  return url;
}

// The key is random and long, so that its HMAC does not tell it; the label keeps other uses apart.
std::string LimitScope(const std::string& url, const std::string& key_header) {
  constexpr std::size_t kDigits = 32;
  return HexDigest(HmacSha256("postgen limits", url + '\n' + key_header)).substr(0, kDigits);
}

// `prefix` of the options that `one` comes from: "llm.", "llm.endpoints[1].".
Result<Endpoint> MakeEndpoint(const LlmOptions& options, const LlmEndpoint& one,
                              const std::string& prefix) {
  Result<EndpointUrl> url = CheckedUrl(one.base_url, prefix, options.allow_insecure_http);
  if (!url.ok()) return std::move(url).error();
  Result<std::string> key_header = KeyHeader(one, prefix);
  if (!key_header.ok()) return std::move(key_header).error();

  Endpoint endpoint;
  endpoint.host = url->host;
  endpoint.models = one.models;
  HttpEndpoint& http = endpoint.http;
  endpoint.limit_scope = LimitScope(url->url, *key_header);
  http.headers.reserve(one.headers.size() + 2);
  http.headers.push_back(std::move(key_header).value());
  if (Status status = AddUserHeaders(one, prefix, &http.headers); !status.ok()) {
    return std::move(status).error();
  }
  http.url = url->url + "/chat/completions" + QueryText(one);
  http.probe_url = url->url + "/models" + QueryText(one);
  http.proxy = options.proxy;
  http.ca_file = options.ca_file;
  http.allow_http2 = options.http_version != HttpVersion::kHttp1;
  http.require_http2 = options.http_version == HttpVersion::kHttp2;
  http.max_connections = options.max_in_flight;
  http.connect_timeout = std::chrono::milliseconds(options.connect_timeout_ms);
  http.max_reply_bytes = static_cast<std::size_t>(options.max_reply_bytes);
  return endpoint;
}

LlmEndpoint OnlyEndpoint(const LlmOptions& options) {
  return {.base_url = options.base_url,
          .api_key = options.api_key,
          .models = {},
          .headers = options.headers,
          .query = options.query,
          .auth = options.auth};
}

}  // namespace

Result<std::vector<Endpoint>> MakeEndpoints(const LlmOptions& options) {
  std::vector<Endpoint> endpoints;
  const auto add = [&](const LlmEndpoint& one, const std::string& prefix) -> Status {
    Result<Endpoint> endpoint = MakeEndpoint(options, one, prefix);
    if (!endpoint.ok()) return std::move(endpoint).error();
    endpoints.push_back(*std::move(endpoint));
    return {};
  };
  Status status;
  if (options.endpoints.empty()) status = add(OnlyEndpoint(options), "llm.");
  for (std::size_t i = 0; i < options.endpoints.size() && status.ok(); ++i) {
    status = add(options.endpoints[i], "llm.endpoints[" + std::to_string(i) + "].");
  }
  if (!status.ok()) return std::move(status).error();
  return endpoints;
}

}  // namespace postgen
