// One pipelined connection to Redis, on a thread of its own. The host's name is looked up beside it
// for each connection, as hiredis would block in that, and its addresses are tried in turn. Redis
// is only ever an optimisation here: every trouble is an answer (kAway, kError) that its callers
// take for a miss.
//
//   RedisClient redis(*ParseRedisUrl("redis://127.0.0.1:6379/0", "cache.url"));
//   redis.Run({"GET", key}, [](RedisReply reply) { if (reply.is_text()) Use(reply.text); });
#ifndef POSTGEN_SRC_REDIS_REDIS_CLIENT_H_
#define POSTGEN_SRC_REDIS_REDIS_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postgen/types.h"
#include "redis/redis_url.h"

namespace postgen {

struct RedisReply {
  // kAway: not connected, or the connection ended before the answer, so that the command may or may
  // not have been run. kError: `text` is Redis's word for it, such as "OOM" or "WRONGTYPE".
  enum class Kind { kAway, kError, kNil, kText, kInteger, kArray };
  Kind kind = Kind::kAway;
  std::string text;
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;

  bool is_text() const { return kind == Kind::kText; }
  bool is_integer() const { return kind == Kind::kInteger; }
};

class RedisClient {
 public:
  using Callback = std::function<void(RedisReply)>;

  // A server that leaves a command unanswered for so long is given up with its connection, so that
  // no late reply can meet another command; it is connected anew after a pause that doubles from
  // the first to the second, each time less up to a half. The connect limit is that of a look-up
  // and of each address.
  static constexpr std::chrono::milliseconds kReplyLimit{250};
  static constexpr std::chrono::milliseconds kConnectLimit{2000};
  static constexpr std::chrono::milliseconds kFirstPause{50};
  static constexpr std::chrono::milliseconds kLongestPause{5000};
  static constexpr std::size_t kMaxReplyBytes = 2U << 20U;
  // Commands on their way at once; further ones are answered kAway.
  static constexpr int kMaxOpen = 4096;

  // Starts its thread and the first connection, and returns without waiting for it.
  explicit RedisClient(RedisTarget target);
  // Stop().
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // Sends one command, its arguments as they are (any bytes). Calls `done` exactly once: on the
  // client's thread, or, where it is away, before returning. `done` must not block. Thread-safe.
  void Run(std::vector<std::string> arguments, Callback done);

  // Calls `late` on the client's thread where what was given to Run() before is not answered after
  // `limit`; forgets it else. The answers, or kAway, may come yet. Thread-safe.
  void IfLate(Duration limit, std::function<void()> late);

  // Waits for the answers to what is open, within kReplyLimit, so that a process that ends at once
  // still leaves behind what it wrote; answers the rest with kAway, and ends the thread.
  // Idempotent. Not on the client's thread.
  void Stop();

  // Until the first connection was made or has failed, or `limit` has come. Not on the client's
  // thread.
  void WaitUntilTried(TimePoint limit) const;

  const std::string& shown() const;

  // Why what was asked for is not in `reply`, for people: "redis.internal:6379/0: Redis said OOM".
  // Of an error its word alone, as the rest may repeat what was sent. Thread-safe.
  std::string Trouble(const RedisReply& reply) const;

  // For people.
  struct View {
    bool connected = false;
    std::int64_t connects = 0;                   // connections that were made
    std::int64_t away = 0;                       // commands that found no connection or lost it
    std::map<std::string, std::int64_t> errors;  // by Redis's word: "OOM", "LOADING", ...
    std::string last_trouble;                    // why it is, or last was, away; no password in it
  };
  View Look() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_REDIS_REDIS_CLIENT_H_
