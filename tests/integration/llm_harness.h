// The built-in client on a loop of its own, over real sockets.
#ifndef POSTGEN_TESTS_INTEGRATION_LLM_HARNESS_H_
#define POSTGEN_TESTS_INTEGRATION_LLM_HARNESS_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "llm/clients.h"
#include "postgen/flow.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "postgen/types.h"
#include "runtime/event_loop.h"
#include "support/notification.h"
#include "support/raw_server.h"

namespace postgen::testing {

// What must come back in no error: the key and the prompt of every call here.
inline constexpr std::string_view kKey = "sk-canary-7f3a9c";
inline constexpr std::string_view kPrompt = "台積電 secret-prompt";

inline constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "x-request-id: req-1\r\nTransfer-Encoding: chunked\r\n\r\n";
inline constexpr std::string_view kWhole =
    R"({"choices":[{"index":0,"message":{"content":"好"},"finish_reason":"stop"}]})";
inline constexpr std::string_view kStopEvent =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

inline std::string DeltaEvent(std::string_view text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + std::string(text) + "\"}}]}\n\n";
}

// The same in chunks of a chunked body.
inline std::string Delta(std::string_view text) { return Chunk(DeltaEvent(text)); }
inline std::string EndOfStream() { return Chunk(kStopEvent) + Chunk(kDoneEvent) + Chunk(""); }
inline std::string WholeReply() { return Reply(200, "Content-Type: application/json\r\n", kWhole); }

// One call; what it heard may be read after Wait().
struct Heard {
  Notification first_text;
  Notification done;
  std::string text;
  LlmReply reply;

  LlmReply Wait() {
    done.Wait();
    return reply;
  }
};

inline Code CodeOf(const LlmReply& reply) { return reply.error ? reply.error->code : Code::kOk; }

class LlmTestClient {
 public:
  explicit LlmTestClient(const std::string& base_url, LlmOptions options = {}) {
    options.base_url = base_url;
    options.api_key = kKey;
    Result<std::unique_ptr<LlmClient>> client = NewOpenAiClient(options, &loop_);
    REQUIRE(client.ok());
    client_ = *std::move(client);
  }
  ~LlmTestClient() { loop_.Stop(); }
  LlmTestClient(const LlmTestClient&) = delete;
  LlmTestClient& operator=(const LlmTestClient&) = delete;

  // `stream`: with someone who listens to the text as it comes, and who may `take back` what broke
  // off.
  std::shared_ptr<Heard> Start(bool stream, CancelToken cancel = {},
                               std::string_view prompt = kPrompt,
                               std::shared_ptr<Flow> flow = nullptr, bool takes_back = false) {
    LlmRequest request;
    request.flow = std::move(flow);
    request.model = "gpt-4o-mini";
    request.messages = {{Role::kUser, std::string(prompt)}};
    request.stream = stream;
    auto heard = std::make_shared<Heard>();
    LlmSink sink;
    if (stream) {
      sink.on_text = [heard](std::string_view text) {
        heard->text += text;
        heard->first_text.Notify();
      };
    }
    if (takes_back) sink.on_reset = [heard] { heard->text.clear(); };
    sink.on_done = [heard](LlmReply reply) {
      heard->reply = std::move(reply);
      heard->done.Notify();
    };
    client_->Complete(std::move(request), std::move(cancel), std::move(sink));
    return heard;
  }

  LlmClient* operator->() { return client_.get(); }
  EventLoop* loop() { return &loop_; }

 private:
  EventLoop loop_{"test-reactor"};
  std::unique_ptr<LlmClient> client_;
};

// Posts by the public door, with the client at `base_url`: one version, and nothing from a cache.
inline Options PostOptions(const std::string& base_url) {
  Options options;
  options.llm.base_url = base_url;
  options.llm.api_key = kKey;
  options.cache.url = "none:";
  return options;
}
inline PostRequest OneVersion() {
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  request.versions = 1;
  return request;
}

// Serves every request of a connection with the same bytes.
inline RawServer::Script AlwaysSend(std::string bytes) {
  return [bytes = std::move(bytes)](RawConnection& peer) {
    while (peer.ReadRequest() && peer.Send(bytes)) {
    }
  };
}

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_INTEGRATION_LLM_HARNESS_H_
