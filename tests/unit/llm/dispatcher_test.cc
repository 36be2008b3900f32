// Where and when the client sends its attempts: over scripted transports, in virtual time.
#include "llm/dispatcher.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "llm/openai_client.h"
#include "runtime/manual_executor.h"
#include "unit/llm/fake_transport.h"
#include "unit/llm/held_limits.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::FakeTransport;
using testing::Grant;
using testing::HeldLimits;

constexpr std::string_view kWhole =
    R"({"choices":[{"index":0,"message":{"content":"好"},"finish_reason":"stop"}]})";
const FakeTransport::Headers kJson = {{"content-type", "application/json"}};
// 60 requests a minute, none left.
const FakeTransport::Headers kSpent = {{"content-type", "application/json"},
                                       {"x-ratelimit-limit-requests", "60"},
                                       {"x-ratelimit-remaining-requests", "0"},
                                       {"x-ratelimit-reset-requests", "1m0s"}};
constexpr std::string_view kNoMoney = R"({"error":{"type":"insufficient_quota"}})";
constexpr std::string_view kNoModel = R"({"error":{"code":"model_not_found"}})";

struct Heard {
  std::vector<LlmReply> replies;
  bool ended() const { return !replies.empty(); }
  const LlmReply& reply() const { return replies.at(0); }
  Code code() const { return reply().error ? reply().error->code : Code::kOk; }
};

class World {
 public:
  // One endpoint for each list of models; "a.test" serves the first.
  explicit World(LlmOptions options = {}, std::vector<std::vector<std::string>> serves = {{}},
                 SharedLimits* shared = nullptr) {
    OpenAiClientParts parts;
    char name = 'a';
    for (std::vector<std::string>& models : serves) {
      auto transport = std::make_unique<FakeTransport>();
      http.push_back(transport.get());
      parts.endpoints.push_back(
          {std::string(1, name++) + ".test", std::move(models), std::move(transport)});
    }
    parts.executor = &executor;
    parts.seed = 1;
    parts.shared = shared;
    parts.wall_clock = [] { return WallTime(); };
    client = NewOpenAiClientOver(options, std::move(parts));
  }

  std::shared_ptr<Heard> Start(Duration deadline = minutes(10), bool stream = false,
                               CancelToken cancel = {}) {
    LlmRequest request = Request(deadline);
    request.stream = stream;
    return Start(std::move(request), std::move(cancel));
  }
  LlmRequest Request(Duration deadline = minutes(10)) const {
    LlmRequest request;
    request.model = "first";
    request.messages = {{Role::kUser, "台積電"}};
    request.max_tokens = 100;
    request.deadline = executor.Now() + deadline;
    return request;
  }
  std::shared_ptr<Heard> Start(LlmRequest request, CancelToken cancel = {}) {
    auto heard = std::make_shared<Heard>();
    LlmSink sink;
    if (request.stream) sink.on_text = [](std::string_view) {};
    sink.on_done = [heard](LlmReply reply) { heard->replies.push_back(std::move(reply)); };
    client->Complete(std::move(request), std::move(cancel), std::move(sink));
    executor.RunReady();
    return heard;
  }

  ManualExecutor executor;
  std::vector<FakeTransport*> http;
  std::unique_ptr<LlmClient> client;
};

LlmOptions OneAtATime() {
  LlmOptions options;
  options.max_in_flight = 1;
  return options;
}

// --- Places -------------------------------------------------------------------------------------

TEST_CASE("a call that waits for its retry does not keep its place") {
  World world(OneAtATime());
  const auto first = world.Start();
  const auto second = world.Start();
  REQUIRE(world.http[0]->count() == 1);
  world.http[0]->Reply(0, 503, "{}", {{"retry-after", "5"}});
  REQUIRE(world.http[0]->count() == 2);
  CHECK_FALSE(first->ended());
  world.executor.Advance(seconds(6));
  CHECK(world.http[0]->count() == 2);  // the place is the second call's now
  world.http[0]->Reply(1, 200, kWhole, kJson);
  CHECK(second->code() == Code::kOk);
  REQUIRE(world.http[0]->count() == 3);
  world.http[0]->Reply(2, 200, kWhole, kJson);
  CHECK(first->code() == Code::kOk);
  CHECK(first->reply().attempts == 2);
}

TEST_CASE("first come, first served, a retry at its call's old place") {
  World world(OneAtATime());
  const auto first = world.Start();
  const auto second = world.Start();
  const auto third = world.Start();
  world.http[0]->Reply(0, 503, "{}", {{"retry-after-ms", "10"}});
  world.executor.Advance(milliseconds(100));
  world.http[0]->Reply(1, 200, kWhole, kJson);  // the second; the first is ready again
  CHECK(second->ended());
  world.http[0]->Reply(2, 200, kWhole, kJson);
  CHECK(first->ended());
  CHECK_FALSE(third->ended());
  world.http[0]->Reply(3, 200, kWhole, kJson);
  CHECK(third->ended());
}

TEST_CASE("a call that is cancelled while it waits leaves the others in order") {
  World world(OneAtATime());
  const auto first = world.Start();
  CancelSource source;
  const auto second = world.Start(minutes(1), false, source.get_token());
  const auto third = world.Start();
  source.request_stop();
  world.executor.RunReady();
  CHECK(second->code() == Code::kCancelled);
  world.http[0]->Reply(0, 200, kWhole, kJson);
  world.http[0]->Reply(1, 200, kWhole, kJson);
  CHECK(third->code() == Code::kOk);
  CHECK(world.http[0]->count() == 2);
}

TEST_CASE("the last one that waits takes its timer along") {
  World world;
  world.Start();
  world.http[0]->Reply(0, 200, kWhole, kSpent);
  CancelSource source;
  world.Start(minutes(1), false, source.get_token());
  CHECK(world.executor.pending_timers() == 2);  // its deadline and its turn
  source.request_stop();
  world.executor.RunReady();
  CHECK(world.executor.pending_timers() == 0);
  CHECK(world.client->MetricsJson().find(R"("waiting":0)") != std::string::npos);
}

// --- Limits -------------------------------------------------------------------------------------

TEST_CASE("calls wait until the limit that the head told lets them go") {
  World world;
  world.Start();
  world.http[0]->Reply(0, 200, kWhole, kSpent);
  const auto second = world.Start();
  const auto third = world.Start();
  CHECK(world.http[0]->count() == 1);
  world.executor.Advance(milliseconds(900));
  CHECK(world.http[0]->count() == 1);
  world.executor.Advance(milliseconds(400));
  CHECK(world.http[0]->count() == 2);
  world.executor.Advance(milliseconds(1100));
  REQUIRE(world.http[0]->count() == 3);
  world.http[0]->Reply(1, 200, kWhole, kJson);
  CHECK(second->ended());
  CHECK_FALSE(third->ended());
  world.http[0]->Reply(2, 200, kWhole, kJson);
}

TEST_CASE("the limit of the options holds from the first call on") {
  LlmOptions options;
  options.rpm = 1;
  World world(options);
  world.Start();
  world.Start();
  CHECK(world.http[0]->count() == 1);
  world.http[0]->Reply(0, 200, kWhole, kJson);
  world.executor.Advance(seconds(59));
  CHECK(world.http[0]->count() == 1);
  world.executor.Advance(seconds(2));
  REQUIRE(world.http[0]->count() == 2);
  world.http[0]->Reply(1, 200, kWhole, kJson);
}

TEST_CASE("a wait that cannot end before the deadline fails now") {
  World world;
  world.Start();
  world.http[0]->Reply(0, 200, kWhole, kSpent);
  std::vector<std::shared_ptr<Heard>> waiting;
  for (int i = 0; i < 30; ++i) waiting.push_back(world.Start());
  const auto late = world.Start(seconds(20));
  REQUIRE(late->ended());
  CHECK(late->code() == Code::kRateLimited);
  CHECK(late->reply().error->details.retry_after_ms.value_or(0) == 31000);
  CHECK(late->reply().attempts == 0);
  const auto patient = world.Start(seconds(60));
  CHECK_FALSE(patient->ended());
  for (std::size_t i = 1; i <= 31; ++i) {
    world.executor.Advance(milliseconds(1300));
    world.http[0]->Reply(i, 200, kWhole, kJson);
  }
  CHECK(patient->code() == Code::kOk);
}

TEST_CASE("a call that is given more time while it waits has it for its turn too") {
  World world(OneAtATime());
  world.Start();
  LlmRequest request = world.Request(seconds(2));
  request.flow = std::make_shared<Flow>();
  const auto flow = request.flow;
  const auto heard = world.Start(std::move(request));
  flow->Extend(world.executor.Now() + seconds(60));
  world.http[0]->Reply(0, 429, "{}", {{"retry-after", "5"}});
  CHECK_FALSE(heard->ended());
  world.executor.Advance(seconds(6));
  for (std::size_t i = 1; i < world.http[0]->count(); ++i) {
    world.http[0]->Reply(i, 200, kWhole, kJson);
  }
  REQUIRE(heard->ended());
  CHECK(heard->code() == Code::kOk);
}

// --- Limits that are shared ---------------------------------------------------------------------

TEST_CASE("small calls do not fail by the wait of a large one") {
  HeldLimits others;
  World world({}, {{}}, &others);
  LlmRequest request = world.Request(seconds(30));
  request.max_tokens = 100000;
  const auto large = world.Start(std::move(request));
  const auto small = world.Start(seconds(30));
  SharedAnswer refused = Grant(0);
  refused.wait = seconds(36);
  others.callbacks.at(0)(refused);
  REQUIRE(large->ended());
  CHECK(large->code() == Code::kRateLimited);
  CHECK_FALSE(small->ended());
  world.executor.Advance(SharedGate::kMostWait);
  others.callbacks.at(1)(Grant(1));
  CHECK(world.http[0]->count() == 1);
}

TEST_CASE("a model whose others went away costs another one no asks") {
  HeldLimits others;
  World world({}, {{}}, &others);
  LlmRequest request = world.Request();
  request.model = "gone";
  world.Start(std::move(request));
  world.executor.Advance(SharedGate::kAnswerLimit);
  REQUIRE(world.http[0]->count() == 1);  // by its share
  world.Start();
  REQUIRE(others.asks.size() == 2);
  others.callbacks[1](Grant(1));
  CHECK(world.http[0]->count() == 2);
  CHECK(others.asks.size() == 2);
}

// --- Breaker ------------------------------------------------------------------------------------

TEST_CASE("a refused key and used-up money stop everyone, until a probe gets through") {
  struct Case {
    int status;
    std::string_view body;
    Code code;
    milliseconds pause;
  };
  for (const Case& c : {Case{401, "{}", Code::kAuth, milliseconds(1000)},
                        Case{429, kNoMoney, Code::kQuota, milliseconds(10000)}}) {
    const auto& [status, body, code, pause] = c;
    CAPTURE(c.status);
    LlmOptions options;
    options.max_in_flight = 2;
    World world(options);
    const auto first = world.Start();
    const auto second = world.Start();
    const auto waiting = world.Start();
    world.http[0]->Reply(0, status, body);
    CHECK(first->code() == code);
    REQUIRE(waiting->ended());  // at once, and nothing was sent for it
    CHECK(waiting->code() == code);
    CHECK(waiting->reply().attempts == 0);
    CHECK(world.Start()->code() == code);
    CHECK(world.http[0]->count() == 2);
    world.http[0]->Reply(1, status, body);
    CHECK(second->code() == code);

    world.executor.Advance(pause);
    const auto probe = world.Start();
    const auto beside = world.Start();
    REQUIRE(world.http[0]->count() == 3);
    CHECK(beside->code() == code);
    world.http[0]->Reply(2, 200, kWhole, kJson);
    CHECK(probe->code() == Code::kOk);
    CHECK_FALSE(world.Start()->ended());
    CHECK(world.http[0]->count() == 4);
    world.http[0]->Reply(3, 200, kWhole, kJson);
  }
}

TEST_CASE("a connection that dies with all its calls counts once") {
  for (const bool shared : {true, false}) {
    CAPTURE(shared);
    LlmOptions options;
    options.max_attempts = 1;
    World world(options);
    for (std::size_t i = 0; i < 30; ++i) world.Start();
    world.executor.Advance(2 * RateLimiter::kUnheardTime);  // until all of them are sent
    for (std::size_t i = 0; i < 30; ++i) {
      HttpEnd end;
      end.error = Error(Code::kConnect, "it broke");
      end.connection = shared ? 7 : 7 + i;
      world.http[0]->End(i, end);
    }
    const auto next = world.Start();
    CHECK(next->ended() != shared);
    if (!shared) CHECK(next->code() == Code::kConnect);
    if (shared) world.http[0]->Reply(30, 200, kWhole, kJson);
  }
}

TEST_CASE("in a full outage next to nothing is sent") {
  World world;
  constexpr int kCalls = 2000;
  int ended = 0;
  for (int i = 0; i < kCalls; ++i) {
    const auto heard = world.Start(minutes(2));
    world.executor.Advance(milliseconds(50));
    for (std::size_t t = 0; t < world.http[0]->count(); ++t) {
      if (world.http[0]->transfer(t).state == FakeTransport::State::kOpen) {
        world.http[0]->Reply(t, 503, "{}");
      }
    }
    ended += heard->ended() ? 1 : 0;
  }
  CHECK(ended > 0);
  CHECK(world.http[0]->count() > 20);
  CHECK(world.http[0]->count() < kCalls / 10);
  world.client.reset();
}

// --- Fallback -----------------------------------------------------------------------------------

TEST_CASE("the next endpoint when one fails, at once") {
  struct Case {
    std::string_view name;
    int status;
    std::string_view body;
  };
  for (const Case& c :
       {Case{"no connection", 0, ""}, Case{"overloaded", 503, "{}"},
        Case{"limited", 429, R"({"error":{"code":"rate_limit_exceeded"}})"}, Case{"key", 401, "{}"},
        Case{"money", 429, kNoMoney}, Case{"model", 404, kNoModel}}) {
    CAPTURE(c.name);
    World world({}, {{}, {}});
    const auto heard = world.Start();
    if (c.status == 0) {
      world.http[0]->Fail(0, Code::kConnect);
    } else {
      world.http[0]->Reply(0, c.status, c.body);
    }
    REQUIRE(world.http[1]->count() == 1);
    world.http[1]->Reply(0, 200, kWhole, kJson);
    CHECK(heard->code() == Code::kOk);
    CHECK(heard->reply().provider == "b.test");
    CHECK(heard->reply().asked_model.empty());
    CHECK(heard->reply().attempts == 2);
  }
}

TEST_CASE("a request that would be refused anywhere stays where it was refused") {
  World world({}, {{}, {}});
  const auto heard = world.Start();
  world.http[0]->Reply(0, 400, R"({"error":{"code":"content_filter"}})");
  CHECK(heard->code() == Code::kRefused);
  CHECK(world.http[1]->count() == 0);
}

TEST_CASE("never once text has been handed out") {
  for (const bool text : {true, false}) {
    CAPTURE(text);
    World world({}, {{}, {}});
    const auto heard = world.Start(minutes(1), /*stream=*/true);
    world.http[0]->Connect(0);
    world.http[0]->Head(0, 200, {{"content-type", "text/event-stream"}});
    if (text) {
      world.http[0]->Body(0,
                          "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"台\"}}]}\n\n");
    }
    world.http[0]->Fail(0, Code::kTruncated);
    CHECK(world.http[1]->count() == (text ? 0 : 1));
    CHECK(heard->ended() == text);
    if (!text) world.http[1]->Reply(0, 200, kWhole, kJson);
  }
}

TEST_CASE("endpoints are asked for the models that they serve, then for the stand-ins") {
  LlmOptions options;
  options.fallback_models = {"second"};
  World world(options, {{"second"}, {"first"}});
  const auto heard = world.Start();
  CHECK(world.http[0]->count() == 0);
  REQUIRE(world.http[1]->count() == 1);
  world.http[1]->Reply(0, 404, kNoModel);
  REQUIRE(world.http[0]->count() == 1);
  CHECK(world.http[0]->transfer(0).body.find("\"second\"") != std::string::npos);
  world.http[0]->Reply(0, 200, kWhole, kJson);
  CHECK(heard->reply().asked_model == "second");
  CHECK(heard->reply().provider == "a.test");
}

TEST_CASE("nobody serves the model") {
  World world({}, {{"another"}});
  CHECK(world.Start()->code() == Code::kRefused);
}

TEST_CASE("while one endpoint's breaker is open the next one is asked first") {
  World world({}, {{}, {}});
  world.Start();
  world.http[0]->Reply(0, 401, "{}");
  world.http[1]->Reply(0, 200, kWhole, kJson);
  world.Start();
  CHECK(world.http[0]->count() == 1);
  REQUIRE(world.http[1]->count() == 2);
  world.http[1]->Reply(1, 200, kWhole, kJson);
}

TEST_CASE("a limit that lasts beyond the deadline moves the call to the next endpoint") {
  World world({}, {{}, {}});
  world.Start();
  world.http[0]->Reply(0, 200, kWhole, kSpent);
  world.Start(milliseconds(500));
  CHECK(world.http[0]->count() == 1);
  REQUIRE(world.http[1]->count() == 1);
  world.http[1]->Reply(0, 200, kWhole, kJson);
}

TEST_CASE("when all have failed the call waits, and begins again with the first") {
  World world({}, {{}, {}});
  const auto heard = world.Start();
  world.http[0]->Reply(0, 503, "{}", {{"retry-after", "1"}});
  world.http[1]->Reply(0, 503, "{}", {{"retry-after", "1"}});
  CHECK_FALSE(heard->ended());
  world.executor.Advance(seconds(2));
  REQUIRE(world.http[0]->count() == 2);
  world.http[0]->Reply(1, 200, kWhole, kJson);
  CHECK(heard->code() == Code::kOk);
  CHECK(heard->reply().attempts == 3);
}

// --- For people ---------------------------------------------------------------------------------

TEST_CASE("the metrics tell why something waits") {
  World world;
  world.Start();
  world.http[0]->Reply(0, 200, kWhole, kSpent);
  world.Start();
  const std::string metrics = world.client->MetricsJson();
  CHECK(metrics.find(R"("waiting":1)") != std::string::npos);
  CHECK(metrics.find(R"("host":"a.test")") != std::string::npos);
  CHECK(metrics.find(R"("rpm":60,"tpm":null,"requests_left":0)") != std::string::npos);
  CHECK(metrics.find(R"("breaker":"closed")") != std::string::npos);
  world.executor.Advance(seconds(2));
  world.http[0]->Reply(1, 401, "{}");
  CHECK(world.client->MetricsJson().find(R"("breaker":"auth")") != std::string::npos);
}

}  // namespace
}  // namespace postgen
