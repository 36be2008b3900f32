// The headers of every request, as libcurl takes them. One of them holds the key: they lie in pages
// of their own, which core dumps leave out and which are wiped in the end. What libcurl copies of
// them while it sends a request is beyond our reach.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_SECRET_HEADERS_H_
#define POSTGEN_SRC_LLM_TRANSPORT_SECRET_HEADERS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <curl/curl.h>

#include "postgen/error.h"

namespace postgen {

class SecretHeaders {
 public:
  // Of "name: value" each; fails with kInvalidConfig for what is no header. Wipes `headers`.
  static Result<SecretHeaders> Take(std::vector<std::string>* headers);

  // For CURLOPT_HTTPHEADER; lives as long as this object.
  curl_slist* list() const { return list_; }

 private:
  struct Unmap {
    std::size_t size;
    void operator()(std::byte* pages) const;
  };
  SecretHeaders() = default;

  std::unique_ptr<std::byte, Unmap> pages_;
  curl_slist* list_ = nullptr;  // in `pages_`
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_SECRET_HEADERS_H_
