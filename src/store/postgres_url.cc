#include "store/postgres_url.h"

#include <arpa/inet.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <libpq-fe.h>

namespace postgen {
namespace {

using Parameters = std::map<std::string, std::string, std::less<>>;

// What a URL may say after its `?`. Left out on purpose: `options` (runs settings in the session),
// `service`, `passfile` (files we do not read), and whatever replaces something of ours.
constexpr std::string_view kAllowedOptions[] = {
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "password",
    "port",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
};

// libpq looks for its default files only where it is given no name; nothing can be at this one.
constexpr std::string_view kNoFile = "/dev/null/none";

// Where the URL says nothing. Options that are neither here nor in the URL get libpq's compiled
// default, or the empty value.
struct Default {
  std::string_view name;
  std::string_view value;
};
constexpr Default kDefaults[] = {
    {"application_name", "postgen"},
    {"client_encoding", "UTF8"},
    {"gssencmode", "disable"},
    // A peer that went away without a word is noticed in seconds, not in hours.
    {"keepalives", "1"},
    {"keepalives_idle", "30"},
    {"keepalives_interval", "10"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"},
    {"passfile", kNoFile},
    {"sslcert", kNoFile},
    {"sslcrl", kNoFile},
    {"sslkey", kNoFile},
    {"sslrootcert", kNoFile},
};

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using ParsedOptions = std::unique_ptr<PQconninfoOption, FreeOptions>;

Error BadUrl(const std::string& field, const std::string& what) {
  return {Code::kInvalidConfig, field + ": " + what, field};
}

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool HasGoodEscapes(std::string_view url) {
  for (std::size_t i = 0; i < url.size(); ++i) {
    if (url[i] != '%') continue;
    if (i + 2 >= url.size() || !IsHexDigit(url[i + 1]) || !IsHexDigit(url[i + 2])) return false;
    if (url.substr(i + 1, 2) == "00") return false;
  }
  return true;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Names that look like a value that slipped in are not repeated.
std::string ShownName(std::string_view name) {
  const bool plain = !name.empty() && name.size() <= 32 &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  return plain ? std::string(name) : "(unreadable name)";
}

Status CheckOptionNames(std::string_view url, const std::string& field) {
  const std::size_t question = url.find('?');
  if (question == std::string_view::npos) return {};
  for (const std::string_view option : Split(url.substr(question + 1), '&')) {
    const std::string_view name = option.substr(0, option.find('='));
    if (name.size() == option.size()) {
      return BadUrl(field, "option " + ShownName(name) + " has no value; write name=value");
    }
    if (std::find(std::begin(kAllowedOptions), std::end(kAllowedOptions), name) ==
        std::end(kAllowedOptions)) {
      return BadUrl(field, "option " + ShownName(name) + " is unknown or not allowed");
    }
  }
  return {};
}

// Empty: the default socket.
bool IsSocket(std::string_view host) {
  return host.empty() || host.front() == '/' || host.front() == '@';
}

bool IsLoopback(std::string_view host) {
  if (IsSocket(host) || host == "localhost") return true;
  const std::string text(host);
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string_view ValueOf(const Parameters& parameters, std::string_view name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string_view() : std::string_view(found->second);
}

// Where the connection really goes: hostaddr wins over host.
bool StaysOnThisMachine(const Parameters& parameters) {
  const std::string_view addresses = ValueOf(parameters, "hostaddr");
  const auto hosts = Split(addresses.empty() ? ValueOf(parameters, "host") : addresses, ',');
  return std::all_of(hosts.begin(), hosts.end(), IsLoopback);
}

std::optional<int> ParseInteger(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Status CheckPorts(const Parameters& parameters, const std::string& field) {
  for (const std::string_view port : Split(ValueOf(parameters, "port"), ',')) {
    const auto number = ParseInteger(port);
    if (!port.empty() && (!number || *number < 1 || *number > 65535)) {
      return BadUrl(field, "the port must be from 1 to 65535");
    }
  }
  return {};
}

Status CheckIntegers(const Parameters& parameters, const std::string& field) {
  for (const std::string_view name :
       {"connect_timeout", "keepalives", "keepalives_count", "keepalives_idle",
        "keepalives_interval", "tcp_user_timeout"}) {
    const std::string_view text = ValueOf(parameters, name);
    const auto value = ParseInteger(text);
    if (!text.empty() && (!value || *value < 0)) {
      return BadUrl(field, "option " + std::string(name) + " must be a number, 0 or more");
    }
  }
  return {};
}

// Decides sslmode where the URL does not, and refuses it where it would send the password and the
// posts in the clear.
Status ChooseSslMode(const std::string& field, Parameters* parameters) {
  const std::string mode(ValueOf(*parameters, "sslmode"));
  const bool local = StaysOnThisMachine(*parameters);
  if (mode.empty()) {
    (*parameters)["sslmode"] = local ? "prefer" : "require";
    return {};
  }
  if (mode == "verify-ca" || mode == "verify-full") {
    if (!ValueOf(*parameters, "sslrootcert").empty()) return {};
    return BadUrl(field, "sslmode=" + mode + " needs sslrootcert, the file of the authority");
  }
  if (mode == "disable" || mode == "allow") {
    if (local) return {};
    return BadUrl(field, "sslmode=" + mode +
                             " is refused beyond loopback: the password and the posts would travel "
                             "in the clear; use sslmode=require");
  }
  if (mode == "prefer" || mode == "require") return {};
  return BadUrl(field,
                "sslmode must be require, verify-ca, verify-full, prefer, or on loopback "
                "allow or disable");
}

// libpq's own default, but without PGUSER.
std::string SystemUser() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return {};
  return found->pw_name;
}

void AppendQuoted(std::string_view name, std::string_view value, std::string* conninfo) {
  if (!conninfo->empty()) *conninfo += ' ';
  *conninfo += name;
  *conninfo += "='";
  for (const char c : value) {
    if (c == '\'' || c == '\\') *conninfo += '\\';
    *conninfo += c;
  }
  *conninfo += '\'';
}

std::string MakeConninfo(const PQconninfoOption* options, const Parameters& parameters) {
  std::string conninfo;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    const std::string_view name = option->keyword;
    const auto given = parameters.find(name);
    if (given != parameters.end()) {
      AppendQuoted(name, given->second, &conninfo);
    } else if (option->envvar != nullptr && name != "service") {
      // Only an option that has a value, be it empty, is not taken from the environment. An empty
      // `service` would be looked for in files.
      AppendQuoted(name, option->compiled ? option->compiled : "", &conninfo);
    }
  }
  return conninfo;
}

// As libpq pairs them: a single port is every host's. A list that is too short or too long leaves
// something empty here, and libpq refuses it.
std::vector<PostgresHost> Hosts(const Parameters& parameters) {
  const auto names = Split(ValueOf(parameters, "host"), ',');
  const auto addresses = Split(ValueOf(parameters, "hostaddr"), ',');
  const auto ports = Split(ValueOf(parameters, "port"), ',');
  const auto at = [](const std::vector<std::string_view>& list, std::size_t i) {
    return i < list.size() ? std::string(list[i]) : std::string();
  };
  std::vector<PostgresHost> hosts;
  for (std::size_t i = 0; i < std::max(names.size(), addresses.size()); ++i) {
    hosts.push_back({at(names, i), at(addresses, i), at(ports, ports.size() == 1 ? 0 : i)});
  }
  return hosts;
}

std::string Shown(const Parameters& parameters) {
  std::string host(ValueOf(parameters, "host"));
  if (host.empty()) host = ValueOf(parameters, "hostaddr");
  if (host.empty()) host = "(local socket)";
  std::string shown(ValueOf(parameters, "user"));
  shown += '@' + host;
  const std::string_view port = ValueOf(parameters, "port");
  if (!port.empty()) shown += ':' + std::string(port);
  return shown + '/' + std::string(ValueOf(parameters, "dbname"));
}

}  // namespace

bool PostgresHost::needs_lookup() const {
  if (!address.empty() || IsSocket(name)) return false;
  in6_addr binary{};  // large enough for either
  return inet_pton(AF_INET, name.c_str(), &binary) != 1 &&
         inet_pton(AF_INET6, name.c_str(), &binary) != 1;
}

std::string ConninfoWithHosts(const std::string& conninfo, const std::vector<PostgresHost>& hosts) {
  std::string names;
  std::string addresses;
  std::string ports;
  for (const PostgresHost& host : hosts) {
    const char* const separator = &host == hosts.data() ? "" : ",";
    names += separator + host.name;
    addresses += separator + host.address;
    ports += separator + host.port;
  }
  // Of an option that comes twice the last one counts.
  std::string result = conninfo;
  AppendQuoted("host", names, &result);
  AppendQuoted("hostaddr", addresses, &result);
  AppendQuoted("port", ports, &result);
  return result;
}

Result<PostgresTarget> ParsePostgresUrl(const std::string& url, const std::string& field) {
  if (url.find('\0') != std::string::npos) return BadUrl(field, "holds a NUL character");
  if (!HasGoodEscapes(url)) {
    return BadUrl(field, "a % is not followed by two hexadecimal digits; write %25 for % itself");
  }
  if (Status status = CheckOptionNames(url, field); !status.ok()) return std::move(status).error();
  // libpq's own message is not shown: it repeats what it could not read, the password perhaps.
  const ParsedOptions options(PQconninfoParse(url.c_str(), nullptr));
  if (!options) {
    return BadUrl(field,
                  "not a PostgreSQL URL; write postgresql://user:password@host:port/database and "
                  "percent-encode special characters");
  }
  Parameters parameters;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && *option->val != '\0') parameters[option->keyword] = option->val;
  }
  if (Status status = CheckPorts(parameters, field); !status.ok()) return std::move(status).error();
  if (Status status = CheckIntegers(parameters, field); !status.ok()) {
    return std::move(status).error();
  }
  if (Status status = ChooseSslMode(field, &parameters); !status.ok()) {
    return std::move(status).error();
  }
  for (const Default& option : kDefaults) {
    parameters.try_emplace(std::string(option.name), option.value);
  }
  if (ValueOf(parameters, "user").empty()) parameters["user"] = SystemUser();
  if (ValueOf(parameters, "user").empty()) return BadUrl(field, "names no user");
  parameters.try_emplace("dbname", parameters["user"]);

  PostgresTarget target;
  target.hosts = Hosts(parameters);
  target.conninfo = MakeConninfo(options.get(), parameters);
  target.password = ValueOf(parameters, "password");
  target.shown = Shown(parameters);
  const auto timeout = ParseInteger(ValueOf(parameters, "connect_timeout"));
  if (timeout && *timeout > 0) target.connect_timeout = std::chrono::seconds(*timeout);
  return target;
}

}  // namespace postgen
