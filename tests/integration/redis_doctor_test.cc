// What doctor and the budget say of a Redis that answers and takes no writes.
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "postgen/generator.h"
#include "redis/redis_client.h"
#include "support/held_parts.h"
#include "support/redis_server.h"

namespace postgen::testing {
namespace {

constexpr std::chrono::seconds kPatience{20};

// Costs money, so that there is a budget.
class Client final : public LlmClient {
 public:
  void Complete(LlmRequest /*request*/, CancelToken /*cancel*/, LlmSink sink) override {
    sink.on_done(Reply("文。"));
  }
  std::string provider() const override { return "test"; }
};

std::unique_ptr<PostGenerator> Open(const RedisServer& server, const std::string& credentials) {
  Options options;
  options.budget_usd_per_day = 1;
  options.llm.default_model = "gpt-4o-mini";
  options.cache.url = server.Url(credentials);
  options.shared.url = server.Url(credentials);
  options.store.url = "memory:";
  Parts parts;
  parts.llm = std::make_unique<Client>();
  auto generator = PostGenerator::Create(options, std::move(parts));
  REQUIRE(generator.ok());
  return *std::move(generator);
}

Diagnosis Find(PostGenerator* generator, const std::string& subject) {
  for (const Diagnosis& found : generator->Diagnose(kPatience)) {
    if (found.subject == subject) return found;
  }
  FAIL("doctor says nothing of " << subject);
  return {};
}

PostRequest Request() {
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  return request;
}

// Its reply; the client has been connected.
RedisReply Run(RedisClient* redis, std::vector<std::string> command) {
  std::promise<RedisReply> reply;
  redis->Run(std::move(command), [&reply](RedisReply r) { reply.set_value(std::move(r)); });
  return reply.get_future().get();
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a Redis that takes no writes is told by its word: by doctor, and by the budget") {
  RedisServer server({"--user", "canary-reader", "on", ">canary-password", "~*", "+@read",
                      "+@connection", "--user", "default", "on", "nopass", "~*", "+@all"});
  RedisClient admin(*ParseRedisUrl(server.Url(), "cache.url"));
  admin.WaitUntilTried(TimePoint::max());
  std::string credentials;
  std::string said = "Redis said ";
  std::function<void()> mend;
  SUBCASE("full") {
    REQUIRE(Run(&admin, {"CONFIG", "SET", "maxmemory", "1"}).is_text());
    said += "OOM";
    mend = [&] { REQUIRE(Run(&admin, {"CONFIG", "SET", "maxmemory", "0"}).is_text()); };
  }
  SUBCASE("a replica") {
    REQUIRE(Run(&admin, {"REPLICAOF", "127.0.0.1", "1"}).is_text());
    said += "READONLY";
    mend = [&] { REQUIRE(Run(&admin, {"REPLICAOF", "NO", "ONE"}).is_text()); };
  }
  SUBCASE("a user who may only read") {
    credentials = "canary-reader:canary-password@";
    said += "NOPERM";
    mend = [&] { REQUIRE(Run(&admin, {"ACL", "SETUSER", "canary-reader", "+@all"}).is_text()); };
  }
  const auto generator = Open(server, credentials);
  for (const char* subject : {"cache", "shared", "budget"}) {
    const Diagnosis found = Find(generator.get(), subject);
    CAPTURE(found.message);
    CHECK(found.level != Diagnosis::Level::kOk);
    CHECK(Contains(found.message, said + ";"));
    CHECK(!Contains(found.message, "canary"));
  }
  const auto refused = generator->Generate(Request());
  REQUIRE(!refused.ok());
  CAPTURE(refused.error().message);
  CHECK(refused.error().code == Code::kBudget);
  CHECK(Contains(refused.error().message, said + ";"));
  CHECK(!Contains(refused.error().message, "canary"));

  mend();
  for (const char* subject : {"cache", "shared", "budget"}) {
    const Diagnosis found = Find(generator.get(), subject);
    CHECK_MESSAGE(found.level == Diagnosis::Level::kOk, found.message);
  }
  CHECK(generator->Generate(Request()).ok());
}

TEST_CASE("what doctor writes has a name of ours and is soon gone") {
  RedisServer server;
  RedisClient admin(*ParseRedisUrl(server.Url(), "cache.url"));
  admin.WaitUntilTried(TimePoint::max());
  const auto generator = Open(server, "");
  CHECK(Find(generator.get(), "cache").level == Diagnosis::Level::kOk);
  CHECK(Contains(Run(&admin, {"INFO", "commandstats"}).text, "cmdstat_set:"));
  const RedisReply keys = Run(&admin, {"KEYS", "*"});
  for (const RedisReply& key : keys.elements) {
    CAPTURE(key.text);
    CHECK(key.text.rfind("postgen:", 0) == 0);
    const bool lasts = Run(&admin, {"PTTL", key.text}).integer == -1;
    CHECK_FALSE(lasts);
  }
}

}  // namespace
}  // namespace postgen::testing
