// From options to an endpoint: where calls go and which headers they carry.
#ifndef POSTGEN_SRC_LLM_ENDPOINT_H_
#define POSTGEN_SRC_LLM_ENDPOINT_H_

#include <string>
#include <vector>

#include "llm/transport/http_transport.h"
#include "postgen/error.h"
#include "postgen/options.h"

namespace postgen {

struct Endpoint {
  HttpEndpoint http;                // holds the key, in its headers: its only copy on our side
  std::string host;                 // for people: PostResult::provider, messages
  std::vector<std::string> models;  // that it serves; empty: all
  std::string limit_scope;          // a fingerprint of URL and key: whose limits they share
};

// One or more, in the order of llm.endpoints. Fails with kInvalidConfig naming the option; the
// message never shows a value.
Result<std::vector<Endpoint>> MakeEndpoints(const LlmOptions& options);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_ENDPOINT_H_
