// From options to an endpoint: where calls go and which headers they carry.
#ifndef POSTGEN_SRC_LLM_ENDPOINT_H_
#define POSTGEN_SRC_LLM_ENDPOINT_H_

#include <string>

#include "llm/transport/http_transport.h"
#include "postgen/error.h"
#include "postgen/options.h"

namespace postgen {

struct Endpoint {
  HttpEndpoint http;  // holds the key, in its headers: its only copy on our side
  std::string host;   // for people: PostResult::provider, messages
};

// Fails with kInvalidConfig naming the option; the message never shows a value.
Result<Endpoint> MakeEndpoint(const LlmOptions& options);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_ENDPOINT_H_
