// Flights in one process, in virtual time. Between processes:
// tests/integration/single_flight_test.cc.
#include "cache/cached_calls.h"

#include <doctest/doctest.h>

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "runtime/manual_executor.h"
#include "support/held_parts.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FailedReply;
using testing::HeldCache;
using testing::HeldClient;
using testing::Reply;

// One who asked, and what it heard.
struct Asker {
  CachedCalls::Ticket ticket = 0;
  std::shared_ptr<Flow> flow = std::make_shared<Flow>();
  std::string text;
  int resets = 0;
  std::optional<LlmReply> reply;

  Code code() const { return reply->error ? reply->error->code : Code::kOk; }
};

enum class Listening { kNot, kYes, kWithRestarts };

struct World {
  explicit World(bool answers_at_once = true) {
    CachedCalls::Parts parts;
    parts.executor = executor;
    parts.llm = &client;
    parts.cache = &cache;
    parts.memory = answers_at_once ? &cache : nullptr;
    parts.scope = "scope";
    parts.ttl = seconds(3600);
    parts.keeps = [](const LlmReply& /*reply*/) { return true; };
    calls = std::make_unique<CachedCalls>(std::move(parts));
  }

  Asker& Ask(Listening listening = Listening::kNot, CacheMode mode = CacheMode::kUse,
             Duration time = seconds(60), const std::string& prompt = "prompt") {
    Asker& asker = askers.emplace_back();
    LlmRequest request;
    request.model = "model";
    request.messages = {{Role::kUser, prompt}};
    request.stream = listening != Listening::kNot;
    request.deadline = executor->Now() + time;
    request.flow = asker.flow;
    LlmSink sink;
    if (request.stream) sink.on_text = [&asker](std::string_view text) { asker.text += text; };
    if (listening == Listening::kWithRestarts) {
      sink.on_reset = [&asker] {
        ++asker.resets;
        asker.text.clear();
      };
    }
    sink.on_done = [&asker](LlmReply reply) {
      CHECK_FALSE(asker.reply.has_value());
      asker.reply = std::move(reply);
    };
    asker.ticket = calls->Complete("tenant", mode, request, std::move(sink));
    return asker;
  }
  const HeldClient::Held& Call(std::size_t index) { return client.calls.at(index); }

  std::shared_ptr<ManualExecutor> executor = std::make_shared<ManualExecutor>();
  HeldClient client;
  HeldCache cache;
  std::list<Asker> askers;
  std::unique_ptr<CachedCalls> calls;
};

TEST_CASE("one call for all who ask at once; the first pays, the others pay nothing") {
  World world;
  for (int i = 0; i < 10; ++i) world.Ask();
  Asker& other = world.Ask(Listening::kNot, CacheMode::kUse, seconds(60), "another prompt");
  REQUIRE(world.client.calls.size() == 2);
  world.client.Answer(0, Reply("好。"));
  CHECK_FALSE(other.reply.has_value());
  int paid = 0;
  for (const Asker& asker : world.askers) {
    if (&asker == &other) continue;
    REQUIRE(asker.reply.has_value());
    CHECK(asker.reply->text == world.askers.front().reply->text);
    paid += asker.reply->source == Source::kLlm ? 1 : 0;
    CHECK(asker.reply->attempts == (asker.reply->source == Source::kLlm ? 1 : 0));
  }
  CHECK(paid == 1);
  CHECK(world.askers.front().reply->source == Source::kLlm);

  CHECK(world.Ask().reply->source == Source::kCache);
  CHECK(world.client.calls.size() == 2);
  const CachedCalls::View view = world.calls->Look();
  CHECK(view.misses == 2);
  CHECK(view.joined == 9);
  CHECK(view.hits == 1);
}

TEST_CASE("bypass and refresh take no part; refresh writes only") {
  World world;
  world.Ask();
  world.Ask(Listening::kNot, CacheMode::kBypass);
  world.Ask(Listening::kNot, CacheMode::kRefresh);
  CHECK(world.client.calls.size() == 3);
  world.client.Answer(1, Reply("不留。"));
  CHECK(world.cache.values.empty());
  world.client.Answer(2, Reply("留下。"));
  CHECK(world.cache.values.size() == 1);
  world.Ask(Listening::kNot, CacheMode::kRefresh);
  CHECK(world.client.calls.size() == 4);
  CHECK(world.Ask().reply->text == Reply("留下。").text);
}

TEST_CASE("the flight outlives its first caller, and ends with its last") {
  World world;
  Asker& first = world.Ask();
  Asker& second = world.Ask();
  world.calls->Leave(first.ticket);
  CHECK_FALSE(world.Call(0).cancel.stop_requested());
  SUBCASE("the one who is left pays") {
    world.client.Answer(0, Reply("好。"));
    CHECK_FALSE(first.reply.has_value());
    CHECK(second.reply->source == Source::kLlm);
  }
  SUBCASE("nobody is left") {
    world.calls->Leave(second.ticket);
    CHECK(world.Call(0).cancel.stop_requested());
    world.client.Answer(0, FailedReply(Code::kCancelled));
    CHECK_FALSE(first.reply.has_value());
    CHECK(second.code() == Code::kCancelled);  // and what it cost
    CHECK(second.reply->attempts == 1);
    world.Ask();  // starts anew
    CHECK(world.client.calls.size() == 2);
  }
  world.calls->Leave(first.ticket);  // again: nothing
}

TEST_CASE("everyone has his own deadline: the call has until the latest") {
  World world;
  world.Ask(Listening::kNot, CacheMode::kUse, seconds(2));
  const TimePoint early = world.Call(0).request.deadline;
  CHECK(early == world.executor->Now() + seconds(2));
  world.Ask(Listening::kNot, CacheMode::kUse, seconds(60));
  CHECK(world.Call(0).request.flow->deadline() == world.executor->Now() + seconds(60));
  world.Ask(Listening::kNot, CacheMode::kUse, seconds(10));
  CHECK(world.Call(0).request.flow->deadline() == world.executor->Now() + seconds(60));

  // A client that knows of no more time.
  world.executor->Advance(seconds(2));
  world.client.Answer(0, FailedReply(Code::kDeadline));
  auto asker = world.askers.begin();
  CHECK((asker++)->code() == Code::kDeadline);
  REQUIRE(world.client.calls.size() == 2);
  world.client.Answer(1, Reply("好。"));
  CHECK(asker->reply->source == Source::kLlm);
  CHECK((++asker)->reply->source == Source::kCache);
}

TEST_CASE("a failure is everybody's, and nothing is kept of it") {
  for (const Code code : {Code::kAuth, Code::kUpstream, Code::kRateLimited, Code::kDeadline}) {
    World world;
    world.Ask();
    world.Ask();
    world.client.Answer(0, FailedReply(code));
    CHECK(world.client.calls.size() == 1);
    for (const Asker& asker : world.askers) CHECK(asker.code() == code);
    CHECK(world.askers.front().reply->attempts == 1);
    CHECK(world.askers.back().reply->attempts == 0);
    CHECK(world.cache.values.empty());
    world.Ask();
    CHECK(world.client.calls.size() == 2);
  }
}

TEST_CASE("who comes later hears what was written so far, then the rest as it comes") {
  World world;
  Asker& first = world.Ask();  // does not listen itself
  world.Call(0).sink.on_text("一");
  Asker& second = world.Ask(Listening::kYes);
  CHECK(second.text == "一");
  Asker& third = world.Ask(Listening::kWithRestarts);
  world.Call(0).sink.on_text("二");
  CHECK(second.text == "一二");
  CHECK(third.text == "一二");
  CHECK(first.text.empty());
  world.client.Answer(0, Reply("好。"));
  for (const Asker& asker : world.askers) CHECK(asker.reply->ok());
}

TEST_CASE("a text that is written anew: those who cannot take theirs back are failed") {
  World world;
  Asker& first = world.Ask();
  Asker& stuck = world.Ask(Listening::kYes);
  Asker& third = world.Ask(Listening::kWithRestarts);
  REQUIRE(world.Call(0).sink.on_reset != nullptr);
  world.Call(0).sink.on_reset();  // nobody has heard anything
  CHECK_FALSE(stuck.reply.has_value());
  world.Call(0).sink.on_text("壞");
  world.Call(0).sink.on_reset();
  CHECK(stuck.code() == Code::kTruncated);
  CHECK(third.resets == 1);
  world.Call(0).sink.on_text("好");
  CHECK(third.text == "好");
  CHECK(stuck.text == "壞");
  world.client.Answer(0, Reply("好"));
  CHECK(first.reply->source == Source::kLlm);
  CHECK(third.reply->ok());
}

TEST_CASE(
    "a text that is written anew, and all who are left cannot take theirs back: its cost is told") {
  World world;
  Asker& first = world.Ask();
  Asker& stuck = world.Ask(Listening::kYes);
  Asker& other = world.Ask(Listening::kYes);
  world.Call(0).sink.on_text("壞");
  world.calls->Leave(first.ticket);
  world.Call(0).sink.on_reset();
  CHECK(world.Call(0).cancel.stop_requested());
  CHECK_FALSE(stuck.reply.has_value());
  CHECK(other.code() == Code::kTruncated);
  CHECK(other.reply->usage == Usage{});
  LlmReply end = FailedReply(Code::kCancelled);
  end.usage = {100, 20, 0};
  end.usage_kind = UsageKind::kEstimated;
  world.client.Answer(0, end);
  CHECK(stuck.code() == Code::kTruncated);
  CHECK(stuck.reply->usage == Usage{100, 20, 0});
  CHECK_FALSE(first.reply.has_value());
}

TEST_CASE("a text that broke off for one who had heard it is asked for again by the others") {
  World world;
  Asker& first = world.Ask(Listening::kYes);
  CHECK(world.Call(0).sink.on_reset == nullptr);
  Asker& second = world.Ask();
  Asker& third = world.Ask(Listening::kWithRestarts);
  world.Call(0).sink.on_text("壞");
  world.client.Answer(0, FailedReply(Code::kTruncated));
  CHECK(first.code() == Code::kTruncated);
  REQUIRE(world.client.calls.size() == 2);
  CHECK(third.resets == 1);
  world.Call(1).sink.on_text("好");
  world.client.Answer(0, Reply("太晚"));  // harmless
  world.client.Answer(1, Reply("好"));
  CHECK(second.reply->source == Source::kLlm);
  CHECK(third.text == "好");
}

TEST_CASE("one listener may hold the call back, one of several may not") {
  World world;
  Asker& slow = world.Ask(Listening::kYes);
  Flow& flow = *world.Call(0).request.flow;
  slow.flow->Pause();
  world.Call(0).sink.on_text("一");
  CHECK(flow.paused());
  world.Ask();
  CHECK_FALSE(flow.paused());
  world.Call(0).sink.on_text("二");
  CHECK_FALSE(flow.paused());
  world.client.Answer(0, Reply("好。"));
  slow.flow->Resume();  // harmless
}

TEST_CASE("a cache that does not answer costs all who wait 20 ms, and one call") {
  World world(/*answers_at_once=*/false);
  world.cache.hold = true;
  world.Ask();
  world.executor->Advance(milliseconds(15));
  world.Ask();
  CHECK(world.client.calls.empty());
  world.executor->Advance(milliseconds(5));
  CHECK(world.client.calls.size() == 1);
  REQUIRE(world.cache.held.size() == 1);
  world.cache.held.at(0)(nullptr);  // too late
  CHECK(world.client.calls.size() == 1);
  CHECK(world.calls->Look().too_late == 1);
  world.client.Answer(0, Reply("好。"));
  for (const Asker& asker : world.askers) CHECK(asker.reply->ok());
  CHECK(world.cache.values.size() == 1);
  CHECK(world.executor->pending_timers() == 0);
}

TEST_CASE("all who wait for a look have what it found") {
  World world(/*answers_at_once=*/false);
  world.Ask();
  world.client.Answer(0, Reply("好。"));
  world.cache.hold = true;
  Asker& second = world.Ask();
  Asker& third = world.Ask();
  Asker& gone = world.Ask();
  world.calls->Leave(gone.ticket);
  const auto bytes = std::make_shared<const std::string>(world.cache.values.begin()->second);
  world.cache.held.at(0)(bytes);
  CHECK(second.reply->source == Source::kCache);
  CHECK(third.reply->source == Source::kCache);
  CHECK_FALSE(gone.reply.has_value());
  CHECK(world.client.calls.size() == 1);
  CHECK(world.executor->pending_timers() == 0);
}

TEST_CASE("ten thousand who miss the same text at once: one call, all have it") {
  World world;
  for (int i = 0; i < 10000; ++i) world.Ask();
  CHECK(world.client.calls.size() == 1);
  world.client.Answer(0, Reply("好。"));
  for (const Asker& asker : world.askers) CHECK(asker.reply->ok());
}

}  // namespace
}  // namespace postgen
