#include "limits/redis_spending.h"

#include <string>
#include <utility>

namespace postgen {
namespace {

// KEYS: a hash of sums by day. ARGV: day (-1: today, by Redis's clock), amount, bound (-1: none),
// and the day and sum that the asker last heard, for a Redis that has forgotten. Returns {added,
// day, sum}. Numbers are whole and below 2^53.
constexpr char kScript[] = R"(
local day, amount, bound = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if day < 0 then day = math.floor(redis.call('TIME')[1] / 86400) end
local field = string.format('%d', day)
local spent = tonumber(redis.call('HGET', KEYS[1], field))
if not spent then
  spent = tonumber(ARGV[4]) == day and tonumber(ARGV[5]) or 0
  for _, old in ipairs(redis.call('HKEYS', KEYS[1])) do
    if tonumber(old) < day - 1 then redis.call('HDEL', KEYS[1], old) end
  end
end
local added = 0
if bound < 0 or spent + amount <= bound then spent, added = spent + amount, 1 end
redis.call('HSET', KEYS[1], field, string.format('%.0f', spent))
redis.call('PEXPIRE', KEYS[1], 259200000)
return {added, day, spent}
)";

class RedisSpending final : public SpendingLedger {
 public:
  explicit RedisSpending(RedisClient* redis) : redis_(redis) {}

  void Add(SpendingEntry entry, TimePoint /*deadline*/, TotalCallback done) override {
    redis_->Run(
        {"EVAL", kScript, "1", "postgen:spending:{" + entry.scope + "}", std::to_string(entry.day),
         std::to_string(entry.amount), std::to_string(entry.bound), std::to_string(entry.known_day),
         std::to_string(entry.known_spent)},
        [redis = redis_, done = std::move(done)](const RedisReply& reply) {
          if (reply.elements.size() == 3) {
            return done(SpendingTotal{reply.elements[0].integer == 1, reply.elements[1].integer,
                                      reply.elements[2].integer});
          }
          Error error(Code::kStore, redis->Trouble(reply), "shared.url");
          error.details.transient = true;
          done(std::move(error));
        });
  }

 private:
  RedisClient* const redis_;
};

}  // namespace

std::unique_ptr<SpendingLedger> NewRedisSpending(RedisClient* redis) {
  return std::make_unique<RedisSpending>(redis);
}

}  // namespace postgen
