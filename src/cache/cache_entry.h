// What a cache keeps of a reply, as bytes that tell when they were damaged or belong to another
// key.
#ifndef POSTGEN_SRC_CACHE_CACHE_ENTRY_H_
#define POSTGEN_SRC_CACHE_CACHE_ENTRY_H_

#include <optional>
#include <string>
#include <string_view>

#include "postgen/llm_client.h"
#include "postgen/response_cache.h"

namespace postgen {

// Only complete replies are kept: ok(), finished by `stop` or `early_stop`, with text. REQUIRES:
// that.
std::string EncodeCacheEntry(const CacheKey& key, const LlmReply& reply);

// std::nullopt: damaged, of another format version, or not of this key. The reply has
// Source::kCache, no attempts, and the usage of the call that was paid then (for information; a hit
// costs nothing).
std::optional<LlmReply> DecodeCacheEntry(const CacheKey& key, std::string_view bytes);

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_CACHE_ENTRY_H_
