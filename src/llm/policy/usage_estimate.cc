#include "llm/policy/usage_estimate.h"

#include <algorithm>
#include <cstdint>

namespace postgen {
namespace {

constexpr std::int64_t kTokensOfForm = 3;
constexpr std::int64_t kTokensOfMessage = 4;

std::int64_t TokensOf(std::string_view text) {
  std::int64_t ascii = 0;
  std::int64_t others = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80U) ++ascii;
    if (byte >= 0xC0U) ++others;  // begins a character of several bytes
  }
  return (ascii + 3) / 4 + others;
}

}  // namespace

Usage EstimateUsage(const LlmRequest& request, std::string_view text) {
  Usage usage;
  usage.prompt_tokens = kTokensOfForm;
  for (const Message& message : request.messages) {
    usage.prompt_tokens += kTokensOfMessage + TokensOf(message.content);
  }
  usage.completion_tokens = TokensOf(text);
  return usage;
}

void UsageSum::Add(const Usage& usage, UsageKind kind) {
  usage_.prompt_tokens += usage.prompt_tokens;
  usage_.completion_tokens += usage.completion_tokens;
  usage_.cached_tokens += usage.cached_tokens;
  kind_ = std::min(kind_, kind);
}

}  // namespace postgen
