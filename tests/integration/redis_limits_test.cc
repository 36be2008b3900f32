// Limits and spending in a real Redis that is killed and forgets.
#include "limits/redis_limits.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "limits/process_roll.h"
#include "limits/redis_spending.h"
#include "llm/policy/rate_limiter.h"
#include "redis/redis_client.h"
#include "runtime/event_loop.h"
#include "support/redis_server.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using testing::RedisServer;

constexpr std::size_t kRequests = 0;
constexpr std::size_t kTokens = 1;

template <typename T, typename Start>
T Await(Start start) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> answer = promise->get_future();
  start([promise](T value) { promise->set_value(std::move(value)); });
  return answer.get();
}

// One process.
struct Process {
  explicit Process(const std::string& url) : redis(*ParseRedisUrl(url, "shared.url")) {
    redis.WaitUntilTried(TimePoint::max());
  }
  ~Process() {
    redis.Stop();
    loop->Stop();
  }
  RedisReply Run(std::vector<std::string> command) {
    return Await<RedisReply>([&](auto done) { redis.Run(std::move(command), done); });
  }
  SharedAnswer Ask(SharedAsk ask) {
    return Await<SharedAnswer>([&](auto done) { limits->Ask(std::move(ask), done); });
  }
  void Tell(SharedHead head) {
    Await<bool>([&](auto done) { limits->Tell(std::move(head), [done] { done(true); }); });
  }
  SpendingTotal Spend(std::int64_t amount, std::int64_t bound = SpendingEntry::kUnbounded,
                      std::int64_t known_day = SpendingEntry::kToday, std::int64_t known = 0) {
    const SpendingEntry entry = {"key", SpendingEntry::kToday, amount, bound, known_day, known};
    const auto total = Await<Result<SpendingTotal>>(
        [&](auto done) { spending->Add(entry, TimePoint::max(), done); });
    REQUIRE(total.ok());
    return *total;
  }

  RedisClient redis;
  std::shared_ptr<EventLoop> loop = std::make_shared<EventLoop>("test");
  ProcessRoll roll{&redis, "key", loop};
  std::unique_ptr<SharedLimits> limits = NewRedisLimits(&redis, &roll, loop);
  std::unique_ptr<SpendingLedger> spending = NewRedisSpending(&redis);
};

// Of a server that has told 60 requests and 6,000,000 tokens a minute: one request a second flows
// back, too little to matter here.
SharedAsk AskFor(std::size_t calls, std::int64_t tokens = 10) {
  SharedAsk ask;
  ask.scope = "key";
  ask.model = "gpt-4o-mini";
  ask.limits[kRequests] = {1, 60, 60, 0, 0, true, false};
  ask.limits[kTokens] = {100000, 6e6, 6e6, 0, 0, true, false};
  ask.calls.assign(calls, tokens);
  return ask;
}

TEST_CASE("processes take from one bucket, as many calls as fit, and hear when the next one does") {
  RedisServer server;
  Process one(server.Url());
  Process other(server.Url());
  const SharedAnswer first = one.Ask(AskFor(40));
  REQUIRE_FALSE(first.away);
  CHECK(first.granted == 40);
  CHECK(first.wait == Duration::zero());
  const SharedAnswer second = other.Ask(AskFor(40));
  CHECK(second.granted >= 19);  // a quarter of a second's worth is kept back
  CHECK(second.granted < 25);
  CHECK(second.wait > milliseconds(0));
  CHECK(second.wait <= milliseconds(1300));
  CHECK(second.limits[kRequests].total == 40 + static_cast<double>(second.granted));
  CHECK(second.limits[kTokens].total == 10 * second.limits[kRequests].total);

  SUBCASE("what was granted and not used comes back") {
    SharedAsk back = AskFor(10);
    back.debts[kRequests] = -20;
    CHECK(other.Ask(back).granted == 10);
  }
  SUBCASE("who came short has the turn, whatever others need") {
    SharedAsk back = AskFor(1);
    back.debts[kRequests] = -20;
    const SharedAnswer answer = one.Ask(back);
    CHECK(answer.granted == 0);
    CHECK(answer.wait > milliseconds(0));
    CHECK(other.Ask(AskFor(1)).granted == 1);
  }
  SUBCASE("what was sent on account is owed") {
    SharedAsk owing = AskFor(1);
    owing.debts[kRequests] = 30;
    const SharedAnswer answer = one.Ask(owing);
    CHECK(answer.granted == 0);
    CHECK(answer.limits[kRequests].level < -25);
  }
  SUBCASE("another model is another limit") {
    SharedAsk ask = AskFor(10);
    ask.model = "gpt-4o";
    CHECK(one.Ask(ask).granted == 10);
  }
  SUBCASE("another key is another limit") {
    SharedAsk ask = AskFor(10);
    ask.scope = "other";
    CHECK(one.Ask(ask).granted == 10);
  }
}

TEST_CASE("a call that is larger than the whole bucket waits until that is full") {
  RedisServer server;
  Process one(server.Url());
  CHECK(one.Ask(AskFor(1, 7000000)).granted == 1);
  CHECK(one.Ask(AskFor(1)).granted == 0);
}

TEST_CASE("a head that any of them hears corrects the bucket, and a refusal holds all of them") {
  RedisServer server;
  Process one(server.Url());
  Process other(server.Url());
  REQUIRE(one.Ask(AskFor(10)).granted == 10);
  SharedHead head;
  head.scope = "key";
  head.model = "gpt-4o-mini";
  head.limits = AskFor(0).limits;
  head.totals[kRequests] = 10;
  head.totals[kTokens] = 100;
  SUBCASE("somebody else uses the key") {
    head.remaining[kRequests] = 5;
    other.Tell(head);
    const SharedAnswer answer = one.Ask(AskFor(40));
    CHECK(answer.granted >= 4);
    CHECK(answer.granted < 10);
  }
  SUBCASE("a limit that the others did not know") {
    head.limits[kRequests].per_second = 2;
    head.limits[kRequests].capacity = 120;
    other.Tell(head);
    CHECK(one.Ask(AskFor(1)).limits[kRequests].per_second == 2);
  }
  SUBCASE("the server's word to wait") {
    head.hold = std::chrono::minutes(5);
    other.Tell(head);
    const SharedAnswer answer = one.Ask(AskFor(1));
    CHECK(answer.granted == 0);
    CHECK(answer.wait > std::chrono::minutes(4));
  }
  SUBCASE("a refusal that nothing explains ends the bursts") {
    head.remaining[kRequests] = 50;
    head.refused[kRequests] = true;
    other.Tell(head);
    const SharedAnswer answer = one.Ask(AskFor(40));
    CHECK(answer.granted <= 5);
  }
  SUBCASE("an old head tells nothing") {
    head.remaining[kRequests] = 40;
    other.Tell(head);
    head.totals[kRequests] = 3;
    head.remaining[kRequests] = 0;
    other.Tell(head);
    CHECK(one.Ask(AskFor(30)).granted == 30);
  }
}

TEST_CASE("before any head has come, all of them together send no more than one would") {
  RedisServer server;
  Process one(server.Url());
  Process other(server.Url());
  constexpr auto kMost = static_cast<std::size_t>(RateLimiter::kUnheardCalls);
  SharedAsk ask = AskFor(2 * kMost);
  for (const std::size_t i : {kRequests, kTokens}) {
    ask.limits[i] = {};
    ask.limits[i].learned = ask.limits[i].unheard = true;
  }
  CHECK(one.Ask(ask).granted == kMost);
  const SharedAnswer answer = other.Ask(ask);
  CHECK(answer.granted <= kMost);  // 0, unless a quarter of a second has gone by
  CHECK((answer.granted == 0) == (answer.wait > milliseconds(0)));
}

TEST_CASE("a process that believes in a much slower limit leaves no debt to the others") {
  RedisServer server;
  Process one(server.Url());
  Process other(server.Url());
  constexpr auto kBurst = static_cast<std::size_t>(LimitSlot::kBurst);
  SharedAsk slow = AskFor(5);
  slow.limits[kBurst] = {0.05, 10, 10, 0, 0, false, false};
  CHECK(one.Ask(slow).granted == 5);
  SharedAsk quick = AskFor(5);
  quick.limits[kBurst] = {40, 30, 30, 0, 0, false, false};
  CHECK(other.Ask(quick).limits[kBurst].level >= 0);
  CHECK(other.Ask(quick).limits[kBurst].level <= 30);
}

TEST_CASE("keys are named by fingerprints, expire, and may hold anything") {
  RedisServer server;
  Process one(server.Url());
  REQUIRE(one.Ask(AskFor(1)).granted == 1);
  const RedisReply keys = one.Run({"KEYS", "postgen:limit:*"});
  REQUIRE(keys.elements.size() == 2);
  for (const RedisReply& key : keys.elements) {
    CAPTURE(key.text);
    CHECK(key.text.rfind("postgen:limit:{key}:", 0) == 0);
    CHECK(key.text.find("gpt") == std::string::npos);
    const RedisReply left = one.Run({"PTTL", key.text});
    CHECK(left.integer > 0);
    CHECK(left.integer <= 2 * 600000);
    REQUIRE(one.Run({"SET", key.text, "not ours"}).is_text());
  }
  CHECK(one.Ask(AskFor(1)).away);  // as if there were none
}

TEST_CASE("processes count each other") {
  RedisServer server;
  Process one(server.Url());
  CHECK(one.roll.count() >= 1);
  Process other(server.Url());
  while (other.roll.count() < 2) std::this_thread::yield();
  CHECK(other.roll.known());
}

TEST_CASE("what is spent is one sum over processes, bounded by each of them") {
  RedisServer server;
  Process one(server.Url());
  Process other(server.Url());
  const SpendingTotal first = one.Spend(600, 1000);
  CHECK(first.added);
  CHECK(first.spent == 600);
  const SpendingTotal refused = other.Spend(401, 1000);
  CHECK_FALSE(refused.added);
  CHECK(refused.spent == 600);
  CHECK(other.Spend(400, 1000).added);
  CHECK(one.Spend(-500).spent == 500);

  SUBCASE("a Redis that has forgotten is told") {
    server.Kill();
    server.Start();
    while (!one.redis.Look().connected) std::this_thread::yield();
    CHECK(one.Spend(1, 1000, first.day, 500).spent == 501);
  }
  SUBCASE("one that remembers is believed") {
    CHECK(one.Spend(1, 1000, first.day, 99999).spent == 501);
  }
  SUBCASE("without it there is no sum") {
    server.Kill();
    while (one.redis.Look().connected) std::this_thread::yield();
    const auto total = Await<Result<SpendingTotal>>([&](auto done) {
      one.spending->Add({"key", SpendingEntry::kToday, 1, 10}, TimePoint::max(), done);
    });
    REQUIRE_FALSE(total.ok());
    CHECK(total.error().details.transient);
  }
}

}  // namespace
}  // namespace postgen
