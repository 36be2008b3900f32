// Which of the processes that share a cache writes a text that all of them lack: a lock in Redis
// with a lease. Only an optimisation: whoever does not hear of it in time writes the text itself.
#ifndef POSTGEN_SRC_CACHE_FLIGHT_LOCK_H_
#define POSTGEN_SRC_CACHE_FLIGHT_LOCK_H_

#include <chrono>
#include <functional>
#include <string>

#include "postgen/response_cache.h"
#include "redis/redis_client.h"

namespace postgen {

// Thread-safe; callbacks come from any thread, possibly before returning. `redis` outlives it.
class FlightLock {
 public:
  enum class Answer { kTaken, kOthers, kAway };

  // A holder that died is in the way for so long at the most; one that lives renews in time.
  static constexpr std::chrono::milliseconds kLease{10000};
  static constexpr std::chrono::milliseconds kRenewal{3000};

  explicit FlightLock(RedisClient* redis) : redis_(redis) {}

  // `token` is unique to this holder.
  void Take(const CacheKey& key, const std::string& token, std::function<void(Answer)> done);
  // As RedisClient::IfLate().
  void IfLate(Duration limit, std::function<void()> late) {
    redis_->IfLate(limit, std::move(late));
  }
  // Both do nothing where the lock is no longer the token's. What was put into a cache on the same
  // Redis before is there before Release() is.
  void Renew(const CacheKey& key, const std::string& token);
  void Release(const CacheKey& key, const std::string& token);

 private:
  RedisClient* const redis_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_FLIGHT_LOCK_H_
