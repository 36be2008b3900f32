// Counters of one generator.
#ifndef POSTGEN_SRC_CORE_METRICS_H_
#define POSTGEN_SRC_CORE_METRICS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cache/cached_calls.h"
#include "limits/spending_budget.h"
#include "postgen/types.h"
#include "redis/redis_client.h"
#include "runtime/mutex.h"
#include "store/spool.h"

namespace postgen {

// {"connected": 0 or 1, "connects", "away", "errors": {"OOM": 1, ...}}, and how many processes
// share it where that is known.
std::string RedisJson(const RedisClient::View& view,
                      std::optional<std::int64_t> processes = std::nullopt);

// What the parts of a generator tell of themselves, as JSON where that is at hand; left out where
// it is empty.
struct MetricsParts {
  CachedCalls::View cache;
  std::string llm;     // LlmClient::MetricsJson()
  std::string redis;   // RedisJson() of the cache
  std::string shared;  // RedisJson() of shared.url
  std::optional<SpoolStatus> spool;
  std::optional<SpendingBudget::View> budget;
};

// Thread-safe.
class Metrics {
 public:
  void PostStarted();
  // A post that PostStarted() counted has ended.
  void PostEnded(const PostResult& result);
  // A post was refused before it started (busy, closed, invalid).
  void PostRefused(Code code);

  // {"posts": {...}, "versions": {...}, "tokens": {...}, "cost_usd", "cache": {...}, "stage_ms":
  // {...}, "llm": {...}, "redis": {...}, "shared": {...}, "spool": {...}, "budget": {...}}.
  std::string ToJson(const MetricsParts& parts) const;

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
