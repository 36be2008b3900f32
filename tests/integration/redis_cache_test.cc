// The Redis client and the cache on it, against a real Redis that is killed, frozen, cut and filled
// with what is not ours.
#include "cache/redis_cache.h"

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "cache/cache_entry.h"
#include "cache/cache_key.h"
#include "cache/flight_lock.h"
#include "contract/response_cache_contract.h"
#include "digest/sha256.h"
#include "redis/redis_client.h"
#include "support/held_parts.h"
#include "support/redis_server.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using testing::RedisServer;

RedisReply RunAndWait(RedisClient* redis, std::vector<std::string> arguments) {
  auto answer = std::make_shared<std::promise<RedisReply>>();
  std::future<RedisReply> future = answer->get_future();
  redis->Run(std::move(arguments),
             [answer](RedisReply reply) { answer->set_value(std::move(reply)); });
  return future.get();
}

// A client that is connected.
struct Connected {
  explicit Connected(const std::string& url) : redis(*ParseRedisUrl(url, "cache.url")) { Wait(); }
  void Wait() {
    while (!redis.Look().connected) std::this_thread::yield();
  }
  void WaitUntilAway() {
    while (redis.Look().connected) std::this_thread::yield();
  }
  RedisReply operator()(std::vector<std::string> arguments) {
    return RunAndWait(&redis, std::move(arguments));
  }
  RedisClient redis;
};

// Time passes for everything in the database: what is to expire does so that much earlier.
void Age(Connected* redis, milliseconds by) {
  const RedisReply aged = (*redis)({"EVAL",
                                    "for _, k in ipairs(redis.call('KEYS', '*')) do "
                                    "redis.call('PEXPIRE', k, redis.call('PTTL', k) - ARGV[1]) end "
                                    "return 1",
                                    "0", std::to_string(by.count())});
  REQUIRE(aged.is_integer());
}

TEST_CASE("RedisCache keeps the contract of ResponseCache") {
  RedisServer server;
  Connected redis(server.Url());
  CacheUnderTest cache;
  cache.make = [&] {
    CHECK(redis({"FLUSHDB"}).is_text());
    return NewRedisCache(&redis.redis, nullptr);
  };
  cache.pass = [&](milliseconds by) { Age(&redis, by); };
  CheckResponseCacheContract(cache);
}

TEST_CASE("a hit in Redis is kept in memory no longer than Redis would keep it") {
  RedisServer server;
  Connected redis(server.Url());
  const CacheKey key = TestCacheKey(1);
  // A memory that says what it was given.
  class Noting final : public ResponseCache {
   public:
    void Get(const CacheKey& /*key*/, GetCallback done) override { done(nullptr); }
    void Put(const CacheKey& /*key*/, std::string /*value*/, milliseconds ttl) override {
      given = ttl;
    }
    void Erase(const CacheKey& /*key*/) override {}
    milliseconds given{0};
  };
  NewRedisCache(&redis.redis, nullptr)->Put(key, "value", std::chrono::hours(1));
  Age(&redis, std::chrono::minutes(59));
  const auto memory = std::make_shared<Noting>();
  CHECK(*GetAndWait(NewRedisCache(&redis.redis, memory).get(), key) == "value");
  CHECK(memory->given > milliseconds(0));
  CHECK(memory->given <= std::chrono::minutes(1));
}

TEST_CASE("memory in front: hits without Redis, and across processes through it") {
  RedisServer server;
  Connected redis(server.Url());
  const auto cache = NewRedisCache(&redis.redis, NewMemoryCache(1 << 20));
  const auto other = NewRedisCache(&redis.redis, NewMemoryCache(1 << 20));
  cache->Put(TestCacheKey(1), "one", std::chrono::hours(1));
  CHECK(*GetAndWait(other.get(), TestCacheKey(1)) == "one");
  server.Kill();
  redis.WaitUntilAway();
  CHECK(*GetAndWait(cache.get(), TestCacheKey(1)) == "one");
  CHECK(*GetAndWait(other.get(), TestCacheKey(1)) == "one");
  CHECK(GetAndWait(other.get(), TestCacheKey(2)) == nullptr);
}

TEST_CASE("a key of another type is a miss, and is deleted") {
  RedisServer server;
  Connected redis(server.Url());
  const auto cache = NewRedisCache(&redis.redis, nullptr);
  cache->Put(TestCacheKey(1), "x", std::chrono::hours(1));
  CHECK(redis({"EVAL",
               "local k = redis.call('KEYS', 'postgen:text:*')[1] redis.call('DEL', k) "
               "redis.call('LPUSH', k, 'foreign') return 1",
               "0"})
            .is_integer());
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) == nullptr);
  CHECK(redis({"DBSIZE"}).integer == 0);
  CHECK(redis.redis.Look().errors["WRONGTYPE"] == 1);
}

TEST_CASE("a Redis that is full or read-only is a miss, and is counted") {
  RedisServer server;
  Connected redis(server.Url());
  const auto cache = NewRedisCache(&redis.redis, nullptr);
  CHECK(redis({"CONFIG", "SET", "maxmemory", "1"}).is_text());
  cache->Put(TestCacheKey(1), "x", std::chrono::hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) == nullptr);
  CHECK(redis.redis.Look().errors["OOM"] == 1);
  CHECK(redis({"CONFIG", "SET", "maxmemory", "0"}).is_text());
  cache->Put(TestCacheKey(1), "x", std::chrono::hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
}

FlightLock::Answer TakeAndWait(FlightLock* lock, const CacheKey& key, const std::string& token) {
  std::promise<FlightLock::Answer> answer;
  lock->Take(key, token, [&answer](FlightLock::Answer given) { answer.set_value(given); });
  return answer.get_future().get();
}

TEST_CASE("the lock: one holder, until it releases it or its lease is over; others cannot") {
  RedisServer server;
  Connected redis(server.Url());
  FlightLock lock(&redis.redis);
  const CacheKey key = TestCacheKey(1);
  CHECK(TakeAndWait(&lock, key, "a") == FlightLock::Answer::kTaken);
  CHECK(TakeAndWait(&lock, key, "b") == FlightLock::Answer::kOthers);
  CHECK(TakeAndWait(&lock, TestCacheKey(2), "b") == FlightLock::Answer::kTaken);
  lock.Release(key, "b");
  CHECK(TakeAndWait(&lock, key, "b") == FlightLock::Answer::kOthers);
  Age(&redis, FlightLock::kLease - milliseconds(1000));
  lock.Renew(key, "b");  // not its
  Age(&redis, milliseconds(500));
  lock.Renew(key, "a");
  Age(&redis, FlightLock::kLease - milliseconds(1000));
  CHECK(TakeAndWait(&lock, key, "b") == FlightLock::Answer::kOthers);
  Age(&redis, milliseconds(1000));
  CHECK(TakeAndWait(&lock, key, "b") == FlightLock::Answer::kTaken);
  lock.Release(key, "a");  // too late
  CHECK(TakeAndWait(&lock, key, "c") == FlightLock::Answer::kOthers);
  lock.Release(key, "b");
  CHECK(TakeAndWait(&lock, key, "c") == FlightLock::Answer::kTaken);
}

TEST_CASE("a Redis that refuses: a miss, and no lock; never an error") {
  RedisServer server;
  Connected redis(server.Url());
  const auto cache = NewRedisCache(&redis.redis, nullptr);
  FlightLock lock(&redis.redis);
  std::string word;
  std::unique_ptr<Connected> other;
  SUBCASE("a replica is read-only") {
    word = "READONLY";
    CHECK(redis({"REPLICAOF", "127.0.0.1", "1"}).is_text());
  }
  SUBCASE("a replica without its master") {
    word = "MASTERDOWN";
    CHECK(redis({"CONFIG", "SET", "replica-serve-stale-data", "no"}).is_text());
    CHECK(redis({"REPLICAOF", "127.0.0.1", "1"}).is_text());
  }
  SUBCASE("busy with a script") {
    word = "BUSY";
    CHECK(redis({"CONFIG", "SET", "busy-reply-threshold", "1"}).is_text());
    other = std::make_unique<Connected>(server.Url());
    other->redis.Run({"EVAL", "while true do end", "0"}, [](const RedisReply& /*reply*/) {});
  }
  SUBCASE("full") {
    word = "OOM";
    CHECK(redis({"CONFIG", "SET", "maxmemory", "1"}).is_text());
  }
  while (redis.redis.Look().errors.count(word) == 0) {
    cache->Put(TestCacheKey(1), "x", std::chrono::hours(1));
    GetAndWait(cache.get(), TestCacheKey(1));
  }
  CHECK(GetAndWait(cache.get(), TestCacheKey(2)) == nullptr);
  CHECK(TakeAndWait(&lock, TestCacheKey(2), "a") == FlightLock::Answer::kAway);
}

TEST_CASE("a Redis of a cluster that serves no slot is away") {
  RedisServer server({"--cluster-enabled", "yes"});
  RedisClient redis(*ParseRedisUrl(server.Url(), "cache.url"));
  redis.WaitUntilTried(TimePoint::clock::now() + std::chrono::hours(1));
  CHECK(redis.Look().errors.count("CLUSTERDOWN") == 1);
  FlightLock lock(&redis);
  CHECK(TakeAndWait(&lock, TestCacheKey(1), "a") == FlightLock::Answer::kAway);
}

TEST_CASE("damaged and foreign values in Redis are never a hit") {
  RedisServer server;
  Connected redis(server.Url());
  const auto cache = NewRedisCache(&redis.redis, nullptr);
  LlmRequest request;
  request.model = "model";
  const CacheKey key = MakeCacheKey("scope", "one", "endpoint", request);
  const CacheKey other = MakeCacheKey("scope", "two", "endpoint", request);  // another tenant's
  const auto find = [&](const CacheKey& of) {
    const auto bytes = GetAndWait(cache.get(), of);
    return bytes != nullptr && DecodeCacheEntry(of, *bytes).has_value();
  };
  const auto name = [](const CacheKey& of) { return "postgen:text:" + HexDigest(of); };
  cache->Put(key, EncodeCacheEntry(key, testing::Reply("\xE5\xA5\xBD")), std::chrono::hours(1));
  REQUIRE(find(key));
  CHECK_FALSE(find(other));
  SUBCASE("another tenant's, under our key") {
    CHECK(redis({"COPY", name(key), name(other)}).integer == 1);
    CHECK_FALSE(find(other));
    CHECK(find(key));
    return;
  }
  SUBCASE("a byte changed") { CHECK(redis({"SETRANGE", name(key), "100", "!"}).is_integer()); }
  SUBCASE("bytes behind it") { CHECK(redis({"APPEND", name(key), "!"}).is_integer()); }
  SUBCASE("empty") { CHECK(redis({"SET", name(key), ""}).is_text()); }
  SUBCASE("not ours") { CHECK(redis({"SET", name(key), "{\"text\": \"hello\"}"}).is_text()); }
  SUBCASE("of an older version") { CHECK(redis({"SETRANGE", name(key), "7", "0"}).is_integer()); }
  CHECK_FALSE(find(key));
}

TEST_CASE(
    "password and database of the URL; a wrong password is trouble that repeats no password") {
  RedisServer server({"--requirepass", "canary s3cret"});
  Connected redis(server.Url(":canary%20s3cret@") + "/5");
  CHECK(redis({"SET", "k", "v"}).is_text());
  Connected first(server.Url(":canary%20s3cret@"));
  CHECK(first({"DBSIZE"}).integer == 0);

  for (const char* credentials : {"", ":canary-wrong@"}) {
    RedisClient refused(*ParseRedisUrl(server.Url(credentials), "cache.url"));
    while (refused.Look().last_trouble.empty()) std::this_thread::yield();
    CHECK(refused.Look().last_trouble.find("canary") == std::string::npos);
    CHECK_FALSE(refused.Look().connected);
    CHECK(RunAndWait(&refused, {"GET", "k"}).kind == RedisReply::Kind::kAway);
    CHECK(refused.Look().errors.count(*credentials == '\0' ? "NOAUTH" : "WRONGPASS") == 1);
  }
}

TEST_CASE("a greeting that is refused: its first error and the step are told, never an argument") {
  struct Case {
    std::vector<std::string> server;
    std::string credentials;
    std::string database;
    std::string trouble;
  };
  const Case cases[] = {
      {{"--requirepass", "canary s3cret"}, "", "", "Redis said NOAUTH to PING"},
      {{"--requirepass", "canary s3cret"}, "", "/3", "Redis said NOAUTH to SELECT"},
      {{"--requirepass", "canary s3cret"}, ":canary-wrong@", "", "Redis said WRONGPASS to AUTH"},
      {{"--requirepass", "canary s3cret"}, "canary:w@", "/3", "Redis said WRONGPASS to AUTH"},
      {{}, ":canary-unneeded@", "", "Redis said ERR to AUTH"},
      {{"--rename-command", "AUTH", ""}, ":canary@", "", "Redis said ERR to AUTH"},
      {{}, "", "/99", "Redis said ERR to SELECT"},
      {{"--rename-command", "PING", ""}, "", "", "Redis said ERR to PING"},
  };
  for (const Case& c : cases) {
    RedisServer server(c.server);
    const std::string url = server.Url(c.credentials) + c.database;
    CAPTURE(url);
    const RedisTarget target = *ParseRedisUrl(url, "cache.url");
    RedisClient refused(target);
    refused.WaitUntilTried(TimePoint::max());
    CHECK(refused.Look().last_trouble == target.shown + ": " + c.trouble);
    CHECK_FALSE(refused.Look().connected);
  }
}

TEST_CASE("a greeting that is refused and cut off, as of one client too many, tells the refusal") {
  RedisServer server({"--requirepass", "canary s3cret"});
  const std::string refusal = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  server.proxy().SetDownstream({.limit_bytes = refusal.size() + 1});
  RedisClient redis(*ParseRedisUrl(server.Url(":canary-wrong@"), "cache.url"));
  redis.WaitUntilTried(TimePoint::max());
  CHECK(redis.Look().last_trouble.find("Redis said WRONGPASS to AUTH") != std::string::npos);
}

TEST_CASE("no Redis at the start: at once a miss; found when it comes") {
  RedisServer server;
  server.proxy().Stop();
  RedisClient redis(*ParseRedisUrl(server.Url(), "cache.url"));
  while (redis.Look().last_trouble.empty()) std::this_thread::yield();
  CHECK(RunAndWait(&redis, {"PING"}).kind == RedisReply::Kind::kAway);
  server.proxy().Restart();
  while (!redis.Look().connected) std::this_thread::yield();
  CHECK(RunAndWait(&redis, {"PING"}).text == "PONG");
}

TEST_CASE("killed and started again: what was open is away, later commands find the new one") {
  RedisServer server;
  Connected redis(server.Url());
  CHECK(redis({"SET", "k", "v"}).is_text());
  server.Kill();
  redis.WaitUntilAway();
  CHECK(redis({"GET", "k"}).kind == RedisReply::Kind::kAway);
  server.Start();
  redis.Wait();
  CHECK(redis({"GET", "k"}).kind == RedisReply::Kind::kNil);
  CHECK(redis.redis.Look().connects == 2);
}

TEST_CASE("a frozen Redis is given up; its late replies meet no other command") {
  RedisServer server;
  Connected redis(server.Url());
  CHECK(redis({"SET", "mine", "mine"}).is_text());
  CHECK(redis({"SET", "yours", "yours"}).is_text());
  server.Freeze();
  CHECK(redis({"GET", "yours"}).kind == RedisReply::Kind::kAway);
  CHECK_FALSE(redis.redis.Look().connected);
  server.Thaw();
  redis.Wait();
  CHECK(redis({"GET", "mine"}).text == "mine");
}

TEST_CASE("a reply beyond the bound ends the connection, not the process") {
  RedisServer server;
  Connected redis(server.Url());
  CHECK(redis({"SETRANGE", "big", std::to_string(RedisClient::kMaxReplyBytes + 100000), "x"})
            .is_integer());
  CHECK(redis({"GET", "big"}).kind == RedisReply::Kind::kAway);
  CHECK(redis.redis.Look().last_trouble.find("larger") != std::string::npos);
  redis.Wait();
  CHECK(redis({"PING"}).text == "PONG");
}

TEST_CASE("any bytes in a command, nothing read as a format") {
  RedisServer server;
  Connected redis(server.Url());
  const std::string bytes("a\0b %s %b EX 5\r\n*1\r\n", 19);
  CHECK(redis({"SET", bytes, bytes}).is_text());
  CHECK(redis({"GET", bytes}).text == bytes);
  CHECK(redis({"DBSIZE"}).integer == 1);
}

TEST_CASE("threads at once, cut again and again: every command is answered once, and by its own") {
  RedisServer server;
  Connected redis(server.Url());
  std::atomic<int> answered{0};
  std::atomic<int> wrong{0};
  std::promise<void> all_answered;
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string text = std::to_string(t) + ':' + std::to_string(i);
        redis.redis.Run({"ECHO", text}, [&, text](const RedisReply& reply) {
          if (reply.is_text() && reply.text != text) ++wrong;
          if (++answered == kThreads * kEach) all_answered.set_value();
        });
        if (t == 0 && i % 500 == 250) server.proxy().ResetAll();
        if (i % 50 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // By then the last cut is known: commands followed it.
  all_answered.get_future().wait();
  redis.Wait();
  CHECK(redis({"ECHO", "last"}).text == "last");
  redis.redis.Stop();
  CHECK(answered == kThreads * kEach);
  CHECK(wrong == 0);
}

TEST_CASE(
    "a client that is stopped at once still sends what it was given; one that hangs is left") {
  RedisServer server;
  Connected reader(server.Url());
  for (int i = 0; i < 20; ++i) {
    CHECK(reader({"DEL", "k"}).is_integer());
    Connected writer(server.Url());
    writer.redis.Run({"SET", "k", std::string(100000, 'x')}, [](const RedisReply& /*reply*/) {});
    writer.redis.Stop();
    CHECK(reader({"STRLEN", "k"}).integer == 100000);
  }
  Connected writer(server.Url());
  server.Freeze();
  RedisReply::Kind kind = RedisReply::Kind::kText;
  writer.redis.Run({"GET", "k"}, [&kind](const RedisReply& reply) { kind = reply.kind; });
  writer.redis.Stop();
  CHECK(kind == RedisReply::Kind::kAway);
  server.Thaw();
}

TEST_CASE("late: told only of what is not answered") {
  RedisServer server;
  Connected redis(server.Url());
  std::atomic<int> late{0};
  const auto watch = [&] { redis.redis.IfLate(milliseconds(2), [&late] { ++late; }); };
  CHECK(redis({"PING"}).text == "PONG");
  watch();  // nothing is open
  std::promise<void> answered;
  server.Freeze();
  redis.redis.Run({"PING"}, [&answered](const RedisReply& /*reply*/) { answered.set_value(); });
  watch();
  answered.get_future().wait();  // given up
  CHECK(late == 1);
  server.Thaw();
}

}  // namespace
}  // namespace postgen
