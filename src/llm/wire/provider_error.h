// A provider's error reply, in all its shapes, as one of our errors.
#ifndef POSTGEN_SRC_LLM_WIRE_PROVIDER_ERROR_H_
#define POSTGEN_SRC_LLM_WIRE_PROVIDER_ERROR_H_

#include <string>

#include "postgen/error.h"

namespace postgen {

// What a provider says of a failure; empty where it says nothing. `message` may echo the prompt or
// the key: it serves to decide how to go on and must not be shown or logged.
struct ProviderError {
  std::string code;
  std::string type;
  std::string param;
  std::string message;
};

// Our error for an HTTP reply of `http_status` (200: an error inside a reply that began well). The
// message holds the status and the provider's code, never the provider's text.
//
//   401, 403 kAuth | 402 and exhausted money or quota kQuota | 429 kRateLimited
//   408, 498, 5xx kUpstream | 3xx and other 4xx kRefused | below 200 kProtocol
Error ToError(int http_status, const ProviderError& provider_error);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_PROVIDER_ERROR_H_
