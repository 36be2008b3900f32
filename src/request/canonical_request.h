// A request as bytes that are the same for the same post, whatever the order or the spelling of the
// document that it came in.
#ifndef POSTGEN_SRC_REQUEST_CANONICAL_REQUEST_H_
#define POSTGEN_SRC_REQUEST_CANONICAL_REQUEST_H_

#include <string>

#include "postgen/types.h"

namespace postgen {

// Every field that says what is to be made, each with its name and length. Not the key under which
// it is asked for, nor how long the caller waits.
std::string CanonicalRequest(const PostRequest& request);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_CANONICAL_REQUEST_H_
