#include "llm/wire/provider_error.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "llm/wire/safe_word.h"

namespace postgen {
namespace {

TEST_CASE("status and words become a code") {
  struct {
    int status;
    std::string_view code;
    std::string_view type;
    Code expected;
  } const cases[] = {
      {400, "", "invalid_request_error", Code::kRefused},
      {400, "billing_hard_limit_reached", "", Code::kQuota},
      {401, "invalid_api_key", "invalid_request_error", Code::kAuth},
      {402, "", "", Code::kQuota},
      {403, "", "", Code::kAuth},
      {403, "", "insufficient_quota", Code::kQuota},
      {404, "model_not_found", "", Code::kRefused},
      {408, "", "", Code::kUpstream},
      {409, "", "", Code::kRefused},
      {422, "", "", Code::kRefused},
      {429, "rate_limit_exceeded", "tokens", Code::kRateLimited},
      {429, "slow_down", "rate_limit_error", Code::kRateLimited},
      {429, "", "", Code::kRateLimited},
      {429, "insufficient_quota", "insufficient_quota", Code::kQuota},
      {429, "credit_balance_exhausted", "insufficient_quota", Code::kQuota},
      {429, "project_spend_limit_exceeded", "", Code::kQuota},
      {498, "capacity_exceeded", "", Code::kUpstream},
      {500, "", "server_error", Code::kUpstream},
      {503, "server_is_overloaded", "service_unavailable_error", Code::kUpstream},
      {529, "", "overloaded_error", Code::kUpstream},
      {101, "", "", Code::kProtocol},
      {302, "", "", Code::kRefused},
      {304, "", "", Code::kRefused},
      // Inside a stream the words have to serve.
      {200, "", "", Code::kUpstream},
      {200, "502", "", Code::kUpstream},
      {200, "429", "", Code::kRateLimited},
      {200, "401", "", Code::kAuth},
      {200, "402", "", Code::kQuota},
      {200, "999", "", Code::kUpstream},
      {200, "rate_limit_exceeded", "", Code::kRateLimited},
      {200, "", "invalid_request_error", Code::kRefused},
      {200, "server_error", "", Code::kUpstream},
      {200, "", "insufficient_quota", Code::kQuota},
  };
  for (const auto& c : cases) {
    CAPTURE(c.status);
    CAPTURE(c.code);
    CAPTURE(c.type);
    const Error error = ToError(c.status, {std::string(c.code), std::string(c.type), "", ""});
    CHECK(error.code == c.expected);
    CHECK(error.details.http_status == c.status);
  }
}

TEST_CASE("messages hold status and code and nothing that may echo a prompt or a key") {
  const Error error =
      ToError(401, {"invalid_api_key", "", "", "Incorrect API key provided: sk-SECRET"});
  CHECK(error.message.find("HTTP 401, invalid_api_key") != std::string::npos);
  CHECK(error.message.find("SECRET") == std::string::npos);
  CHECK(error.details.provider_code == "invalid_api_key");

  const Error echoed = ToError(400, {"SECRET prompt text", "", "SECRET", ""});
  CHECK(echoed.message.find("SECRET") == std::string::npos);
  CHECK(echoed.details.provider_code.empty());

  CHECK(ToError(400, {"", "invalid_request_error", "", ""}).details.provider_code ==
        "invalid_request_error");
}

TEST_CASE("identifiers are repeated, anything else is not") {
  CHECK(SafeWord("rate_limit.exceeded-2:a/b") == "rate_limit.exceeded-2:a/b");
  CHECK(SafeWord("").empty());
  CHECK(SafeWord("two words").empty());
  CHECK(SafeWord("a\nb").empty());
  CHECK(SafeWord("台積電").empty());
  CHECK(SafeWord(std::string(64, 'a')).size() == 64);
  CHECK(SafeWord(std::string(65, 'a')).empty());
}

}  // namespace
}  // namespace postgen
