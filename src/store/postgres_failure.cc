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

}  // namespace postgen
