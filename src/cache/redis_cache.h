// The response cache in Redis, shared by processes and machines, with memory in front of it.
#ifndef POSTGEN_SRC_CACHE_REDIS_CACHE_H_
#define POSTGEN_SRC_CACHE_REDIS_CACHE_H_

#include <memory>

#include "postgen/response_cache.h"
#include "redis/redis_client.h"

namespace postgen {

// Entries expire at the instant that their Put() set, by Redis's clock, in both places. Redis that
// is away or in trouble is a miss. `redis` outlives the cache. `memory` null: Redis alone.
std::unique_ptr<ResponseCache> NewRedisCache(RedisClient* redis,
                                             std::shared_ptr<ResponseCache> memory);

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_REDIS_CACHE_H_
