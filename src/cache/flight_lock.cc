#include "cache/flight_lock.h"

#include <utility>

#include "digest/sha256.h"

namespace postgen {
namespace {

constexpr char kRenew[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
constexpr char kRelease[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

std::string LockKey(const CacheKey& key) { return "postgen:lock:" + HexDigest(key); }

void Ignore(const RedisReply& /*reply*/) {}

}  // namespace

void FlightLock::Take(const CacheKey& key, const std::string& token,
                      std::function<void(Answer)> done) {
  redis_->Run({"SET", LockKey(key), token, "NX", "PX", std::to_string(kLease.count())},
              [done = std::move(done)](const RedisReply& reply) {
                if (reply.is_text()) return done(Answer::kTaken);
                done(reply.kind == RedisReply::Kind::kNil ? Answer::kOthers : Answer::kAway);
              });
}

void FlightLock::Renew(const CacheKey& key, const std::string& token) {
  redis_->Run({"EVAL", kRenew, "1", LockKey(key), token, std::to_string(kLease.count())}, Ignore);
}

void FlightLock::Release(const CacheKey& key, const std::string& token) {
  redis_->Run({"EVAL", kRelease, "1", LockKey(key), token}, Ignore);
}

}  // namespace postgen
