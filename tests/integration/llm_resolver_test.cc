// Names that do not resolve, or not in time.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "postgen/generator.h"
#include "support/fake_resolver.h"

namespace postgen::testing {
namespace {

LlmOptions Insecure() {
  LlmOptions options;
  options.allow_insecure_http = true;
  return options;
}

TEST_CASE("a name that does not exist is asked for twice") {
  LlmTestClient client("http://nowhere.test/v1", Insecure());
  const LlmReply reply = client.Start(/*stream=*/true)->Wait();
  CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kDns));
  CHECK(reply.attempts == 2);
  CHECK(TimesLookedUp("nowhere.test") == 2);
  CHECK(reply.error->message.find("nowhere.test") != std::string::npos);
}

TEST_CASE("a host with one dead address of two") {
  RawServer server(AlwaysSend(WholeReply()));
  LlmOptions options = Insecure();
  options.max_attempts = 1;
  LlmTestClient client("http://two.test:" + std::to_string(server.port()) + "/v1", options);
  CHECK(client.Start(/*stream=*/false)->Wait().ok());
}

TEST_CASE("a resolver that hangs: its own call alone is late, and hears its cancellation") {
  RawServer server(AlwaysSend(WholeReply()));
  const int before = TimesLookedUp("hangs.test");
  EventLoop loop("test-reactor");  // one loop for both
  const auto client_of = [&loop](const std::string& url, std::int64_t connect_timeout_ms) {
    LlmOptions options = Insecure();
    options.base_url = url;
    options.api_key = kKey;
    options.max_attempts = 1;
    options.connect_timeout_ms = connect_timeout_ms;
    Result<std::unique_ptr<LlmClient>> client = NewOpenAiClient(options, &loop);
    REQUIRE(client.ok());
    return *std::move(client);
  };
  const auto start = [](LlmClient* client, CancelToken cancel) {
    auto heard = std::make_shared<Heard>();
    LlmRequest request;
    request.model = "m";
    request.messages = {{Role::kUser, "x"}};
    LlmSink sink;
    sink.on_done = [heard](LlmReply reply) {
      heard->reply = std::move(reply);
      heard->done.Notify();
    };
    client->Complete(std::move(request), std::move(cancel), std::move(sink));
    return heard;
  };
  const auto patient = client_of("http://hangs.test/v1", 60'000);
  const auto impatient = client_of("http://hangs.test/v1", 50);
  const auto other = client_of(server.Url("/v1"), 60'000);

  CancelSource source;
  const auto cancelled = start(patient.get(), source.get_token());
  WaitUntilHanging(before + 1);
  CHECK(start(other.get(), {})->Wait().ok());
  CHECK(CodeName(CodeOf(start(impatient.get(), {})->Wait())) == CodeName(Code::kTimeoutConnect));
  source.request_stop();
  CHECK(CodeName(CodeOf(cancelled->Wait())) == CodeName(Code::kCancelled));
  loop.Stop();
}

TEST_CASE("a resolver that hangs holds up neither a deadline nor the end of a generator") {
  const int before = TimesLookedUp("hangs.test");
  Options options = PostOptions("http://hangs.test/v1");
  options.llm.allow_insecure_http = true;
  options.llm.connect_timeout_ms = 60'000;
  auto generator = PostGenerator::Create(options);
  REQUIRE(generator.ok());
  PostRequest request = OneVersion();
  request.deadline_ms = 200;
  const Result<PostResult> late = (*generator)->Generate(request);
  REQUIRE(!late.ok());
  CHECK(CodeName(late.error().code) == CodeName(Code::kDeadline));

  request.deadline_ms = 600'000;
  const std::shared_ptr<Call> call = (*generator)->Start(request, nullptr, /*stream=*/false);
  WaitUntilHanging(before + 2);
  generator->reset();  // returns, though the resolver has not
  const std::shared_ptr<const PostResult> ended = call->Wait();
  REQUIRE(ended != nullptr);
  CHECK(!ended->ok());
}

}  // namespace
}  // namespace postgen::testing
