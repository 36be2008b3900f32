#include "llm/policy/token_estimate.h"

#include "llm/policy/usage_estimate.h"
#include "llm/wire/model_family.h"

namespace postgen {

std::int64_t EstimateTokens(const LlmRequest& request) {
  const std::int64_t reasoning = IsReasoningModel(request.model) ? kReasoningAllowanceTokens : 0;
  return EstimateUsage(request, {}).prompt_tokens + request.max_tokens + reasoning;
}

}  // namespace postgen
