#include "redis/redis_url.h"

#include <doctest/doctest.h>

namespace postgen {
namespace {

RedisTarget Good(const std::string& url) {
  const Result<RedisTarget> target = ParseRedisUrl(url, "cache.url");
  REQUIRE_MESSAGE(target.ok(), url);
  return *target;
}

TEST_CASE("a Redis URL: every part, and what stands in for an absent one") {
  const RedisTarget full = Good("redis://me:p%40s:s%2F@redis.example:7000/3");
  CHECK(full.user == "me");
  CHECK(full.password == "p@s:s/");
  CHECK(full.host == "redis.example");
  CHECK(full.port == 7000);
  CHECK(full.database == 3);
  CHECK(full.shown == "redis.example:7000/3");
  const RedisTarget empty = Good("redis://");
  CHECK(empty.host == "localhost");
  CHECK(empty.port == 6379);
  CHECK(empty.password.empty());
  CHECK(empty.database == 0);
  CHECK(Good("redis://:a@b@host").password == "a@b");
  CHECK(Good("redis://[::1]:7/0").host == "::1");
  CHECK(Good("redis://[::1]").port == 6379);
}

TEST_CASE("a Redis URL that cannot be read is refused, and the message repeats none of it") {
  for (const char* url :
       {"http://:hunter2@host", "redis:hunter2", "redis://:hunter2@host:0",
        "redis://:hunter2@host:65536", "redis://:hunter2@host:port",
        "redis://:hunter2@host:", "redis://:hunter2@host/x", "redis://:hunter2@host/-1",
        "redis://:hunter2%2@host", "redis://:hunter2%zz@host", "redis://:hunter2@[::1",
        "redis://:hunter2@ho st", "redis://:hunter2@host?db=1", "rediss://:hunter2@host", ""}) {
    const Result<RedisTarget> target = ParseRedisUrl(url, "cache.url");
    REQUIRE_MESSAGE(!target.ok(), url);
    CHECK(target.error().code == Code::kInvalidConfig);
    CHECK(target.error().message.find("hunter2") == std::string::npos);
    CHECK(target.error().message.find("cache.url") != std::string::npos);
  }
  CHECK(ParseRedisUrl("rediss://h", "cache.url").error().message.find("TLS") != std::string::npos);
}

}  // namespace
}  // namespace postgen
