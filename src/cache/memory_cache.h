// The memory cache with a clock of the caller's, so that tests need not wait for a TTL.
#ifndef POSTGEN_SRC_CACHE_MEMORY_CACHE_H_
#define POSTGEN_SRC_CACHE_MEMORY_CACHE_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "postgen/response_cache.h"
#include "postgen/types.h"

namespace postgen {

// As NewMemoryCache (postgen/response_cache.h). `now` must be monotonic and thread-safe.
std::unique_ptr<ResponseCache> NewMemoryCacheWithClock(std::size_t max_bytes,
                                                       std::function<TimePoint()> now);

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_MEMORY_CACHE_H_
