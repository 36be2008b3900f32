#include "llm/transport/endpoint_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace postgen {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlDeleter>;

// Empty where the URL has no such part.
std::string Part(const UrlHandle& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, 0) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// What libcurl would rewrite or pass on: segments that lead to another path than the one written.
bool HasOddSegments(std::string_view base_url) {
  const std::string lower = Lower(base_url);
  const std::size_t authority = lower.find("://");
  if (authority == std::string::npos) return false;
  const std::size_t path = lower.find('/', authority + 3);
  if (path == std::string::npos) return false;
  const std::string_view rest = std::string_view(lower).substr(path);
  const auto has = [rest](std::string_view part) {
    return rest.find(part) != std::string_view::npos;
  };
  return has("/./") || has("/../") || has("%2e") || has("%2f") || has("\\") ||
         rest.substr(rest.rfind('/')) == "/." || rest.substr(rest.rfind('/')) == "/..";
}

bool IsLoopbackV4(const in_addr& address) { return (ntohl(address.s_addr) >> 24U) == 127; }

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return IsLoopbackV4(v4);
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  if (!IN6_IS_ADDR_V4MAPPED(&v6)) return IN6_IS_ADDR_LOOPBACK(&v6);
  std::memcpy(&v4, v6.s6_addr + 12, sizeof v4);
  return IsLoopbackV4(v4);
}

std::string WithoutBrackets(std::string host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    return host.substr(1, host.size() - 2);
  }
  return host;
}

std::string WithoutSlashesAtEnd(std::string text) {
  while (!text.empty() && text.back() == '/') text.pop_back();
  return text;
}

// Objections that can be told from the text alone, before libcurl sees it.
std::string ObjectionToText(std::string_view base_url) {
  if (base_url.empty()) return "is empty";
  if (!IsPrintableAscii(base_url)) {
    return "has a space, a control or a non-ASCII character; write international host names in "
           "their xn-- form";
  }
  const std::size_t host = base_url.find("://") + 3;
  const std::string scheme = Lower(base_url.substr(0, host));
  if (scheme != "https://" && scheme != "http://") return "must begin with https:// or http://";
  // libcurl would take the path's first segment for the host.
  if (base_url.substr(host, 1) == "/") return "has no host";
  if (base_url.find_first_of("?#") != std::string_view::npos) {
    return "must not have a query or fragment; it goes into query";
  }
  // libcurl would decode it, to any byte.
  if (base_url.substr(host, base_url.find('/', host) - host).find('%') != std::string_view::npos) {
    return "must not have an escaped character in its host";
  }
  if (HasOddSegments(base_url)) return "must not have dot segments or escaped slashes in its path";
  return {};
}

}  // namespace

Result<EndpointUrl> ParseEndpointUrl(std::string_view base_url, const std::string& field) {
  const auto refuse = [&field](const std::string& why) {
    return Error(Code::kInvalidConfig, field + ' ' + why, field);
  };
  if (std::string objection = ObjectionToText(base_url); !objection.empty()) {
    return refuse(objection);
  }
  const UrlHandle url(curl_url());
  if (url == nullptr) return Error(Code::kNomem, "out of memory while reading " + field);
  const std::string text = WithoutSlashesAtEnd(std::string(base_url));
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return refuse("is no valid URL; it should look like https://api.openai.com/v1");
  }
  if (!Part(url, CURLUPART_USER).empty() || !Part(url, CURLUPART_PASSWORD).empty() ||
      text.find('@') != std::string::npos) {
    return refuse("must not have a user or password; the key goes into api_key");
  }
  const std::string port = Part(url, CURLUPART_PORT);
  if (port.find_first_not_of('0') == std::string::npos && !port.empty()) {
    return refuse("has port 0");
  }
  if (Part(url, CURLUPART_PATH).find("//") != std::string::npos) {
    return refuse("has an empty segment (//) in its path");
  }

  EndpointUrl endpoint;
  const std::string host = Lower(Part(url, CURLUPART_HOST));
  if (host.empty()) return refuse("has no host");
  if (host.front() == '.' || host.find("..") != std::string::npos) {
    return refuse("has a host with an empty label");
  }
  endpoint.secure = Part(url, CURLUPART_SCHEME) == "https";
  endpoint.host = WithoutBrackets(host);
  endpoint.loopback = IsLoopback(endpoint.host);
  endpoint.url = endpoint.secure ? "https://" : "http://";
  endpoint.url += host;
  if (!port.empty()) endpoint.url += ':' + port;
  endpoint.url += WithoutSlashesAtEnd(Part(url, CURLUPART_PATH));
  return endpoint;
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (unreserved) {
      encoded += c;
    } else {
      encoded += {'%', kHex[byte >> 4U], kHex[byte & 0x0FU]};
    }
  }
  return encoded;
}

}  // namespace postgen
