// The built-in LLM clients.
#ifndef POSTGEN_SRC_LLM_CLIENTS_H_
#define POSTGEN_SRC_LLM_CLIENTS_H_

#include <memory>

#include "llm/policy/shared_limits.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "runtime/event_loop.h"

namespace postgen {

// Any OpenAI-compatible server. REQUIRES: validated options; `loop` outlives the client, and so do
// `shared`, with whom it keeps its rate limits (null: alone). Fails with kInvalidConfig naming the
// option (base_url, headers, ...).
Result<std::unique_ptr<LlmClient>> NewOpenAiClient(const LlmOptions& options, EventLoop* loop,
                                                   SharedLimits* shared = nullptr);

// Texts from templates, without a model: for demos, for trying things out and for llm.on_failure =
// "template". Every reply has Source::kTemplate. Stateless and thread-safe.
std::unique_ptr<LlmClient> NewTemplateClient();

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_CLIENTS_H_
