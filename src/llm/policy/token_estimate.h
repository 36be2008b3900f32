// What a call may cost of a limit on tokens, before it is sent.
#ifndef POSTGEN_SRC_LLM_POLICY_TOKEN_ESTIMATE_H_
#define POSTGEN_SRC_LLM_POLICY_TOKEN_ESTIMATE_H_

#include <cstdint>

#include "postgen/llm_client.h"

namespace postgen {

// Prompt (EstimateUsage) and token limit, as servers reserve them.
std::int64_t EstimateTokens(const LlmRequest& request);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_TOKEN_ESTIMATE_H_
