// Redis under a name that does not resolve, or not in time.
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "postgen/generator.h"
#include "redis/redis_client.h"
#include "support/fake_resolver.h"
#include "support/redis_server.h"

namespace postgen::testing {
namespace {

// The server, by another name of its host.
std::string UrlAt(const RedisServer& server, const std::string& host) {
  std::string url = server.Url();
  return url.replace(url.find("127.0.0.1"), std::string("127.0.0.1").size(), host);
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a resolver that hangs does not hold up the end of a client, nor its commands") {
  const int before = TimesLookedUp("hangs.test");
  RedisClient redis(*ParseRedisUrl("redis://:canary-password@hangs.test", "cache.url"));
  WaitUntilHanging(before + 1);
  RedisReply::Kind kind = RedisReply::Kind::kText;
  redis.Run({"PING"}, [&kind](const RedisReply& reply) { kind = reply.kind; });
  CHECK(kind == RedisReply::Kind::kAway);
  redis.Stop();
}

TEST_CASE("a resolver that hangs is told, and is asked once") {
  const int before = TimesLookedUp("hangs.test");
  RedisClient redis(*ParseRedisUrl("redis://:canary-password@hangs.test", "cache.url"));
  redis.WaitUntilTried(TimePoint::max());
  CHECK(redis.Look().last_trouble == "hangs.test:6379/0: the host's name did not resolve in time");
  redis.Stop();
  CHECK(TimesLookedUp("hangs.test") == before + 1);
}

TEST_CASE("a resolver that hangs does not hold up the end of a generator") {
  Options options;
  options.llm.provider = "template";
  options.store.url = "memory:";
  SUBCASE("cache.url") { options.cache.url = "redis://hangs.test"; }
  SUBCASE("shared.url") { options.shared.url = "redis://hangs.test"; }
  const int before = TimesLookedUp("hangs.test");
  auto generator = PostGenerator::Create(options);
  REQUIRE(generator.ok());
  WaitUntilHanging(before + 1);
  generator->reset();
}

TEST_CASE("of several addresses one that answers is enough, and the others are no trouble") {
  RedisServer server;
  RedisClient redis(*ParseRedisUrl(UrlAt(server, "two.test"), "cache.url"));
  redis.WaitUntilTried(TimePoint::max());
  CHECK(redis.Look().connected);
  CHECK(redis.Look().last_trouble.empty());
}

TEST_CASE("of several addresses none answers: that is told, and all are tried again") {
  RedisServer server;
  server.proxy().Stop();
  RedisClient redis(*ParseRedisUrl(UrlAt(server, "two.test"), "cache.url"));
  redis.WaitUntilTried(TimePoint::max());
  CHECK(Contains(redis.Look().last_trouble, "two.test"));
  server.proxy().Restart();
  while (!redis.Look().connected) std::this_thread::yield();
}

TEST_CASE("a name that does not exist is told with it, without the password") {
  RedisClient redis(*ParseRedisUrl("redis://:canary-password@nowhere.test", "cache.url"));
  redis.WaitUntilTried(TimePoint::max());
  const std::string trouble = redis.Look().last_trouble;
  CHECK(Contains(trouble, "nowhere.test:6379/0: the host's name did not resolve: "));
  CHECK(!Contains(trouble, "canary"));
}

}  // namespace
}  // namespace postgen::testing
