// The response cache: complete replies by canonical key. Trouble in a cache is a miss, never an
// error, and a cache must answer quickly (20 ms at the most).
//
//   auto cache = postgen::NewMemoryCache(64 << 20);
//   cache->Put(key, value, std::chrono::hours(1));
//   cache->Get(key, [](const std::shared_ptr<const std::string>& hit) { if (hit) Use(*hit); });
#ifndef POSTGEN_RESPONSE_CACHE_H_
#define POSTGEN_RESPONSE_CACHE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "postgen/export.h"

namespace postgen {

// SHA-256 of everything that decides the text (docs/caching.md).
using CacheKey = std::array<std::uint8_t, 32>;

class ResponseCache {
 public:
  // nullptr: not there, expired, damaged, or the cache is away.
  using GetCallback = std::function<void(std::shared_ptr<const std::string>)>;

  ResponseCache() = default;
  ResponseCache(const ResponseCache&) = delete;
  ResponseCache& operator=(const ResponseCache&) = delete;
  virtual ~ResponseCache() = default;

  // Calls `done` exactly once, from any thread, possibly before returning. Thread-safe.
  virtual void Get(const CacheKey& key, GetCallback done) = 0;

  // Keeps `value` (opaque bytes) in place of what was there, until `ttl` has passed, counted from
  // now and not renewed by reads. A value that does not fit, or a ttl <= 0, keeps nothing: what was
  // there is forgotten all the same. Thread-safe.
  virtual void Put(const CacheKey& key, std::string value, std::chrono::milliseconds ttl) = 0;

  // Forgets `key`. Thread-safe.
  virtual void Erase(const CacheKey& key) = 0;
};

// In memory: at most max_bytes of keys, values and bookkeeping; the least recently used goes first.
POSTGEN_EXPORT std::unique_ptr<ResponseCache> NewMemoryCache(std::size_t max_bytes);

}  // namespace postgen

#endif  // POSTGEN_RESPONSE_CACHE_H_
