#include "llm/wire/provider_error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "llm/wire/safe_word.h"

namespace postgen {
namespace {

// Found as `type` or `code`, and final whatever the status: waiting does not bring money.
constexpr std::array<std::string_view, 7> kQuotaWords = {
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
};

bool IsQuotaWord(std::string_view word) {
  return std::find(kQuotaWords.begin(), kQuotaWords.end(), word) != kQuotaWords.end();
}

Code CodeOfStatus(int status) {
  switch (status) {
    case 401:
    case 403: return Code::kAuth;
    case 402: return Code::kQuota;
    case 429: return Code::kRateLimited;
    case 408:
    case 498: return Code::kUpstream;
    default: break;
  }
  if (status < 200) return Code::kProtocol;  // 101: what follows is no HTTP
  return status >= 500 ? Code::kUpstream : Code::kRefused;
}

// Inside a stream there is no status of its own: some providers send it as the code, others name
// the kind of the error.
int StatusOfWords(const ProviderError& error) {
  int status = 0;
  const char* end = error.code.data() + error.code.size();
  const auto [stop, failure] = std::from_chars(error.code.data(), end, status);
  if (failure == std::errc() && stop == end && status >= 400 && status <= 599) return status;
  const auto is = [&error](std::string_view word) {
    return error.code == word || error.type == word;
  };
  if (is("rate_limit_exceeded") || is("rate_limit_error")) return 429;
  if (is("invalid_api_key") || is("authentication_error")) return 401;
  if (is("invalid_request_error") || is("content_filter")) return 400;
  return 500;
}

std::string Explain(Code code, int http_status) {
  switch (code) {
    case Code::kAuth: return "the provider refused the key; check llm.api_key";
    case Code::kQuota: return "the provider's money or quota is used up; check its billing page";
    case Code::kRateLimited: return "the provider limits the rate of calls";
    case Code::kUpstream: return "the provider failed";
    case Code::kProtocol: return "the provider did not answer in HTTP; check llm.base_url";
    default: break;
  }
  if (http_status >= 300 && http_status < 400) {
    return "the provider redirects elsewhere, which is not followed; check llm.base_url";
  }
  if (http_status == 404) return "the provider does not know the model or the address";
  return "the provider refused the request";
}

}  // namespace

Error ToError(int http_status, const ProviderError& provider_error) {
  const bool in_good_reply = http_status >= 200 && http_status < 300;
  const bool quota = IsQuotaWord(provider_error.type) || IsQuotaWord(provider_error.code);
  const Code code = quota
                        ? Code::kQuota
                        : CodeOfStatus(in_good_reply ? StatusOfWords(provider_error) : http_status);
  std::string word = SafeWord(provider_error.code);
  if (word.empty()) word = SafeWord(provider_error.type);

  Error error(code, Explain(code, http_status) + " (HTTP " + std::to_string(http_status));
  if (!word.empty()) error.message += ", " + word;
  error.message += ')';
  error.details.http_status = http_status;
  error.details.provider_code = std::move(word);
  return error;
}

}  // namespace postgen
