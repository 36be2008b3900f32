// The ledger of what is spent, in Redis: one sum for all processes.
#ifndef POSTGEN_SRC_LIMITS_REDIS_SPENDING_H_
#define POSTGEN_SRC_LIMITS_REDIS_SPENDING_H_

#include <memory>

#include "redis/redis_client.h"
#include "store/spending_ledger.h"

namespace postgen {

// Answers when Redis does, which is within RedisClient::kReplyLimit. `redis` outlives it.
std::unique_ptr<SpendingLedger> NewRedisSpending(RedisClient* redis);

}  // namespace postgen

#endif  // POSTGEN_SRC_LIMITS_REDIS_SPENDING_H_
