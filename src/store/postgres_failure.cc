#include "store/postgres_failure.h"

#include <algorithm>
#include <iterator>

namespace postgen {
namespace {

struct Meaning {
  std::string_view prefix;  // of the SQLSTATE
  std::string_view text;
};

// The first that fits.
constexpr Meaning kMeanings[] = {
    {"08", "the connection to the server broke"},
    {"22001", "a text is longer than its column allows"},
    {"22", "a value does not fit the type of its column"},
    {"23502", "a column that postgen does not fill may not be NULL"},
    {"23", "a constraint of the table refused the row"},
    {"25006", "the database is read-only; is it a standby?"},
    {"28", "the server refused the user name or the password"},
    {"3D000", "there is no such database"},
    {"3F000", "there is no schema to create tables in"},
    {"40", "the transaction collided with others"},
    {"42501", "the user lacks a permission on the tables"},
    {"42703", "a column is missing; run: postgen migrate"},
    {"42P01", "a table is missing; run: postgen migrate"},
    {"42P10", "post_records has no primary key on post_id"},
    {"53100", "the server's disk is full"},
    {"53300", "the server has no connections left"},
    {"55P03", "a lock was held for too long"},
    {"57014", "the server cancelled the statement"},
    {"57P", "the server is starting or shutting down"},
};

constexpr std::string_view kRetryable[] = {"08",    "57P01", "57P02", "57P03", "40001",
                                           "40P01", "53300", "25006", "55P03"};

// Trouble of the server that passes, though not at once: out of disk, memory or patience.
constexpr std::string_view kPassing[] = {"53", "57014"};

constexpr std::string_view kEnding[] = {"08", "57P", "25006"};

// What libpq says before it connects to anything, and why it leaves a server that it has reached.
constexpr std::string_view kRefusedOptions[] = {"invalid ", "could not match ",
                                                "could not parse network address "};
constexpr std::string_view kRefusedServers[] = {
    "certificate",          "private key",     "does not support SSL", "alert",
    "unsupported protocol", "channel binding", "no password supplied",
};

bool LineNeedsMending(std::string_view line) {
  // What is before this names the host, which may be called anything.
  constexpr std::string_view kFailed = " failed: ";
  const std::size_t failed = line.find(kFailed);
  if (!line.starts_with("connection to server") || failed == std::string_view::npos) {
    return std::any_of(std::begin(kRefusedOptions), std::end(kRefusedOptions),
                       [&](std::string_view words) { return line.starts_with(words); });
  }
  const std::string_view why = line.substr(failed + kFailed.size());
  // A server in trouble, not one that has looked at us.
  if (why.find("alert internal error") != std::string_view::npos) return false;
  return std::any_of(std::begin(kRefusedServers), std::end(kRefusedServers),
                     [&](std::string_view words) { return why.find(words) != why.npos; });
}

bool IsStateCharacter(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); }

}  // namespace

std::string DescribeSqlState(std::string_view sqlstate) {
  const auto* const meaning =
      std::find_if(std::begin(kMeanings), std::end(kMeanings),
                   [&](const Meaning& m) { return sqlstate.starts_with(m.prefix); });
  std::string text(meaning == std::end(kMeanings) ? "the server reported an error" : meaning->text);
  return text + " (SQLSTATE " + std::string(sqlstate) + ')';
}

bool IsRetryableSqlState(std::string_view sqlstate) {
  return std::any_of(std::begin(kRetryable), std::end(kRetryable),
                     [&](std::string_view prefix) { return sqlstate.starts_with(prefix); });
}

bool IsTransientSqlState(std::string_view sqlstate) {
  return IsRetryableSqlState(sqlstate) ||
         std::any_of(std::begin(kPassing), std::end(kPassing),
                     [&](std::string_view prefix) { return sqlstate.starts_with(prefix); });
}

bool EndsConnection(std::string_view sqlstate) {
  return std::any_of(std::begin(kEnding), std::end(kEnding),
                     [&](std::string_view prefix) { return sqlstate.starts_with(prefix); });
}

std::string SqlStateOfMessage(std::string_view message) {
  const std::size_t end = message.find_last_not_of(" \n");
  if (end == std::string_view::npos) return {};
  message = message.substr(0, end + 1);
  constexpr std::size_t kLength = 5;
  if (message.size() <= kLength) return {};
  const std::string_view state = message.substr(message.size() - kLength);
  // "failed: FATAL:  28P01": a word of its own.
  const bool alone = message[message.size() - kLength - 1] == ' ';
  return alone && std::all_of(state.begin(), state.end(), IsStateCharacter) ? std::string(state)
                                                                            : std::string();
}

bool NeedsMending(std::string_view message) { return LineNeedsMending(LineToShow(message)); }

std::string_view LineToShow(std::string_view message) {
  std::string_view rest = message;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (LineNeedsMending(line)) return line;
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return message.substr(0, message.find('\n'));
}

}  // namespace postgen
