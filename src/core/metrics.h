// Counters of one generator.
#ifndef POSTGEN_SRC_CORE_METRICS_H_
#define POSTGEN_SRC_CORE_METRICS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cache/cached_calls.h"
#include "postgen/types.h"
#include "redis/redis_client.h"
#include "runtime/mutex.h"
#include "store/spool.h"

namespace postgen {

// {"connected": 0 or 1, "connects", "away", "errors": {"OOM": 1, ...}}
std::string RedisJson(const RedisClient::View& view);

// Thread-safe.
class Metrics {
 public:
  void PostStarted();
  // A post that PostStarted() counted has ended.
  void PostEnded(const PostResult& result);
  // A post was refused before it started (busy, closed, invalid).
  void PostRefused(Code code);

  // {"posts": {...}, "versions": {...}, "tokens": {...}, "cost_usd", "cache": {...}, "stage_ms":
  // {...}, "llm": {...}, "redis": {...}, "spool": {...}}; `llm` is LlmClient::MetricsJson(),
  // `redis` RedisJson(), left out where they are empty, as is the spool where there is none.
  std::string ToJson(const CachedCalls::View& cache, std::string_view llm, std::string_view redis,
                     const std::optional<SpoolStatus>& spool = std::nullopt) const;

 private:
  struct Counters {
    std::int64_t posts_started = 0;
    std::int64_t posts_pending = 0;
    std::int64_t posts_ok = 0;
    std::map<Code, std::int64_t> posts_failed;  // by code, the refused ones included
    std::int64_t posts_stored = 0;
    std::int64_t posts_spooled = 0;
    std::int64_t versions_ok = 0;
    std::map<Code, std::int64_t> versions_failed;
    std::int64_t attempts = 0;
    Usage tokens;
    double cost_usd = 0;
    Timings stage_ms;  // sums over ended posts
  };

  mutable Mutex mutex_;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_METRICS_H_
