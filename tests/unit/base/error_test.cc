#include "postgen/error.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace postgen {
namespace {

struct Row {
  Code code;
  int number;
  std::string_view name;
  int http_status;
};

// Written out once more, by hand: numbers and names are a promise to C and Python.
constexpr Row kRows[] = {
    {Code::kOk, 0, "ok", 200},
    {Code::kInvalidRequest, 1, "invalid_request", 400},
    {Code::kInvalidConfig, 2, "invalid_config", 500},
    {Code::kUnknownKol, 3, "unknown_kol", 404},
    {Code::kConflict, 4, "conflict", 409},
    {Code::kBudget, 5, "budget", 402},
    {Code::kBusy, 6, "busy", 503},
    {Code::kStore, 7, "store", 503},
    {Code::kAuth, 8, "auth", 502},
    {Code::kQuota, 9, "quota", 502},
    {Code::kRateLimited, 10, "rate_limited", 429},
    {Code::kRefused, 11, "refused", 502},
    {Code::kUpstream, 12, "upstream", 502},
    {Code::kConnect, 13, "connect", 502},
    {Code::kDns, 14, "dns", 502},
    {Code::kTls, 15, "tls", 502},
    {Code::kTimeoutConnect, 16, "timeout_connect", 504},
    {Code::kTimeoutFirstToken, 17, "timeout_first_token", 504},
    {Code::kTimeoutIdle, 18, "timeout_idle", 504},
    {Code::kTimeoutAttempt, 19, "timeout_attempt", 504},
    {Code::kTruncated, 20, "truncated", 502},
    {Code::kProtocol, 21, "protocol", 502},
    {Code::kEncoding, 22, "encoding", 502},
    {Code::kTooLarge, 23, "too_large", 502},
    {Code::kRejected, 24, "rejected", 502},
    {Code::kDeadline, 25, "deadline", 504},
    {Code::kCancelled, 26, "cancelled", 499},
    {Code::kClosed, 27, "closed", 500},
    {Code::kForked, 28, "forked", 500},
    {Code::kReentrant, 29, "reentrant", 500},
    {Code::kNomem, 30, "nomem", 500},
    {Code::kInternal, 31, "internal", 500},
};

TEST_CASE("every code has its number, name and HTTP status") {
  std::set<std::string_view> names;
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    CHECK(static_cast<int>(row.code) == row.number);
    CHECK(CodeName(row.code) == row.name);
    CHECK(HttpStatus(row.code) == row.http_status);
    CHECK(names.insert(row.name).second);
  }
  CHECK(names.size() == static_cast<std::size_t>(Code::kInternal) + 1);
}

TEST_CASE("a number that is no code counts as internal") {
  for (const int number : {-1, 32, 1'000'000}) {
    CHECK(CodeName(static_cast<Code>(number)) == "internal");
    CHECK(HttpStatus(static_cast<Code>(number)) == 500);
  }
}

TEST_CASE("a result holds a value or an error") {
  const Result<std::string> good(std::string("text"));
  CHECK(good.ok());
  CHECK(static_cast<bool>(good));
  CHECK(*good == "text");
  CHECK(good->size() == 4);

  const Result<std::string> bad(Error(Code::kBusy, "too many posts pending", "max_pending_posts"));
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().code == Code::kBusy);
  CHECK(bad.error().details.field == "max_pending_posts");
}

TEST_CASE("values that can only be moved move through a result") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  REQUIRE(result.ok());
  const std::unique_ptr<int> taken = std::move(result).value();
  CHECK(*taken == 7);
}

TEST_CASE("a status is success unless it has an error") {
  CHECK(Status().ok());
  const Status failed(Error(Code::kClosed, "the generator is closed"));
  CHECK_FALSE(failed.ok());
  CHECK(failed.error().code == Code::kClosed);
}

TEST_CASE("errors compare by code, message and details") {
  const Error error(Code::kStore, "message", "field");
  Error other = error;
  CHECK(other == error);
  other.details.attempts = 1;
  CHECK_FALSE(other == error);
}

}  // namespace
}  // namespace postgen
