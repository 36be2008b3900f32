// A request as the bytes of a chat-completions call.
#ifndef POSTGEN_SRC_LLM_WIRE_REQUEST_BODY_H_
#define POSTGEN_SRC_LLM_WIRE_REQUEST_BODY_H_

#include <string>

#include "llm/wire/model_family.h"
#include "postgen/llm_client.h"

namespace postgen {

// One JSON object. `stream` decides, not request.stream: a client may stream for its own reasons.
// REQUIRES: valid UTF-8 in the request.
std::string WriteRequestBody(const LlmRequest& request, const ModelParameters& parameters,
                             bool stream);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_REQUEST_BODY_H_
