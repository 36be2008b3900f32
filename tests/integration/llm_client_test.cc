// The built-in client over real sockets: what virtual time cannot show.
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE("text arrives while the reply is still being written") {
  Gate rest;
  RawServer server([&rest](RawConnection& peer) {
    while (peer.ReadRequest()) {
      peer.Send(std::string(kStreamHead) + Delta("台積"));
      if (!peer.Wait(&rest)) return;
      peer.Send(Delta("電") + EndOfStream());
    }
  });
  LlmTestClient client(server.Url("/v1"));
  const auto heard = client.Start(/*stream=*/true);
  heard->first_text.Wait();
  rest.Open();
  const LlmReply reply = heard->Wait();
  CHECK(reply.ok());
  CHECK(reply.text == "台積電");
  CHECK(heard->text == reply.text);
  CHECK(reply.request_id == "req-1");
  CHECK(reply.ttft_ms.has_value());
}

TEST_CASE("requests carry the key once, and calls share a connection") {
  RawServer server(AlwaysSend(std::string(kStreamHead) + Delta("好") + EndOfStream()));
  LlmOptions options;
  options.query = {{"api-version", "2024-10-21"}};
  LlmTestClient client(server.Url("/v1/"), options);
  for (int i = 0; i < 3; ++i) CHECK(client.Start(/*stream=*/true)->Wait().ok());
  CHECK(server.connections() == 1);
  for (const std::string& request : server.requests()) {
    CHECK(request.rfind("POST /v1/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n", 0) == 0);
    const std::size_t key = request.find("Authorization: Bearer " + std::string(kKey) + "\r\n");
    CHECK(key != std::string::npos);
    CHECK(request.find(kKey, key + 30) == std::string::npos);
    CHECK(request.find("secret-prompt") != std::string::npos);
  }
}

TEST_CASE("a redirect is refused, and nobody else hears of it") {
  RawServer other(AlwaysSend(WholeReply()));
  for (const int status : {301, 302, 303, 307, 308}) {
    CAPTURE(status);
    RawServer server(AlwaysSend(Reply(status, "Location: " + other.Url("/v1") + "\r\n", "")));
    LlmTestClient client(server.Url("/v1"));
    const LlmReply reply = client.Start(/*stream=*/false)->Wait();
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error->code == Code::kRefused);
  }
  CHECK(other.connections() == 0);
}

TEST_CASE("a server in trouble is asked again") {
  RawServer server([](RawConnection& peer) {
    for (int i = 0; peer.ReadRequest(); ++i) {
      peer.Send(i == 0 ? Reply(429, "retry-after-ms: 1\r\n", "{}")
                       : Reply(200, "Content-Type: application/json\r\n", kWhole));
    }
  });
  LlmTestClient client(server.Url("/v1"));
  const LlmReply reply = client.Start(/*stream=*/false)->Wait();
  CHECK(reply.ok());
  CHECK(reply.attempts == 2);
}

TEST_CASE("a connection that the server closed while idle does not fail a call") {
  RawServer server([](RawConnection& peer) {
    if (peer.ReadRequest()) peer.Send(Reply(200, "Content-Type: application/json\r\n", kWhole));
  });
  LlmOptions options;
  options.max_attempts = 1;
  LlmTestClient client(server.Url("/v1"), options);
  for (int i = 0; i < 5; ++i) CHECK(client.Start(/*stream=*/false)->Wait().ok());
  CHECK(server.connections() == 5);
}

TEST_CASE("no server: an error that names the host and no secret") {
  RefusingPort port;
  LlmOptions options;
  options.max_attempts = 2;
  LlmTestClient client("http://127.0.0.1:" + std::to_string(port.port()), options);
  const LlmReply reply = client.Start(/*stream=*/false)->Wait();
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error->code == Code::kConnect);
  CHECK(reply.attempts == 2);
  CHECK(reply.error->message.find("127.0.0.1") != std::string::npos);
}

TEST_CASE("neither key nor prompt comes back, even if the server echoes them in every place") {
  // The key alone could pass for an identifier.
  for (const std::string& echo : {std::string(kKey) + " secret-prompt", std::string(kKey)}) {
    const std::string error = R"({"error":{"message":")" + echo + R"(","code":")" + echo +
                              R"(","type":")" + echo + "\"}}";
    const std::string headers = "Content-Type: application/json\r\nx-request-id: " + echo + "\r\n";
    std::vector<std::string> replies = {
        Reply(200, headers, error),
        Reply(200, headers,
              R"({"model":")" + echo + R"(","choices":[{"index":0,"message":{"content":"好"},)" +
                  R"("finish_reason":")" + echo + "\"}]}")};
    for (const int status : {400, 401, 429, 500}) replies.push_back(Reply(status, headers, error));
    for (const std::string& bytes : replies) {
      CAPTURE(bytes);
      RawServer server(AlwaysSend(bytes));
      LlmOptions options;
      options.max_attempts = 1;
      LlmTestClient client(server.Url("/v1"), options);
      const LlmReply reply = client.Start(/*stream=*/false)->Wait();
      const Error heard = reply.error.value_or(Error(Code::kInternal, ""));
      for (const std::string& text : {heard.message, heard.details.provider_code,
                                      heard.details.request_id, heard.details.field, reply.text,
                                      reply.model, reply.request_id, reply.finish_reason.text}) {
        CHECK(text.find("canary") == std::string::npos);
        CHECK(text.find("secret") == std::string::npos);
      }
      Notification done;
      client->Check(TimePoint::max(), [&](const Status& status) {
        if (!status.ok()) CHECK(status.error().message.find("canary") == std::string::npos);
        done.Notify();
      });
      done.Wait();
    }
  }
}

TEST_CASE("a key that was refused is not sent again for a while") {
  for (const bool quota : {false, true}) {
    CAPTURE(quota);
    const Code code = quota ? Code::kQuota : Code::kAuth;
    RawServer server(AlwaysSend(quota ? Reply(429, "", R"({"error":{"type":"insufficient_quota"}})")
                                      : Reply(401, "", "")));
    LlmTestClient client(server.Url("/v1"));
    CHECK(CodeName(CodeOf(client.Start(/*stream=*/true)->Wait())) == CodeName(code));
    const LlmReply reply = client.Start(/*stream=*/true)->Wait();
    CHECK(CodeName(CodeOf(reply)) == CodeName(code));
    CHECK(reply.attempts == 0);
    CHECK(server.requests().size() == 1);
  }
}

TEST_CASE("a cancelled call closes its connection") {
  Notification closed;
  RawServer server([&closed](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send(std::string(kStreamHead) + Delta("半"));
    if (peer.WaitForClose()) closed.Notify();
  });
  LlmTestClient client(server.Url("/v1"));
  CancelSource source;
  const auto heard = client.Start(/*stream=*/true, source.get_token());
  heard->first_text.Wait();
  source.request_stop();
  const LlmReply reply = heard->Wait();
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error->code == Code::kCancelled);
  CHECK(reply.text == "半");
  closed.Wait();
}

TEST_CASE("many callers on many threads, some of them changing their minds") {
  RawServer server(AlwaysSend(std::string(kStreamHead) + Delta("好") + EndOfStream()));
  LlmOptions options;
  options.max_in_flight = 8;
  LlmTestClient client(server.Url("/v1"), options);
  constexpr int kThreads = 4;
  constexpr int kCalls = 50;
  std::vector<std::vector<std::shared_ptr<Heard>>> calls(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&client, &mine = calls[static_cast<std::size_t>(t)]] {
      for (int i = 0; i < kCalls; ++i) {
        CancelSource source;
        mine.push_back(client.Start(/*stream=*/i % 2 == 0, source.get_token()));
        if (i % 5 == 0) source.request_stop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int good = 0;
  for (const auto& mine : calls) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const LlmReply reply = mine[i]->Wait();
      if (reply.ok()) {
        ++good;
        CHECK(reply.text == "好");
      } else {
        CHECK(reply.error->code == Code::kCancelled);
        CHECK(i % 5 == 0);
      }
    }
  }
  CHECK(good >= kThreads * kCalls * 4 / 5);
  CHECK(server.connections() <= kThreads * kCalls);
}

TEST_CASE("the check: the list of models, with the key and without") {
  for (const bool good_key : {true, false}) {
    RawServer server([good_key](RawConnection& peer) {
      while (const auto request = peer.ReadRequest()) {
        const bool has_key = request->find(kKey) != std::string::npos;
        peer.Send(has_key && good_key ? Reply(200, "", R"({"data":[]})") : Reply(401, "", "{}"));
      }
    });
    LlmOptions options;
    options.query = {{"api-version", "1"}};
    LlmTestClient client(server.Url("/v1"), options);
    Notification done;
    Code heard = Code::kInternal;
    client->Check(TimePoint::max(), [&](Status result) {
      heard = result.ok() ? Code::kOk : result.error().code;
      done.Notify();
    });
    done.Wait();
    CHECK(heard == (good_key ? Code::kOk : Code::kAuth));
    const std::vector<std::string> requests = server.requests();
    REQUIRE(requests.size() == 2);
    CHECK(requests[0].starts_with("GET /v1/models?api-version=1 HTTP/1.1\r\n"));
    CHECK(requests[0].find(kKey) != std::string::npos);
    CHECK(requests[0].find("Content-Length") == std::string::npos);
    CHECK(requests[1].starts_with(good_key ? "GET /v1/models?" : "POST /v1/chat/completions?"));
    CHECK((requests[1].find(kKey) == std::string::npos) == good_key);
  }
}

TEST_CASE("the client by itself has a thread of its own and checks its options") {
  RawServer server(AlwaysSend(WholeReply()));
  LlmOptions options;
  options.base_url = server.Url("/v1");
  options.api_key = " " + std::string(kKey) + " ";
  Result<std::unique_ptr<LlmClient>> client = NewOpenAiClient(options);
  REQUIRE(client.ok());
  CHECK((*client)->provider().rfind("127.0.0.1", 0) == 0);

  LlmRequest request;
  request.model = "gpt-4o-mini";
  request.messages = {{Role::kUser, "台積電"}};
  Notification done;
  LlmReply heard;
  LlmSink sink;
  sink.on_done = [&](LlmReply reply) {
    heard = std::move(reply);
    done.Notify();
  };
  (*client)->Complete(std::move(request), CancelToken(), std::move(sink));
  done.Wait();
  CHECK(heard.text == "好");
  client->reset();

  options.base_url = "http://example.com/v1";
  client = NewOpenAiClient(options);
  REQUIRE_FALSE(client.ok());
  CHECK(client.error().code == Code::kInvalidConfig);
}

}  // namespace
}  // namespace postgen::testing
