// The base URL of an endpoint, read by libcurl's own URL parser: what is checked is what is called.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_ENDPOINT_URL_H_
#define POSTGEN_SRC_LLM_TRANSPORT_ENDPOINT_URL_H_

#include <string>
#include <string_view>

#include "postgen/error.h"

namespace postgen {

struct EndpointUrl {
  std::string url;   // normalised, without a slash at its end: "https://api.openai.com/v1"
  std::string host;  // lower case, without brackets
  bool secure = false;
  bool loopback = false;  // localhost, 127.0.0.0/8 or ::1
};

// Takes http: and https: URLs of printable ASCII without user, query, fragment, dot segments and
// empty path segments. Fails with kInvalidConfig naming `field`, the option; the message never
// shows the URL, which may hold a password.
Result<EndpointUrl> ParseEndpointUrl(std::string_view base_url,
                                     const std::string& field = "llm.base_url");

// Everything but letters, digits and -._~ as %XX (RFC 3986).
std::string PercentEncode(std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_ENDPOINT_URL_H_
