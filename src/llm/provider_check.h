// Would the provider serve us? Asked without paying.
#ifndef POSTGEN_SRC_LLM_PROVIDER_CHECK_H_
#define POSTGEN_SRC_LLM_PROVIDER_CHECK_H_

#include "llm/call_context.h"
#include "postgen/llm_client.h"

namespace postgen {

// Asks for the list of models, with the key and without it: a server that tells these apart has
// taken the key. One that does not (no such list, a public one, a key without the right to it) is
// sent a completion without model and messages: it refuses that request if it takes the key, and
// the key otherwise. Nothing is generated; the first way counts against no rate limit either.
// Calls `done` exactly once, by `deadline`, on the executor's thread. REQUIRES: on that thread;
// `context` and `provider` outlive the check.
void StartProviderCheck(CallContext* context, Provider* provider, TimePoint deadline,
                        LlmClient::CheckCallback done);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_PROVIDER_CHECK_H_
