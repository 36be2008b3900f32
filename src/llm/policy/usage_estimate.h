// What a call has cost in tokens where the provider did not say: because it was cut off, by us.
#ifndef POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_
#define POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_

#include <string_view>

#include "postgen/llm_client.h"
#include "postgen/types.h"

namespace postgen {

// One token for a character that is not ASCII, a quarter for one that is, and some for the form of
// the messages. Chinese text has 0.93 (o200k) to 1.33 (cl100k) tokens a character, see
// docs/tokens.md. Thoughts that nobody has seen are not in it.
Usage EstimateUsage(const LlmRequest& request, std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_
