#include "llm/policy/token_estimate.h"

#include "llm/wire/model_family.h"

namespace postgen {
namespace {

constexpr std::int64_t kTokensOfForm = 3;
constexpr std::int64_t kTokensOfMessage = 4;

}  // namespace

std::int64_t EstimateTokens(const LlmRequest& request) {
  std::int64_t ascii = 0;
  std::int64_t others = 0;
  for (const Message& message : request.messages) {
    for (const char c : message.content) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80U) ++ascii;
      if (byte >= 0xC0U) ++others;  // begins a character of several bytes
    }
  }
  const auto messages = static_cast<std::int64_t>(request.messages.size());
  const std::int64_t reasoning = IsReasoningModel(request.model) ? kReasoningAllowanceTokens : 0;
  return kTokensOfForm + messages * kTokensOfMessage + ascii / 4 + others + request.max_tokens +
         reasoning;
}

}  // namespace postgen
