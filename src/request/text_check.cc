#include "request/text_check.h"

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxApiKeyBytes = 4096;
constexpr std::size_t kMaxHeaderBytes = 8192;

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return ToLower(x) == ToLower(y); });
}

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20U || c == '\x7F'; }

bool IsPrintableAscii(char c) { return c >= ' ' && c <= '~'; }

bool IsVisibleAscii(char c) { return c > ' ' && c <= '~'; }

// "tchar" of RFC 9110.
bool IsTokenChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

template <typename Predicate>
bool All(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

// `scheme` followed by something.
bool Names(std::string_view url, std::string_view scheme) {
  return url.size() > scheme.size() && url.substr(0, scheme.size()) == scheme;
}

bool IsStoreUrl(std::string_view url) {
  return url == "none:" || url == "memory:" || Names(url, "postgresql://") ||
         Names(url, "postgres://") || Names(url, "sqlite:");
}

// What comes after the scheme is read where the connection is made.
std::string_view RedisUrl(std::string_view text, std::string_view expected) {
  if (text.substr(0, 8) == "redis://") return PlainText(text);
  if (StartsWithIgnoreCase(text, "rediss://")) {
    return "must not be rediss://: the Redis client has no TLS; use a local TLS tunnel";
  }
  return expected;
}

}  // namespace

std::string_view TextViolation(std::string_view text) {
  if (text.size() > kMaxStringBytes) return "must not be longer than 65536 bytes";
  if (text.find('\0') != std::string_view::npos) return "must not contain NUL characters";
  if (!IsValidUtf8(text)) return "must be valid UTF-8";
  return {};
}

std::string_view PlainText(std::string_view text) {
  if (!std::any_of(text.begin(), text.end(), IsControl)) return {};
  return "must not contain control characters";
}

std::string_view ModelName(std::string_view text) {
  return text.empty() ? "must not be empty" : PlainText(text);
}

std::string_view ApiKey(std::string_view text) {
  if (text.size() > kMaxApiKeyBytes) return "must not be longer than 4096 bytes";
  if (!All(text, IsPrintableAscii)) {
    return "must be printable ASCII: check for line breaks and other characters inside the key";
  }
  return {};
}

std::string_view Provider(std::string_view text) {
  if (text == "openai" || text == "template") return {};
  return "must be one of openai, template";
}

std::string_view BaseUrl(std::string_view text) {
  const bool has_scheme =
      StartsWithIgnoreCase(text, "https://") || StartsWithIgnoreCase(text, "http://");
  if (has_scheme && All(text, IsVisibleAscii)) return {};
  return "must be an https:// or http:// URL without spaces, control and non-ASCII characters";
}

std::string_view ProxyUrl(std::string_view text) {
  if (All(text, IsVisibleAscii)) return {};
  return "must be a URL without spaces, control and non-ASCII characters";
}

std::string_view CacheUrl(std::string_view text) {
  if (text == "memory:" || text == "none:") return {};
  return RedisUrl(text, "must be redis://[:password@]host[:port][/database], memory: or none:");
}

std::string_view SharedUrl(std::string_view text) {
  if (text.empty()) return {};
  return RedisUrl(text, "must be redis://[:password@]host[:port][/database]");
}

std::string_view StoreUrl(std::string_view text) {
  if (IsStoreUrl(text) && PlainText(text).empty()) return {};
  return "must be postgresql://..., postgres://..., sqlite:FILE, memory: or none:";
}

std::string_view ProfilesUrl(std::string_view text) {
  if ((text.empty() || IsStoreUrl(text) || Names(text, "file:")) && PlainText(text).empty()) {
    return {};
  }
  return "must be postgresql://..., postgres://..., sqlite:FILE, file:FILE, memory: or none:";
}

std::string_view HeaderName(std::string_view text) {
  // What the client itself sets: another value would change where a request goes or how it is read.
  static constexpr std::array<std::string_view, 5> kOwned = {
      "Authorization", "Host", "Content-Length", "Transfer-Encoding", "Connection"};
  const bool owned = std::any_of(kOwned.begin(), kOwned.end(), [text](std::string_view name) {
    return EqualsIgnoreCase(name, text);
  });
  if (!owned && !text.empty() && text.size() <= kMaxHeaderBytes && All(text, IsTokenChar)) {
    return {};
  }
  return "must be a header name other than Authorization, Host, Content-Length, "
         "Transfer-Encoding and Connection";
}

std::string_view HeaderValue(std::string_view text) {
  if (text.size() <= kMaxHeaderBytes && All(text, IsPrintableAscii)) return {};
  return "must be printable ASCII of at most 8192 bytes";
}

std::string_view Trim(std::string_view text) {
  static constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1);
}

std::string Printable(std::string_view name) {
  static constexpr std::size_t kMaxShownBytes = 64;
  std::string shown(name.substr(0, kMaxShownBytes));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return !IsTokenChar(c) || c == '`'; }, '?');
  return shown;
}

}  // namespace postgen
