#include "limits/process_roll.h"

#include <algorithm>
#include <utility>

#include "runtime/random.h"

namespace postgen {
namespace {

// KEYS: a sorted set of names by when they were last called, in Redis's time. Returns how many
// live.
constexpr char kCall[] = R"(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
)";

}  // namespace

struct ProcessRoll::State {
  RedisClient* redis = nullptr;
  std::string key;
  std::string name;
  std::shared_ptr<Executor> executor;
  std::atomic<std::int64_t> count = 0;
  std::atomic<bool> ended = false;
};

ProcessRoll::ProcessRoll(RedisClient* redis, std::string scope, std::shared_ptr<Executor> executor)
    : state_(std::make_shared<State>()) {
  state_->redis = redis;
  state_->key = "postgen:processes:{" + std::move(scope) + "}";
  state_->name = NewUuid();
  state_->executor = std::move(executor);
  Call(state_);
}

ProcessRoll::~ProcessRoll() { state_->ended = true; }

std::int64_t ProcessRoll::count() const { return std::max<std::int64_t>(1, state_->count); }

bool ProcessRoll::known() const { return state_->count > 0; }

void ProcessRoll::Call(const std::shared_ptr<State>& state) {
  state->redis->Run({"EVAL", kCall, "1", state->key, state->name, std::to_string(kGone.count())},
                    [state](const RedisReply& reply) {
                      if (reply.is_integer()) state->count = reply.integer;
                      const auto pause = reply.is_integer() ? kPause : kFirstPause;
                      state->executor->Post([state, pause] {
                        if (state->ended) return;
                        state->executor->RunAt(state->executor->Now() + pause, [state] {
                          if (!state->ended) Call(state);
                        });
                      });
                    });
}

}  // namespace postgen
