// Limits that processes share, in Redis.
#ifndef POSTGEN_SRC_LIMITS_REDIS_LIMITS_H_
#define POSTGEN_SRC_LIMITS_REDIS_LIMITS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "limits/process_roll.h"
#include "llm/policy/shared_limits.h"
#include "redis/redis_client.h"
#include "runtime/executor.h"

namespace postgen {

// `redis` outlives it, `executor` too.
std::unique_ptr<SharedLimits> NewRedisLimits(RedisClient* redis, const ProcessRoll* roll,
                                             std::shared_ptr<Executor> executor);

// The script's call for an ask or a head, and what its answer says: apart from Redis, so that a
// simulation can run the very script.
std::vector<std::string> AskCommand(const SharedAsk& ask);
SharedAnswer ReadAnswer(const SharedAsk& ask, const RedisReply& reply);
std::vector<std::string> HeadCommand(const SharedHead& head);

}  // namespace postgen

#endif  // POSTGEN_SRC_LIMITS_REDIS_LIMITS_H_
