#include "redis/redis_url.h"

#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

namespace postgen {
namespace {

constexpr std::string_view kScheme = "redis://";

std::optional<int> ParseNumber(std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (value < min || value > max) return std::nullopt;
  return value;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(&text[i] + 1, &text[i] + 3, value, 16);
    if (error != std::errc() || end != &text[i] + 3) return std::nullopt;
    out += static_cast<char>(static_cast<unsigned char>(value));
    i += 2;
  }
  return out;
}

// What comes before the last @, which may be in a password as it is.
bool ReadCredentials(std::string_view* rest, RedisTarget* target) {
  const std::size_t at = rest->rfind('@');
  if (at == std::string_view::npos) return true;
  const std::string_view credentials = rest->substr(0, at);
  rest->remove_prefix(at + 1);
  const std::size_t colon = credentials.find(':');
  const bool has_user = colon != std::string_view::npos;
  std::optional<std::string> user = PercentDecode(credentials.substr(0, has_user ? colon : 0));
  std::optional<std::string> password = PercentDecode(credentials.substr(has_user ? colon + 1 : 0));
  if (!user || !password) return false;
  target->user = std::move(*user);
  target->password = std::move(*password);
  return true;
}

}  // namespace

Result<RedisTarget> ParseRedisUrl(std::string_view url, const std::string& field) {
  const auto bad = [&field](const std::string& what) {
    return Error(Code::kInvalidConfig, field + ": " + what, field);
  };
  if (url.substr(0, 9) == "rediss://") {
    return bad("rediss:// is refused: the Redis client has no TLS; use a local TLS tunnel");
  }
  if (url.substr(0, kScheme.size()) != kScheme) {
    return bad("write redis://[:password@]host[:port][/database]");
  }
  std::string_view rest = url.substr(kScheme.size());
  RedisTarget target;
  if (!ReadCredentials(&rest, &target)) {
    return bad("a % is not followed by two hexadecimal digits; write %25 for % itself");
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 < rest.size()) {
    const std::optional<int> database = ParseNumber(rest.substr(slash + 1), 0, 65535);
    if (!database) return bad("the database after / must be a number from 0 to 65535");
    target.database = *database;
  }
  rest = rest.substr(0, slash);
  const bool bracketed = !rest.empty() && rest.front() == '[';
  const std::size_t bracket = bracketed ? rest.find(']') : 0;
  if (bracket == std::string_view::npos) return bad("the [ of the host has no ]");
  const std::size_t colon = rest.find(':', bracket);
  if (colon != std::string_view::npos) {
    const std::optional<int> port = ParseNumber(rest.substr(colon + 1), 1, 65535);
    if (!port) return bad("the port must be from 1 to 65535");
    target.port = *port;
  }
  std::string_view host = rest.substr(0, colon);
  if (bracketed) host = host.substr(1, bracket - 1);
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '%' || c == '?' || c == '#') {
      return bad("the host holds a character that no host name has");
    }
  }
  if (!host.empty()) target.host = host;
  target.shown =
      target.host + ':' + std::to_string(target.port) + '/' + std::to_string(target.database);
  return target;
}

}  // namespace postgen
