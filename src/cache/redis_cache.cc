#include "cache/redis_cache.h"

#include <algorithm>
#include <string>
#include <utility>

#include "digest/sha256.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

// Redis refuses an expiry that overflows its clock.
constexpr milliseconds kMaxTtl = std::chrono::hours(24 * 365 * 10);

std::string RedisKey(const CacheKey& key) { return "postgen:text:" + HexDigest(key); }

class RedisCache final : public ResponseCache {
 public:
  RedisCache(RedisClient* redis, std::shared_ptr<ResponseCache> memory)
      : redis_(redis), memory_(std::move(memory)) {}

  void Get(const CacheKey& key, GetCallback done) override {
    if (memory_ == nullptr) return Ask(key, std::move(done));
    // A cache in memory answers before it returns.
    std::shared_ptr<const std::string> hit;
    memory_->Get(key, [&hit](std::shared_ptr<const std::string> value) { hit = std::move(value); });
    if (hit != nullptr) return done(std::move(hit));
    Ask(key, std::move(done));
  }

  void Put(const CacheKey& key, std::string value, milliseconds ttl) override {
    if (memory_ != nullptr) memory_->Put(key, value, ttl);
    if (ttl <= milliseconds::zero()) return EraseIn(redis_, key);
    redis_->Run({"SET", RedisKey(key), std::move(value), "PX",
                 std::to_string(std::min(ttl, kMaxTtl).count())},
                [](const RedisReply& /*reply*/) {});
  }

  void Erase(const CacheKey& key) override {
    if (memory_ != nullptr) memory_->Erase(key);
    EraseIn(redis_, key);
  }

 private:
  // The two commands travel together. Only what is known to live on is kept in memory, and no
  // longer than it does.
  void Ask(const CacheKey& key, GetCallback done) {
    auto value = std::make_shared<std::shared_ptr<const std::string>>();
    redis_->Run({"GET", RedisKey(key)}, [redis = redis_, key, value](RedisReply reply) {
      if (reply.is_text()) *value = std::make_shared<const std::string>(std::move(reply.text));
      if (reply.kind == RedisReply::Kind::kError && reply.text == "WRONGTYPE") EraseIn(redis, key);
    });
    redis_->Run({"PTTL", RedisKey(key)}, [key, value, memory = memory_,
                                          done = std::move(done)](const RedisReply& left) {
      if (memory != nullptr && *value != nullptr && left.is_integer() && left.integer > 0) {
        memory->Put(key, **value, milliseconds(left.integer));
      }
      done(std::move(*value));
    });
  }

  static void EraseIn(RedisClient* redis, const CacheKey& key) {
    redis->Run({"DEL", RedisKey(key)}, [](const RedisReply& /*reply*/) {});
  }

  RedisClient* const redis_;
  const std::shared_ptr<ResponseCache> memory_;
};

}  // namespace

std::unique_ptr<ResponseCache> NewRedisCache(RedisClient* redis,
                                             std::shared_ptr<ResponseCache> memory) {
  return std::make_unique<RedisCache>(redis, std::move(memory));
}

}  // namespace postgen
