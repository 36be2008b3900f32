#include "postgen/error.h"

#include <array>
#include <cstddef>

namespace postgen {
namespace {

struct CodeInfo {
  std::string_view name;
  int http_status;
};

// Indexed by the code's number.
constexpr std::array<CodeInfo, 32> kCodes = {{
    {"ok", 200},           {"invalid_request", 400}, {"invalid_config", 500},
    {"unknown_kol", 404},  {"conflict", 409},        {"budget", 402},
    {"busy", 503},         {"store", 503},           {"auth", 502},
    {"quota", 502},        {"rate_limited", 429},    {"refused", 502},
    {"upstream", 502},     {"connect", 502},         {"dns", 502},
    {"tls", 502},          {"timeout_connect", 504}, {"timeout_first_token", 504},
    {"timeout_idle", 504}, {"timeout_attempt", 504}, {"truncated", 502},
    {"protocol", 502},     {"encoding", 502},        {"too_large", 502},
    {"rejected", 502},     {"deadline", 504},        {"cancelled", 499},
    {"closed", 500},       {"forked", 500},          {"reentrant", 500},
    {"nomem", 500},        {"internal", 500},
}};

const CodeInfo& Info(Code code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kCodes.size() ? kCodes[number]
                                : kCodes[static_cast<std::size_t>(Code::kInternal)];
}

}  // namespace

std::string_view CodeName(Code code) { return Info(code).name; }

int HttpStatus(Code code) { return Info(code).http_status; }

}  // namespace postgen
