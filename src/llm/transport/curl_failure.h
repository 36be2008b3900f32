// What a libcurl result means to postgen, in postgen's own words: libcurl's texts may quote the URL
// or a header.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_CURL_FAILURE_H_
#define POSTGEN_SRC_LLM_TRANSPORT_CURL_FAILURE_H_

#include <string>

#include <curl/curl.h>

#include "postgen/error.h"

namespace postgen {

// How far a transfer had come when it failed.
struct TransferProgress {
  bool connected = false;  // TLS included
  bool has_head = false;   // of the final reply
};

// REQUIRES: result != CURLE_OK. `host` is "host" or "host:port".
Error CurlFailure(CURLcode result, TransferProgress progress, const std::string& host);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_CURL_FAILURE_H_
