// The OpenAI-compatible client over any transport and executor, so that it is tested in virtual
// time. Production code uses NewOpenAiClient in clients.h.
#ifndef POSTGEN_SRC_LLM_OPENAI_CLIENT_H_
#define POSTGEN_SRC_LLM_OPENAI_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "llm/policy/shared_limits.h"
#include "llm/transport/http_transport.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "runtime/executor.h"

namespace postgen {

struct OpenAiClientParts {
  struct Endpoint {
    std::string host;                 // LlmClient::provider() is the first one's
    std::vector<std::string> models;  // that it serves; empty: all
    std::unique_ptr<HttpTransport> transport;
    std::string limit_scope = {};  // as Endpoint::limit_scope
  };
  std::vector<Endpoint> endpoints;       // at least one
  Executor* executor = nullptr;          // outlives the client
  std::uint64_t seed = 0;                // of the retries' jitter
  SharedLimits* shared = nullptr;        // outlives the client; null: limits are kept alone
  std::function<WallTime()> wall_clock;  // for servers that give dates without telling the time
};

// Reads limits and modes of `options`; endpoint and key are the transport's matter.
std::unique_ptr<LlmClient> NewOpenAiClientOver(const LlmOptions& options, OpenAiClientParts parts);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_OPENAI_CLIENT_H_
