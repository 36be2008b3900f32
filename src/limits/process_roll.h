// How many processes share a Redis for one purpose: each calls its name there every few seconds.
#ifndef POSTGEN_SRC_LIMITS_PROCESS_ROLL_H_
#define POSTGEN_SRC_LIMITS_PROCESS_ROLL_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "redis/redis_client.h"
#include "runtime/executor.h"

namespace postgen {

// Made and destroyed anywhere; count() is thread-safe.
class ProcessRoll {
 public:
  static constexpr std::chrono::milliseconds kPause{5000};
  // As long as Redis has not answered.
  static constexpr std::chrono::milliseconds kFirstPause{250};
  // Who has not called for so long is gone.
  static constexpr std::chrono::milliseconds kGone{15000};

  // `scope` tells the purpose; `redis` outlives the last answer, `executor` runs the timers.
  ProcessRoll(RedisClient* redis, std::string scope, std::shared_ptr<Executor> executor);
  ~ProcessRoll();
  ProcessRoll(const ProcessRoll&) = delete;
  ProcessRoll& operator=(const ProcessRoll&) = delete;

  // As last heard, this one included; 1 before that.
  std::int64_t count() const;
  // Was it ever heard?
  bool known() const;

 private:
  struct State;
  static void Call(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LIMITS_PROCESS_ROLL_H_
