// Would the provider serve us? Asked without paying.
#ifndef POSTGEN_SRC_LLM_PROVIDER_CHECK_H_
#define POSTGEN_SRC_LLM_PROVIDER_CHECK_H_

#include "llm/call_context.h"
#include "postgen/llm_client.h"

namespace postgen {

// Sends a request without model and messages: a provider that takes the key refuses that request,
// one that does not refuses the key, and neither generates anything. Calls `done` exactly once, by
// `deadline`, on the executor's thread. REQUIRES: on that thread; `context` outlives the check.
void StartProviderCheck(CallContext* context, TimePoint deadline, LlmClient::CheckCallback done);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_PROVIDER_CHECK_H_
