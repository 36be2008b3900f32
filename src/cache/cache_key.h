// The canonical cache key: everything that decides the text, and who may see it.
#ifndef POSTGEN_SRC_CACHE_CACHE_KEY_H_
#define POSTGEN_SRC_CACHE_CACHE_KEY_H_

#include <string>
#include <string_view>

#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "postgen/response_cache.h"

namespace postgen {

// What the key's owner may share with others: the option cache.scope, or else a fingerprint of the
// API key from which the key cannot be told. No given scope equals a fingerprint.
std::string CacheScope(const CacheOptions& cache, const LlmOptions& llm);

// Where texts come from: the base URL, or those of all endpoints.
std::string CacheEndpoint(const LlmOptions& llm);

// SHA-256 over length-prefixed fields: schema version, scope, tenant, endpoint, model, max_tokens,
// temperature, every message with its role, and the fields that writers without a model read.
// Streaming and the deadline do not count. ("a_b","c") and ("a","b_c") differ, and so do an absent
// and an empty field.
CacheKey MakeCacheKey(std::string_view scope, std::string_view tenant, std::string_view endpoint,
                      const LlmRequest& request);

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_CACHE_KEY_H_
