// The client's calls over a scripted transport, in virtual time.
#include "llm/openai_client.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/manual_executor.h"
#include "unit/llm/fake_transport.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeTransport;
using State = FakeTransport::State;

const FakeTransport::Headers kEventStream = {{"content-type", "text/event-stream"},
                                             {"x-request-id", "req-1"}};
const FakeTransport::Headers kJson = {{"content-type", "application/json"},
                                      {"x-request-id", "req-1"}};
constexpr std::string_view kStop =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";
constexpr std::string_view kWhole =
    R"({"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"content":"好"},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}})";
constexpr std::string_view kRateLimited = R"({"error":{"code":"rate_limit_exceeded"}})";

std::string Delta(std::string_view text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + std::string(text) + "\"}}]}\n\n";
}

// One call's side of the sink.
struct Heard {
  std::string text;
  std::vector<LlmReply> replies;
  const LlmReply& reply() const { return replies.at(0); }
  Code code() const { return reply().error ? reply().error->code : Code::kOk; }
};

constexpr std::string_view kNoTemperature =
    R"({"error":{"code":"unsupported_value","param":"temperature","message":"only 1"}})";

class World {
 public:
  explicit World(LlmOptions options = {}) {
    auto transport = std::make_unique<FakeTransport>();
    http = transport.get();
    OpenAiClientParts parts;
    parts.endpoints.push_back({"api.test", {}, std::move(transport)});
    parts.executor = &executor;
    parts.seed = 1;
    parts.wall_clock = [] { return WallTime(); };
    client = NewOpenAiClientOver(options, std::move(parts));
  }
  ~World() {
    // Nothing is left behind by any test.
    CHECK(http->open() == 0);
    CHECK(executor.pending_timers() == 0);
  }

  LlmRequest Request(bool stream) const {
    LlmRequest request;
    request.model = "gpt-4o-mini";
    request.messages = {{Role::kUser, "台積電"}};
    request.max_tokens = 100;
    request.temperature = 1.0;
    request.stream = stream;
    return request;
  }

  std::shared_ptr<Heard> Start(LlmRequest request, CancelToken cancel = {}) {
    auto heard = std::make_shared<Heard>();
    LlmSink sink;
    if (request.stream) sink.on_text = [heard](std::string_view text) { heard->text += text; };
    sink.on_done = [heard](LlmReply reply) { heard->replies.push_back(std::move(reply)); };
    client->Complete(std::move(request), std::move(cancel), std::move(sink));
    executor.RunReady();
    return heard;
  }
  std::shared_ptr<Heard> StartStream() { return Start(Request(true)); }
  std::shared_ptr<Heard> StartWhole() { return Start(Request(false)); }

  // Moves on until the transfer number `index` exists; at most the longest backoff and a wish.
  bool WaitForTransfer(std::size_t index) {
    for (int i = 0; i < 25000 && http->count() <= index; ++i) executor.Advance(milliseconds(10));
    return http->count() > index;
  }

  ManualExecutor executor;
  FakeTransport* http = nullptr;
  std::unique_ptr<LlmClient> client;
};

TEST_CASE("a streamed call") {
  World world;
  const auto heard = world.StartStream();
  REQUIRE(world.http->count() == 1);
  CHECK(world.http->transfer(0).body.find("\"stream\":true") != std::string::npos);
  world.http->Connect(0);
  world.executor.Advance(milliseconds(200));
  world.http->Head(0, 200, kEventStream);
  world.executor.Advance(milliseconds(100));
  world.http->Body(0, Delta("台積電"));
  CHECK(heard->text == "台積電");
  world.executor.Advance(milliseconds(700));
  world.http->Body(0, Delta("看好"));
  world.http->Body(0, kStop);
  world.http->Body(0,
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n");
  CHECK(heard->replies.empty());
  world.http->Body(0, kDone);
  REQUIRE(heard->replies.size() == 1);
  const LlmReply& reply = heard->reply();
  CHECK(reply.ok());
  CHECK(reply.text == "台積電看好");
  CHECK(heard->text == reply.text);
  CHECK(reply.finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(reply.usage == Usage{9, 3, 4});
  CHECK(reply.usage_kind == UsageKind::kExact);
  CHECK(reply.request_id == "req-1");
  CHECK(reply.attempts == 1);
  CHECK(reply.ttft_ms == 300);
  CHECK(reply.total_ms == 1000);
  CHECK(reply.source == Source::kLlm);
  // The connection is handed back for reuse at [DONE], not at its end.
  CHECK(world.http->transfer(0).state == State::kFinished);
}

TEST_CASE("an unstreamed call") {
  World world;
  const auto heard = world.StartWhole();
  CHECK(world.http->transfer(0).body.find("stream") == std::string::npos);
  world.http->Reply(0, 200, kWhole, kJson);
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->reply().text == "好");
  CHECK(heard->reply().model == "gpt-4o-mini-2024-07-18");
  CHECK(heard->reply().usage == Usage{9, 3, 0});
  CHECK_FALSE(heard->reply().ttft_ms.has_value());
}

// --- Early stop

LlmRequest PostText(const World& world, bool stream, std::int64_t max_words) {
  LlmRequest request = world.Request(stream);
  request.max_words = max_words;
  request.posting_type = "analysis";
  return request;
}

TEST_CASE("a text that passes its limit is ended with its sentence, and no more is paid") {
  for (const bool listens : {true, false}) {
    CAPTURE(listens);
    World world;
    const auto heard = world.Start(PostText(world, listens, 4));
    CHECK(world.http->transfer(0).body.find("\"stream\":true") != std::string::npos);
    world.http->Connect(0);
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, Delta("標題：月線\\n內容：一二"));
    world.http->Body(0, Delta("三四五。"));
    world.http->Body(0, Delta("\\n\\n"));
    CHECK(heard->replies.empty());
    world.http->Body(0, Delta("六七") + Delta("八。"));
    REQUIRE(heard->replies.size() == 1);
    const LlmReply& reply = heard->reply();
    CHECK(reply.ok());
    CHECK(reply.text == "標題：月線\n內容：一二三四五。");
    if (listens) CHECK(heard->text == reply.text);
    CHECK(reply.finish_reason.kind == FinishReason::Kind::kEarlyStop);
    CHECK(reply.usage == Usage{10, 15, 0});
    CHECK(reply.usage_kind == UsageKind::kEstimated);
    // Cancelled, not drained: the provider is to stop.
    CHECK(world.http->transfer(0).state == State::kCancelled);
  }
}

TEST_CASE("a text that ends by itself is left alone") {
  World world;
  const auto heard = world.Start(PostText(world, true, 4));
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.http->Body(0, Delta("標題：月線\\n內容：一二三四五。\\n"));
  CHECK(heard->text == "標題：月線\n內容：一二三四五。");
  world.http->Body(0, std::string(kStop) + std::string(kDone));
  CHECK(heard->reply().finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(heard->reply().text == "標題：月線\n內容：一二三四五。\n");
  CHECK(heard->text == heard->reply().text);
  CHECK(world.http->transfer(0).state == State::kFinished);
}

TEST_CASE("early stop: usage that the provider told; off; without a limit; in a whole reply") {
  const std::string text = Delta("標題：月線\\n內容：一二三四五。六七。");
  SUBCASE("told") {
    World world;
    const auto heard = world.Start(PostText(world, true, 4));
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0,
                     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
                     "\"completion_tokens\":3}}\n\n" +
                         text);
    CHECK(heard->reply().usage == Usage{9, 3, 0});
    CHECK(heard->reply().usage_kind == UsageKind::kExact);
    return;
  }
  LlmOptions options;
  std::int64_t max_words = 4;
  FakeTransport::Headers headers = kEventStream;
  SUBCASE("off") { options.early_stop = false; }
  SUBCASE("no limit") { max_words = 0; }
  SUBCASE("whole") { headers = kJson; }
  World world(options);
  const auto heard = world.Start(PostText(world, true, max_words));
  world.http->Head(0, 200, headers);
  if (headers == kJson) {
    world.http->Body(0, R"({"choices":[{"index":0,"message":{"content":)"
                        R"("標題：月線\n內容：一二三四五。六七。"},"finish_reason":"stop"}]})");
    world.http->End(0);
  } else {
    world.http->Body(0, text);
    CHECK(heard->replies.empty());
    world.http->Body(0, std::string(kStop) + std::string(kDone));
  }
  CHECK(heard->reply().finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(heard->reply().text == "標題：月線\n內容：一二三四五。六七。");
}

TEST_CASE("who takes whole replies gets them, unless a post's text may be shortened") {
  LlmOptions off;
  off.early_stop = false;
  off.hedge = HedgeMode::kOff;
  LlmOptions never;
  never.stream = StreamMode::kNever;
  const struct {
    LlmOptions options;
    std::int64_t max_words;
    bool streams;
  } rows[] = {{{}, 0, false}, {{}, 200, true}, {off, 200, false}, {never, 200, false}};
  for (const auto& row : rows) {
    World world(row.options);
    const auto heard = world.Start(PostText(world, false, row.max_words));
    const bool streams = world.http->transfer(0).body.find("\"stream\":true") != std::string::npos;
    CHECK(streams == row.streams);
    world.http->Reply(0, 200, kWhole, kJson);
    CHECK(heard->reply().ok());
  }
}

// --- Hedging

// A client that knows how long first tokens take: 200 ms. A second attempt is due after 280 ms.
class HedgingWorld : public World {
 public:
  explicit HedgingWorld(LlmOptions options = {}, int known = 100) : World(options) {
    for (int i = 0; i < known; ++i) {
      const auto heard = StartStream();
      const std::size_t index = http->count() - 1;
      http->Connect(index);
      executor.Advance(milliseconds(200));
      Tell(index);
      REQUIRE(heard->reply().ok());
    }
    first = http->count();
  }
  void Tell(std::size_t index) {
    http->Head(index, 200, kEventStream);
    http->Body(index, Delta("好") + std::string(kStop) + std::string(kUsage) + std::string(kDone));
  }
  std::shared_ptr<Heard> StartLate(CancelToken cancel = {}) {
    auto heard = Start(Request(true), std::move(cancel));
    http->Connect(first);
    executor.Advance(milliseconds(279));
    CHECK(http->count() == first + 1);
    executor.Advance(milliseconds(1));
    return heard;
  }
  static constexpr std::string_view kUsage =
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n";
  std::size_t first = 0;
};

TEST_CASE("a late first token gets a second attempt; the faster one goes on") {
  for (const bool second_wins : {true, false}) {
    CAPTURE(second_wins);
    HedgingWorld world;
    const auto heard = world.StartLate();
    REQUIRE(world.http->count() == world.first + 2);
    const std::size_t winner = world.first + (second_wins ? 1 : 0);
    const std::size_t loser = world.first + (second_wins ? 0 : 1);
    CHECK(world.http->transfer(winner).body == world.http->transfer(loser).body);
    world.http->Connect(world.first + 1);
    world.http->Head(loser, 200, kEventStream);  // no token yet
    world.http->Head(winner, 200, kEventStream);
    world.http->Body(winner, Delta("一"));
    CHECK(world.http->transfer(loser).state == State::kCancelled);
    world.http->Body(loser, Delta("二"));
    CHECK(heard->text == "一");
    world.Tell(winner);
    const LlmReply& reply = heard->reply();
    CHECK(reply.ok());
    CHECK(reply.text == "一好");
    CHECK(heard->text == reply.text);
    CHECK(reply.attempts == 2);
    // The other one's prompt may be billed: 3 + 4 + 3 tokens, as estimated.
    CHECK(reply.usage == Usage{19, 3, 0});
    CHECK(reply.usage_kind == UsageKind::kEstimated);
  }
}

TEST_CASE("a thought is a token, too: who thinks goes on") {
  HedgingWorld world;
  const auto heard = world.StartLate();
  world.http->Head(world.first, 200, kEventStream);
  world.http->Body(
      world.first,
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"h\"}}]}\n\n");
  CHECK(world.http->transfer(world.first + 1).state == State::kCancelled);
  world.Tell(world.first);
  CHECK(heard->reply().ok());
}

TEST_CASE("one of two that fails leaves it to the other; both are a failure") {
  for (const std::size_t fails_first : {std::size_t{0}, std::size_t{1}}) {
    CAPTURE(fails_first);
    HedgingWorld world;
    const auto heard = world.StartLate();
    const std::size_t stays = world.first + 1 - fails_first;
    world.http->Reply(world.first + fails_first, 429, kRateLimited);
    CHECK(heard->replies.empty());
    CHECK(world.http->transfer(stays).state == State::kOpen);
    SUBCASE("the other is good") {
      world.Tell(stays);
      CHECK(heard->reply().ok());
      CHECK(heard->reply().attempts == 2);
      CHECK(heard->reply().usage == Usage{9, 3, 0});  // a refusal costs nothing
      CHECK(heard->reply().usage_kind == UsageKind::kExact);
    }
    SUBCASE("the other fails") {
      world.http->Reply(stays, 500, "");
      REQUIRE(world.WaitForTransfer(world.first + 2));
      world.http->Connect(world.first + 2);
      world.executor.Advance(seconds(5));
      CHECK(world.http->count() == world.first + 3);  // once a call, and errors are up
      world.Tell(world.first + 2);
      CHECK(heard->reply().ok());
      CHECK(heard->reply().attempts == 3);
    }
  }
}

TEST_CASE("no second attempt") {
  LlmOptions options;
  int known = 100;
  bool text = false;
  bool refused = false;
  SUBCASE("when it is off") { options.hedge = HedgeMode::kOff; }
  SUBCASE("while too little is known") { known = 39; }
  SUBCASE("after the first token") { text = true; }
  SUBCASE("beside an error that is still being read") { refused = true; }
  HedgingWorld world(options, known);
  const auto heard = world.Start(world.Request(true));
  world.http->Connect(world.first);
  if (text) {
    world.http->Head(world.first, 200, kEventStream);
    world.http->Body(world.first, Delta("一"));
  }
  if (refused) world.http->Head(world.first, 500);
  world.executor.Advance(seconds(5));
  CHECK(world.http->count() == world.first + 1);
  if (refused) {
    world.http->End(world.first);
    REQUIRE(world.WaitForTransfer(world.first + 1));
    world.http->Connect(world.first + 1);
  }
  world.Tell(refused ? world.first + 1 : world.first);
  CHECK(heard->reply().ok());
}

TEST_CASE("a second attempt neither counts against max_attempts nor goes on without end") {
  LlmOptions options;
  options.max_attempts = 1;
  HedgingWorld world(options);
  const auto heard = world.StartLate();
  REQUIRE(world.http->count() == world.first + 2);
  world.http->Connect(world.first + 1);
  world.executor.Advance(seconds(60));  // both are silent
  CHECK(heard->code() == Code::kTimeoutFirstToken);
  CHECK(heard->reply().attempts == 2);
}

TEST_CASE("cancellation and the deadline end both attempts at once") {
  for (const bool cancels : {true, false}) {
    CAPTURE(cancels);
    HedgingWorld world;
    CancelSource source;
    LlmRequest request = world.Request(true);
    request.deadline = world.executor.Now() + seconds(1);
    const auto heard = world.Start(request, source.get_token());
    world.http->Connect(world.first);
    world.executor.Advance(milliseconds(300));
    REQUIRE(world.http->open() == 2);
    if (cancels) {
      source.request_stop();
      world.executor.RunReady();  // no time passes
    } else {
      world.executor.Advance(milliseconds(700));
    }
    CHECK(heard->code() == (cancels ? Code::kCancelled : Code::kDeadline));
    CHECK(heard->reply().attempts == 2);
  }
}

// --- Restarts

TEST_CASE("a caller that takes back text gets a retry after it, and hears so") {
  for (const bool restarts : {true, false}) {
    CAPTURE(restarts);
    World world;
    std::string text;
    int resets = 0;
    std::vector<LlmReply> replies;
    LlmSink sink;
    sink.on_text = [&](std::string_view delta) { text += delta; };
    if (restarts) {
      sink.on_reset = [&] {
        ++resets;
        text.clear();
      };
    }
    sink.on_done = [&](LlmReply reply) { replies.push_back(std::move(reply)); };
    world.client->Complete(world.Request(true), {}, std::move(sink));
    world.executor.RunReady();
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, Delta("一"));
    CHECK(resets == 0);
    world.http->Fail(0, Code::kTruncated);
    CHECK(world.WaitForTransfer(1) == restarts);
    CHECK(resets == (restarts ? 1 : 0));
    if (restarts) {
      CHECK(replies.empty());
      world.http->Reply(1, 500, "");  // no text: nothing to take back
      REQUIRE(world.WaitForTransfer(2));
      CHECK(resets == 1);
      world.http->Head(2, 200, kEventStream);
      world.http->Body(2, Delta("二") + std::string(kStop) + std::string(kDone));
    }
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].ok() == restarts);
    CHECK(text == replies[0].text);
    CHECK(text == (restarts ? "二" : "一"));
  }
}

TEST_CASE("the stream option goes before the request") {
  LlmOptions options;
  SUBCASE("never: the text comes in one piece") {
    options.stream = StreamMode::kNever;
    World world(options);
    const auto heard = world.StartStream();
    CHECK(world.http->transfer(0).body.find("stream") == std::string::npos);
    world.http->Reply(0, 200, kWhole, kJson);
    CHECK(heard->text == "好");
  }
  SUBCASE("always: nobody listens, and the reply is whole all the same") {
    options.stream = StreamMode::kAlways;
    World world(options);
    const auto heard = world.StartWhole();
    CHECK(world.http->transfer(0).body.find("\"stream\":true") != std::string::npos);
    world.http->Reply(0, 200, Delta("好") + std::string(kStop), kEventStream);
    CHECK(heard->reply().text == "好");
    CHECK(heard->text.empty());
  }
}

TEST_CASE("a server that answers a stream request with a whole reply is understood") {
  World world;
  const auto heard = world.StartStream();
  world.http->Reply(0, 200, kWhole, kJson);
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->reply().ok());
  CHECK(heard->text == "好");
  CHECK_FALSE(heard->reply().ttft_ms.has_value());
}

TEST_CASE("requests that cannot be sent end at once") {
  World world;
  LlmRequest no_model = world.Request(false);
  no_model.model.clear();
  LlmRequest no_messages = world.Request(false);
  no_messages.messages.clear();
  LlmRequest bad_text = world.Request(false);
  bad_text.messages[0].content = "ab\xFF";
  for (const LlmRequest& request : {no_model, no_messages, bad_text}) {
    const auto heard = world.Start(request);
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kInvalidRequest);
    CHECK(heard->reply().attempts == 0);
  }
  CHECK(world.http->count() == 0);
}

TEST_CASE("errors of the provider keep their facts") {
  struct {
    int status;
    std::string_view body;
    FakeTransport::Headers headers;
    Code code;
    std::string_view provider_code;
    std::optional<std::int64_t> retry_after_ms;
  } const cases[] = {
      {401, R"({"error":{"code":"invalid_api_key"}})", {}, Code::kAuth, "invalid_api_key", {}},
      {400,
       R"({"error":{"code":"context_length_exceeded"}})",
       {},
       Code::kRefused,
       "context_length_exceeded",
       {}},
      {400, "", {{"retry-after", "1"}}, Code::kRefused, "", 1000},
      {429,
       R"({"error":{"type":"insufficient_quota"}})",
       {},
       Code::kQuota,
       "insufficient_quota",
       {}},
      {429,
       kRateLimited,
       {{"retry-after", "121"}},
       Code::kRateLimited,
       "rate_limit_exceeded",
       121000},
      {307, "", {{"location", "http://other.test"}}, Code::kRefused, "", {}},
      {503, "", {{"x-should-retry", "false"}}, Code::kUpstream, "", {}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.status);
    CAPTURE(c.body);
    World world;
    const auto heard = world.StartStream();
    FakeTransport::Headers headers = c.headers;
    headers.emplace_back("x-request-id", "req-7");
    world.http->Reply(0, c.status, c.body, headers);
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == c.code);
    const ErrorDetails& details = heard->reply().error->details;
    CHECK(details.http_status == c.status);
    CHECK(details.provider_code == c.provider_code);
    CHECK(details.request_id == "req-7");
    CHECK(details.retry_after_ms == c.retry_after_ms);
    CHECK(details.attempts == 1);
    CHECK(heard->reply().request_id == "req-7");
  }
}

TEST_CASE("a failed attempt is followed by another one") {
  World world;
  const auto heard = world.StartStream();
  world.http->Reply(0, 500, "");
  REQUIRE(world.WaitForTransfer(1));
  world.http->Fail(1, Code::kConnect);
  REQUIRE(world.WaitForTransfer(2));
  CHECK(world.http->transfer(2).body == world.http->transfer(0).body);
  world.http->Connect(2);
  world.executor.Advance(milliseconds(50));
  world.http->Reply(2, 200, Delta("好") + std::string(kStop) + std::string(kDone), kEventStream);
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->reply().ok());
  CHECK(heard->reply().attempts == 3);
  // From the dispatch of the attempt that won, which WaitForTransfer hits to 10 ms.
  REQUIRE(heard->reply().ttft_ms.has_value());
  CHECK(*heard->reply().ttft_ms >= 50);
  CHECK(*heard->reply().ttft_ms <= 60);
  CHECK(heard->reply().total_ms >= *heard->reply().ttft_ms);
}

TEST_CASE("the server's wish is waited for") {
  World world;
  const auto heard = world.StartWhole();
  world.http->Reply(0, 429, kRateLimited, {{"retry-after-ms", "3000"}});
  world.executor.Advance(milliseconds(2999));
  CHECK(world.http->count() == 1);
  world.executor.Advance(milliseconds(301));
  REQUIRE(world.http->count() == 2);
  world.http->Reply(1, 200, kWhole, kJson);
  CHECK(heard->reply().ok());
}

TEST_CASE("attempts are bounded and the last error is reported") {
  LlmOptions options;
  options.max_attempts = 3;
  World world(options);
  const auto heard = world.StartWhole();
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(world.WaitForTransfer(i));
    world.http->Reply(i, 500 + static_cast<int>(i), "");
  }
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kUpstream);
  CHECK(heard->reply().error->details.http_status == 502);
  CHECK(heard->reply().error->details.attempts == 3);
  CHECK(heard->reply().attempts == 3);
}

TEST_CASE("no retry once text was handed out; the text is kept") {
  World world;
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.http->Body(0, Delta("半"));
  world.http->Fail(0, Code::kTruncated);
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kTruncated);
  CHECK(heard->reply().text == "半");
  CHECK(heard->reply().attempts == 1);
}

TEST_CASE("text that nobody listened to does not stand in the way of a retry") {
  LlmOptions options;
  options.stream = StreamMode::kAlways;
  World world(options);
  const auto heard = world.StartWhole();
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.http->Body(0, Delta("半"));
  world.http->Fail(0, Code::kTruncated);
  REQUIRE(world.WaitForTransfer(1));
  world.http->Reply(1, 200, Delta("全") + std::string(kStop), kEventStream);
  CHECK(heard->reply().text == "全");
}

TEST_CASE("streams that end too early or too late") {
  World world;
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.http->Body(0, Delta("好"));
  SUBCASE("cut by the peer") {
    world.http->End(0);
    CHECK(heard->code() == Code::kTruncated);
  }
  SUBCASE("the connection breaks after the finish reason") {
    world.http->Body(0, kStop);
    world.http->Fail(0, Code::kConnect);
    CHECK(heard->reply().ok());
    CHECK(heard->reply().usage_kind == UsageKind::kUnknown);
  }
  SUBCASE("silence after the finish reason") {
    world.http->Body(0, kStop);
    world.executor.Advance(seconds(15));
    CHECK(heard->reply().ok());
    CHECK(world.http->transfer(0).state == State::kCancelled);
  }
}

TEST_CASE("a reused connection that had died is replaced at once and for free") {
  LlmOptions options;
  options.max_attempts = 1;
  World world(options);
  const auto heard = world.StartWhole();
  world.http->Fail(0, Code::kConnect, /*reused_connection=*/true);
  world.executor.Advance(Duration::zero());
  REQUIRE(world.http->count() == 2);
  world.http->Reply(1, 200, kWhole, kJson);
  CHECK(heard->reply().ok());
  CHECK(heard->reply().attempts == 2);
}

TEST_CASE("a second stale connection, and a fresh one that breaks, are failures") {
  LlmOptions options;
  options.max_attempts = 1;
  World world(options);
  const auto stale = world.StartWhole();
  world.http->Fail(0, Code::kConnect, /*reused_connection=*/true);
  world.executor.Advance(Duration::zero());
  world.http->Fail(1, Code::kConnect, /*reused_connection=*/true);
  CHECK(stale->code() == Code::kConnect);
  const auto fresh = world.StartWhole();
  world.http->Fail(2, Code::kConnect);
  CHECK(fresh->code() == Code::kConnect);
  CHECK(world.http->count() == 3);
}

// --- Limits

LlmOptions OneAttempt() {
  LlmOptions options;
  options.max_attempts = 1;
  return options;
}

TEST_CASE("no token in time") {
  World world(OneAttempt());
  const auto heard = world.StartStream();
  world.executor.Advance(seconds(4));  // connecting has a limit of its own
  world.http->Connect(0);
  SUBCASE("no head") {}
  SUBCASE("a head, comments and a role, but no token") {
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, ": OPENROUTER PROCESSING\n\n");
    world.http->Body(0,
                     "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n");
  }
  world.executor.Advance(milliseconds(29999));
  CHECK(heard->replies.empty());
  world.executor.Advance(milliseconds(1));
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kTimeoutFirstToken);
  CHECK(heard->reply().error->message.find("llm.first_token_timeout_ms") != std::string::npos);
  CHECK(world.http->transfer(0).state == State::kCancelled);
}

TEST_CASE("silence between tokens; comments do not break it, tokens and thoughts do") {
  World world(OneAttempt());
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.http->Body(0, "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\"}}]}\n\n");
  world.executor.Advance(seconds(14));
  world.http->Body(0, Delta("好"));
  for (int i = 0; i < 14; ++i) {
    world.executor.Advance(seconds(1));
    world.http->Body(0, ": keep-alive\n\n");
  }
  CHECK(heard->replies.empty());
  world.executor.Advance(seconds(1));
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kTimeoutIdle);
  CHECK(heard->reply().text == "好");
}

TEST_CASE("a reply that drips is ended by the attempt's limit") {
  World world(OneAttempt());
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  for (int i = 0; i < 12; ++i) {
    CHECK(heard->replies.empty());
    world.http->Body(0, Delta("好"));
    world.executor.Advance(seconds(5));
  }
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kTimeoutAttempt);
}

// A stream that has begun, whose listener then holds it back.
struct HeldBack {
  HeldBack() {
    LlmRequest request = world.Request(true);
    request.flow = flow;
    request.deadline = world.executor.Now() + std::chrono::minutes(5);
    heard = world.Start(std::move(request), cancel.get_token());
    world.http->Connect(0);
    world.http->Head(0, 200, kEventStream);
    flow->Pause();
    world.http->Body(0, Delta("台"));
    REQUIRE(world.http->transfer(0).paused);
  }

  World world;
  CancelSource cancel;
  std::shared_ptr<Flow> flow = std::make_shared<Flow>();
  std::shared_ptr<Heard> heard;
};

TEST_CASE("the silence of a stream that its listener holds back is not the provider's") {
  HeldBack held;
  World& world = held.world;
  world.executor.Advance(std::chrono::minutes(2));  // longer than every limit of an attempt
  CHECK(held.heard->replies.empty());
  held.flow->Resume();
  CHECK(world.http->transfer(0).paused);  // this may have been another thread
  world.executor.RunReady();
  CHECK_FALSE(world.http->transfer(0).paused);

  SUBCASE("it goes on where it was") {
    world.executor.Advance(seconds(14));
    world.http->Body(0, Delta("積電") + std::string(kStop) + std::string(kDone));
    CHECK(held.heard->code() == Code::kOk);
    CHECK(held.heard->text == "台積電");
  }
  SUBCASE("it can be held back again") {
    held.flow->Pause();
    world.http->Body(0, Delta("積"));
    CHECK(world.http->transfer(0).paused);
    world.executor.Advance(std::chrono::minutes(1));
    held.flow->Resume();
    world.executor.RunReady();
    world.http->Body(0, Delta("電") + std::string(kStop) + std::string(kDone));
    CHECK(held.heard->text == "台積電");
  }
  SUBCASE("the limits count again") {
    world.executor.Advance(seconds(15));
    CHECK(held.heard->code() == Code::kTimeoutIdle);
  }
}

TEST_CASE("a stream that is held back for good ends with its call") {
  HeldBack held;
  SUBCASE("by its deadline") {
    held.world.executor.Advance(std::chrono::minutes(5));
    CHECK(held.heard->code() == Code::kDeadline);
  }
  SUBCASE("by its cancellation") {
    held.cancel.request_stop();
    held.world.executor.RunReady();
    CHECK(held.heard->code() == Code::kCancelled);
  }
  CHECK(held.world.http->transfer(0).state == State::kCancelled);
  CHECK(held.heard->reply().text == "台");
  held.flow->Resume();  // too late, and no one is called
}

TEST_CASE("an unstreamed attempt knows its own limit only") {
  World world(OneAttempt());
  const auto heard = world.StartWhole();
  world.http->Connect(0);
  world.executor.Advance(milliseconds(59999));
  CHECK(heard->replies.empty());
  world.executor.Advance(milliseconds(1));
  CHECK(heard->code() == Code::kTimeoutAttempt);
}

TEST_CASE("a limit ends an attempt, not the call") {
  World world;
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.executor.Advance(seconds(30));
  REQUIRE(world.WaitForTransfer(1));
  CHECK(world.http->transfer(0).state == State::kCancelled);
  world.http->Reply(1, 200, Delta("好") + std::string(kStop), kEventStream);
  CHECK(heard->reply().ok());
  CHECK(heard->reply().attempts == 2);
}

TEST_CASE("an error reply whose body does not end is read as far as it came") {
  World world(OneAttempt());
  const auto heard = world.StartStream();
  world.http->Connect(0);
  world.http->Head(0, 401);
  SUBCASE("silence") { world.executor.Advance(seconds(30)); }
  SUBCASE("a flood") {
    for (int i = 0; i < 65; ++i) world.http->Body(0, std::string(1024, 'x'));
  }
  SUBCASE("a break") { world.http->Fail(0, Code::kTruncated); }
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kAuth);
}

// --- Deadline and cancellation

TEST_CASE("the deadline ends a call wherever it is") {
  LlmOptions options;
  options.max_in_flight = 1;
  World world(options);
  LlmRequest request = world.Request(true);
  request.deadline = world.executor.Now() + seconds(10);

  SUBCASE("running, with the text so far") {
    const auto heard = world.Start(request);
    world.http->Connect(0);
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, Delta("半"));
    world.executor.Advance(milliseconds(9999));
    CHECK(heard->replies.empty());
    world.executor.Advance(milliseconds(1));
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kDeadline);
    CHECK(heard->reply().text == "半");
    CHECK(world.http->transfer(0).state == State::kCancelled);
  }
  SUBCASE("queued") {
    const auto first = world.Start(world.Request(true));
    const auto queued = world.Start(request);
    CHECK(world.http->count() == 1);
    world.executor.Advance(seconds(10));
    CHECK(queued->code() == Code::kDeadline);
    CHECK(queued->reply().attempts == 0);
    CHECK(queued->reply().error->message.find("llm.max_in_flight") != std::string::npos);
    world.http->Reply(0, 200, kWhole, kJson);
    CHECK(first->reply().ok());
    CHECK(world.http->count() == 1);
  }
  SUBCASE("a retry that would be late is not waited for") {
    const auto heard = world.Start(request);
    world.http->Reply(0, 429, kRateLimited, {{"retry-after", "11"}});
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kRateLimited);
    CHECK(heard->reply().error->details.retry_after_ms == 11000);
  }
  SUBCASE("reading a refusal whose body does not end; it is not repaired any more") {
    const auto heard = world.Start(request);
    world.http->Connect(0);
    world.http->Head(0, 400);
    world.http->Body(0, kNoTemperature);
    world.executor.Advance(seconds(10));
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kRefused);
    CHECK(world.http->count() == 1);
  }
  SUBCASE("passed before the start") {
    request.deadline = world.executor.Now() - seconds(1);
    const auto heard = world.Start(request);
    world.executor.Advance(Duration::zero());
    CHECK(heard->code() == Code::kDeadline);
  }
}

TEST_CASE("a call that is given more time has all of it, and its limits") {
  LlmOptions options;
  options.first_token_timeout_ms = 15000;
  options.max_attempts = 1;
  World world(options);
  LlmRequest request = world.Request(true);
  request.deadline = world.executor.Now() + seconds(10);
  request.flow = std::make_shared<Flow>();
  const auto flow = request.flow;
  const TimePoint later = world.executor.Now() + seconds(60);
  const auto heard = world.Start(std::move(request));
  flow->Extend(later);
  flow->Extend(later - seconds(55));  // less than it has: nothing
  world.http->Connect(0);
  world.http->Head(0, 200, kEventStream);
  world.executor.Advance(seconds(14));
  CHECK(heard->replies.empty());
  SUBCASE("silent") {
    world.executor.Advance(seconds(1));
    CHECK(heard->code() == Code::kTimeoutFirstToken);
  }
  SUBCASE("to its own end") {
    for (int i = 0; i < 46; ++i) {
      CHECK(heard->replies.empty());
      world.http->Body(0, Delta("字"));
      world.executor.Advance(seconds(1));
    }
    CHECK(heard->code() == Code::kDeadline);
  }
}

TEST_CASE("who listens without asking for a stream hears one that comes anyway") {
  for (const StreamMode mode : {StreamMode::kAlways, StreamMode::kNever}) {
    LlmOptions options;
    options.stream = mode;
    World world(options);
    std::string text;
    LlmSink sink;
    sink.on_text = [&text](std::string_view piece) { text += piece; };
    sink.on_done = [](const LlmReply& /*reply*/) {};
    world.client->Complete(world.Request(false), {}, std::move(sink));
    world.executor.RunReady();
    const bool streams = mode == StreamMode::kAlways;
    world.http->Reply(0, 200, streams ? Delta("好") + std::string(kStop) : std::string(kWhole),
                      streams ? kEventStream : kJson);
    CHECK(text == (streams ? "好" : ""));
  }
}

TEST_CASE("cancellation reaches a call wherever it is, once") {
  LlmOptions options;
  options.max_in_flight = 1;
  World world(options);
  CancelSource source;

  SUBCASE("before it starts") {
    source.request_stop();
    const auto heard = world.Start(world.Request(true), source.get_token());
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kCancelled);
  }
  SUBCASE("running") {
    const auto heard = world.Start(world.Request(true), source.get_token());
    world.http->Connect(0);
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, Delta("半"));
    source.request_stop();
    world.executor.RunReady();
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kCancelled);
    CHECK(heard->reply().text == "半");
    CHECK(world.http->transfer(0).state == State::kCancelled);
  }
  SUBCASE("queued") {
    const auto first = world.StartWhole();
    const auto queued = world.Start(world.Request(true), source.get_token());
    source.request_stop();
    world.executor.RunReady();
    CHECK(queued->code() == Code::kCancelled);
    world.http->Reply(0, 200, kWhole, kJson);
    CHECK(first->reply().ok());
    CHECK(world.http->count() == 1);
  }
  SUBCASE("waiting to retry") {
    const auto heard = world.Start(world.Request(true), source.get_token());
    world.http->Reply(0, 429, kRateLimited, {{"retry-after", "60"}});
    source.request_stop();
    world.executor.RunReady();
    CHECK(heard->code() == Code::kCancelled);
    CHECK(heard->reply().error->details.http_status == 429);
  }
  SUBCASE("after the end it changes nothing") {
    const auto heard = world.Start(world.Request(false), source.get_token());
    world.http->Reply(0, 200, kWhole, kJson);
    source.request_stop();
    world.executor.RunReady();
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->reply().ok());
  }
  SUBCASE("from within its own delta") {
    LlmSink sink;
    auto heard = std::make_shared<Heard>();
    sink.on_text = [&source](std::string_view) { source.request_stop(); };
    sink.on_done = [heard](LlmReply reply) { heard->replies.push_back(std::move(reply)); };
    world.client->Complete(world.Request(true), source.get_token(), std::move(sink));
    world.executor.RunReady();
    world.http->Connect(0);
    world.http->Head(0, 200, kEventStream);
    world.http->Body(0, Delta("a") + Delta("b"));
    world.executor.RunReady();
    REQUIRE(heard->replies.size() == 1);
    CHECK(heard->code() == Code::kCancelled);
  }
}

// --- Queue

TEST_CASE("calls beyond the limit wait in order") {
  LlmOptions options;
  options.max_in_flight = 2;
  World world(options);
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 5; ++i) {
    LlmRequest request = world.Request(false);
    request.model = "m" + std::to_string(i);
    calls.push_back(world.Start(request));
  }
  CHECK(world.http->count() == 2);
  for (std::size_t i = 0; i < 5; ++i) {
    REQUIRE(world.http->count() > i);
    CHECK(world.http->open() <= 2);
    CHECK(world.http->transfer(i).body.find("\"m" + std::to_string(i) + "\"") != std::string::npos);
    world.http->Reply(i, 200, kWhole, kJson);
    CHECK(calls[i]->reply().ok());
  }
}

TEST_CASE("a queued call's times begin with its dispatch") {
  LlmOptions options;
  options.max_in_flight = 1;
  World world(options);
  world.StartWhole();
  const auto second = world.StartWhole();
  world.executor.Advance(seconds(5));
  world.http->Reply(0, 200, kWhole, kJson);
  world.executor.Advance(milliseconds(20));
  world.http->Reply(1, 200, kWhole, kJson);
  CHECK(second->reply().total_ms == 20);
}

// --- Parameters

TEST_CASE("a refused parameter is left out at once, and remembered for the model") {
  constexpr std::string_view kNoMaxTokens =
      R"({"error":{"code":"unsupported_parameter","param":"max_tokens","message":"m"}})";
  LlmOptions options;
  options.max_attempts = 1;
  World world(options);
  const auto first = world.StartWhole();
  world.http->Reply(0, 400, kNoTemperature);
  REQUIRE(world.http->count() == 2);
  CHECK(world.http->transfer(1).body.find("temperature") == std::string::npos);
  world.http->Reply(1, 400, kNoMaxTokens);
  REQUIRE(world.http->count() == 3);
  CHECK(world.http->transfer(2).body.find("\"max_completion_tokens\":100") != std::string::npos);
  world.http->Reply(2, 200, kWhole, kJson);
  CHECK(first->reply().ok());
  CHECK(first->reply().attempts == 3);

  const auto second = world.StartWhole();
  CHECK(world.http->transfer(3).body == world.http->transfer(2).body);
  // Refused again all the same: an error, not a loop.
  world.http->Reply(3, 400, kNoTemperature);
  CHECK(second->code() == Code::kRefused);

  LlmRequest other = world.Request(false);
  other.model = "another-model";
  const auto third = world.Start(other);
  CHECK(world.http->transfer(4).body.find("temperature") != std::string::npos);
  world.http->Reply(4, 200, kWhole, kJson);
  CHECK(third->reply().ok());
}

TEST_CASE("a reasoning model that only thought is not asked again") {
  World world;
  LlmRequest request = world.Request(false);
  request.model = "o3-mini";
  const auto heard = world.Start(request);
  world.http->Reply(0, 200,
                    R"({"choices":[{"index":0,"message":{"content":""},"finish_reason":"length"}],)"
                    R"("usage":{"prompt_tokens":9,"completion_tokens":2148}})",
                    kJson);
  REQUIRE(heard->replies.size() == 1);
  CHECK(heard->code() == Code::kTruncated);
  CHECK(heard->reply().finish_reason.kind == FinishReason::Kind::kLength);
  CHECK(heard->reply().usage == Usage{9, 2148, 0});
  CHECK(heard->reply().error->message.find("allowance") != std::string::npos);
}

TEST_CASE("text cut by the token limit is the caller's to judge") {
  World world;
  const auto heard = world.StartStream();
  world.http->Reply(
      0, 200, Delta("半") + "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"length\"}]}\n\n",
      kEventStream);
  CHECK(heard->reply().ok());
  CHECK(heard->reply().finish_reason.kind == FinishReason::Kind::kLength);
}

// --- Others

// The check of a provider that answers with these, one after the other.
std::vector<std::string> Check(const std::vector<std::pair<int, std::string>>& answers,
                               Code* code) {
  World world;
  std::vector<Status> heard;
  world.client->Check(world.executor.Now() + seconds(5),
                      [&heard](Status status) { heard.push_back(std::move(status)); });
  world.executor.RunReady();
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    REQUIRE(world.http->count() == i + 1);
    asked.push_back(world.http->transfer(i).body);
    world.http->Reply(i, answers[i].first, answers[i].second);
  }
  CHECK(world.http->count() == answers.size());
  REQUIRE(heard.size() == 1);
  *code = heard[0].ok() ? Code::kOk : heard[0].error().code;
  return asked;
}

TEST_CASE("the check costs nothing where the list of models needs the key") {
  for (const int refusal : {401, 403}) {
    Code code = Code::kInternal;
    CHECK(Check({{200, "{}"}, {refusal, ""}}, &code) ==
          std::vector<std::string>{"GET", "GET without headers"});
    CHECK(code == Code::kOk);
  }
}

TEST_CASE("the check asks without paying where the list does not tell") {
  struct {
    int status;
    std::string_view body;
    Code code;
  } const cases[] = {
      {400, R"({"error":{"message":"you must provide a model parameter"}})", Code::kOk},
      {422, "", Code::kOk},
      {429, kRateLimited, Code::kOk},
      {401, "", Code::kAuth},
      {429, R"({"error":{"type":"insufficient_quota"}})", Code::kQuota},
      {404, "", Code::kRefused},
      {301, "", Code::kRefused},
      {503, "", Code::kUpstream},
  };
  for (const auto& c : cases) {
    CAPTURE(c.status);
    Code code = Code::kInternal;
    // There is no list, or the key has no right to it.
    for (const int status : {401, 403, 404, 405, 500}) {
      CHECK(Check({{status, ""}, {c.status, std::string(c.body)}}, &code) ==
            std::vector<std::string>{"GET", "{}"});
      CHECK(code == c.code);
    }
    // Everyone may read it.
    CHECK(Check({{200, "{}"}, {200, "{}"}, {c.status, std::string(c.body)}}, &code).back() == "{}");
    CHECK(code == c.code);
  }
}

TEST_CASE("the check of a provider that cannot be reached") {
  World world;
  std::vector<Status> heard;
  world.client->Check(world.executor.Now() + seconds(5),
                      [&heard](Status status) { heard.push_back(std::move(status)); });
  world.executor.RunReady();
  world.http->Fail(0, Code::kDns);
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].error().code == Code::kDns);
  CHECK(world.http->count() == 1);
}

TEST_CASE("the check ends by its deadline") {
  World world;
  std::vector<Status> heard;
  world.client->Check(world.executor.Now() + seconds(5),
                      [&heard](Status status) { heard.push_back(std::move(status)); });
  world.executor.Advance(seconds(5));
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].error().code == Code::kDeadline);
  CHECK(world.http->transfer(0).state == State::kCancelled);
}

TEST_CASE("warming up opens no more connections than calls may run") {
  LlmOptions options;
  options.max_in_flight = 4;
  World world(options);
  world.client->Prewarm(10);
  world.executor.RunReady();
  CHECK(world.http->prewarmed() == 4);
  CHECK(world.client->provider() == "api.test");
}

// --- All together

// What happens to one transfer next, drawn at random: every end of every call must be exactly one,
// by its deadline, whatever the order of things.
void Disturb(World* world, std::size_t index, std::mt19937_64* rng) {
  FakeTransport& http = *world->http;
  switch (std::uniform_int_distribution<int>(0, 11)(*rng)) {
    case 0: http.Connect(index); break;
    case 1: http.Head(index, 200, kEventStream); break;
    case 2: http.Reply(index, 500, ""); break;
    case 3: http.Reply(index, 429, kRateLimited, {{"retry-after", "2"}}); break;
    case 4: http.Fail(index, Code::kConnect, /*reused_connection=*/true); break;
    case 5: http.Fail(index, Code::kTruncated); break;
    case 6: http.End(index); break;
    case 7: http.Reply(index, 200, kWhole, kJson); break;
    case 8:
      http.Reply(index, 200, Delta("好") + std::string(kStop) + std::string(kDone), kEventStream);
      break;
    case 9:
      http.Head(index, 200, kEventStream);
      http.Body(index, Delta("x"));
      break;
    case 10: http.Reply(index, 401, ""); break;
    default: break;
  }
}

TEST_CASE("every call ends once and by its deadline, under any schedule of faults") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 rng(seed);
    LlmOptions options;
    options.max_in_flight = 3;
    World world(options);
    std::vector<std::shared_ptr<Heard>> calls;
    std::vector<CancelSource> sources(12);
    for (CancelSource& source : sources) {
      LlmRequest request = world.Request(rng() % 2 == 0);
      request.deadline = world.executor.Now() + seconds(20 + rng() % 60);
      calls.push_back(world.Start(request, source.get_token()));
    }
    for (int step = 0; step < 300; ++step) {
      if (world.http->count() > 0) Disturb(&world, rng() % world.http->count(), &rng);
      if (rng() % 40 == 0) sources[rng() % sources.size()].request_stop();
      world.executor.Advance(milliseconds(rng() % 400));
    }
    world.executor.Advance(seconds(90));
    for (const auto& call : calls) {
      REQUIRE(call->replies.size() == 1);
      const LlmReply& reply = call->reply();
      if (reply.ok()) CHECK(reply.finish_reason.kind == FinishReason::Kind::kStop);
      // What was handed out is what is reported, never the text of two attempts.
      if (!call->text.empty()) CHECK(call->text == reply.text);
    }
  }
}

}  // namespace
}  // namespace postgen
