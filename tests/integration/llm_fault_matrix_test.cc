// What an upstream can do wrong, over real sockets: each fault with the code it must end in, with
// what is kept of the text, and whether another attempt is made.
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"

namespace postgen::testing {
namespace {

// Half of a text, then the fault.
std::string StreamHalf() { return std::string(kStreamHead) + Delta("半"); }
std::string WholeStream() { return std::string(kStreamHead) + Delta("好") + EndOfStream(); }
std::string OneEvent(std::string_view data) {
  return std::string(kStreamHead) + Chunk("data: " + std::string(data) + "\n\n") + EndOfStream();
}
std::string CloseDelimited(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + std::string(body);
}
std::string ErrorReply(int status, std::string_view code, std::string_view type,
                       std::string_view headers = "") {
  return Reply(status, headers,
               R"({"error":{"message":"secret-prompt","type":")" + std::string(type) +
                   R"(","code":")" + std::string(code) + "\"}}");
}

enum class After { kClose, kReset, kHold };  // once the bytes are sent
enum class Retry { kNo, kYes };

struct Fault {
  int row;  // of the fault matrix
  std::string name;
  std::string bytes;
  After after;
  Code code;  // of a call with one attempt whose caller listens
  std::string text;
  Retry retry;  // is another attempt made as long as nothing was handed out?
  std::function<void(LlmOptions*)> options = {};
};

void ShortFirstToken(LlmOptions* options) { options->first_token_timeout_ms = 50; }
void ShortIdle(LlmOptions* options) { options->idle_timeout_ms = 50; }
void SmallReplies(LlmOptions* options) { options->max_reply_bytes = 100'000; }

std::vector<Fault> Faults() {
  using enum After;
  constexpr Retry kYes = Retry::kYes;
  constexpr Retry kNo = Retry::kNo;
  const std::string secret_json = R"({"choices":[{"secret-prompt)";
  std::vector<Fault> faults = {
      {6, "reset before any byte", "", kReset, Code::kConnect, "", kYes},
      {6, "closed before any byte", "", kClose, Code::kConnect, "", kYes},
      {7, "reset inside the headers", "HTTP/1.1 200 OK\r\nX-H", kReset, Code::kConnect, "", kYes},
      {9, "end of a body without length", CloseDelimited(DeltaEvent("半")), kClose,
       Code::kTruncated, "半", kYes},
      {10, "chunked body cut", StreamHalf(), kClose, Code::kTruncated, "半", kYes},
      {11, "less than Content-Length",
       "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n" +
           DeltaEvent("半"),
       kClose, Code::kTruncated, "半", kYes},
      {11, "less than Content-Length of a whole reply",
       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n" +
           std::string(kWhole),
       kClose, Code::kTruncated, "", kYes},
      {13, "silence", "", kHold, Code::kTimeoutFirstToken, "", kYes, ShortFirstToken},
      {13, "silence after the headers", std::string(kStreamHead), kHold, Code::kTimeoutFirstToken,
       "", kYes, ShortFirstToken},
      {14, "silence after a delta", StreamHalf(), kHold, Code::kTimeoutIdle, "半", kYes, ShortIdle},
      {19, "a server that does not close after [DONE]",
       std::string(kStreamHead) + Delta("好") + Chunk(kStopEvent) + Chunk(kDoneEvent), kHold,
       Code::kOk, "好", kNo},
      {29, "patience of more than two minutes asked for",
       ErrorReply(429, "rate_limit_exceeded", "requests", "retry-after: 121\r\n"), kHold,
       Code::kRateLimited, "", kNo},
      {31, "quota", ErrorReply(429, "insufficient_quota", "insufficient_quota"), kHold,
       Code::kQuota, "", kNo},
      {31, "credit", ErrorReply(429, "credit_balance_exhausted", "insufficient_quota"), kHold,
       Code::kQuota, "", kNo},
      {31, "payment required", ErrorReply(402, "", ""), kHold, Code::kQuota, "", kNo},
      {33, "401", ErrorReply(401, "invalid_api_key", ""), kHold, Code::kAuth, "", kNo},
      {33, "403", ErrorReply(403, "", ""), kHold, Code::kAuth, "", kNo},
      {34, "400", ErrorReply(400, "context_length_exceeded", ""), kHold, Code::kRefused, "", kNo},
      {34, "404", ErrorReply(404, "model_not_found", ""), kHold, Code::kRefused, "", kNo},
      {34, "409", ErrorReply(409, "", ""), kHold, Code::kRefused, "", kNo},
      {34, "422", ErrorReply(422, "", ""), kHold, Code::kRefused, "", kNo},
      {34, "400 with retry-after", ErrorReply(400, "", "", "retry-after: 1\r\n"), kHold,
       Code::kRefused, "", kNo},
      {36, "a portal's page",
       Reply(200, "Content-Type: text/html\r\n", "<html>secret-prompt</html>"), kHold,
       Code::kProtocol, "", kYes},
      {37, "a JSON error instead of a stream",
       Reply(200, "Content-Type: application/json\r\n",
             R"({"error":{"message":"secret-prompt","code":"rate_limit_exceeded"}})"),
       kHold, Code::kRateLimited, "", kYes},
      {37, "a JSON error in an array (Gemini)",
       Reply(200, "Content-Type: application/json\r\n",
             R"([{"error":{"code":503,"message":"secret-prompt","status":"UNAVAILABLE"}}])"),
       kHold, Code::kUpstream, "", kYes},
      {38, "204", "HTTP/1.1 204 No Content\r\n\r\n", kHold, Code::kProtocol, "", kYes},
      {38, "an empty stream", Reply(200, "Content-Type: text/event-stream\r\n", ""), kHold,
       Code::kProtocol, "", kYes},
      {38, "an empty body", Reply(200, "Content-Type: application/json\r\n", ""), kHold,
       Code::kProtocol, "", kYes},
      {39, "a header line of 300 KB",
       "HTTP/1.1 200 OK\r\nX: " + std::string(300 << 10, 'x') + "\r\n\r\n", kHold, Code::kProtocol,
       "", kYes},
      {41, "gzip that nobody asked for",
       Reply(200, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
             std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10) + std::string(1000, '\xed')),
       kHold, Code::kEncoding, "", kYes},
      {42, "HTTP/0.9", "好", kClose, Code::kProtocol, "", kYes},
      {42, "garbage", std::string("\x16\x03\x01\x02\0\x01", 6), kClose, Code::kProtocol, "", kYes},
      {42, "switching protocols", "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
       kHold, Code::kProtocol, "", kYes, ShortFirstToken},
      {44, "[DONE] missing, text complete",
       std::string(kStreamHead) + Delta("好") + Chunk(kStopEvent) + Chunk(""), kHold, Code::kOk,
       "好", kNo},
      {44, "[DONE] missing, no finish reason", StreamHalf() + Chunk(""), kHold, Code::kTruncated,
       "半", kYes},
      {44, "[DONE] without a finish reason", StreamHalf() + Chunk(kDoneEvent) + Chunk(""), kHold,
       Code::kOk, "半", kNo},
      {45, "a false [DONE]",
       std::string(kStreamHead) + Chunk("data: [DONE]secret-prompt\n\n") + Chunk(""), kHold,
       Code::kProtocol, "", kYes},
      {46, "an error event after a delta",
       StreamHalf() + Chunk("data: {\"error\":{\"message\":\"secret-prompt\",\"code\":502}}\n\n") +
           Chunk(""),
       kHold, Code::kUpstream, "半", kYes},
      {47, "the token limit",
       std::string(kStreamHead) +
           Chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"半\"},"
                 "\"finish_reason\":\"length\"}]}\n\n") +
           Chunk(kDoneEvent) + Chunk(""),
       kHold, Code::kOk, "半", kNo},
      {47, "the content filter",
       std::string(kStreamHead) +
           Chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"半\"},"
                 "\"finish_reason\":\"content_filter\"}]}\n\n") +
           Chunk(kDoneEvent) + Chunk(""),
       kHold, Code::kRefused, "半", kNo},
      {48, "malformed JSON", OneEvent(secret_json), kHold, Code::kProtocol, "", kYes},
      {48, "JSON that is no completion", OneEvent("[]"), kHold, Code::kProtocol, "", kYes},
      {49, "bytes that are no UTF-8",
       OneEvent("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\xFE\"}}]}"), kHold,
       Code::kEncoding, "", kYes},
      {49, "half a character", std::string(kStreamHead) + Delta("\\ud83d") + EndOfStream(), kHold,
       Code::kEncoding, "", kYes},
      {49, "a character over two deltas",
       std::string(kStreamHead) + Delta("\\ud83d") + Delta("\\ude00") + EndOfStream(), kHold,
       Code::kOk, "😀", kNo},
      {50, "NUL", std::string(kStreamHead) + Delta("a\\u0000b") + EndOfStream(), kHold,
       Code::kEncoding, "", kYes},
      {51, "an event beyond the bound",
       std::string(kStreamHead) + Delta(std::string(100'001, 'x')) + EndOfStream(), kHold,
       Code::kTooLarge, "", kYes, SmallReplies},
      {51, "a delta of 90 KB below it",
       std::string(kStreamHead) + Delta(std::string(90'000, 'x')) + EndOfStream(), kHold, Code::kOk,
       std::string(90'000, 'x'), kNo, SmallReplies},
      {53, "choice -1", OneEvent(R"({"choices":[{"index":-1,"delta":{"content":"x"}}]})"), kHold,
       Code::kProtocol, "", kYes},
      {53, "choice 2^31", OneEvent(R"({"choices":[{"index":2147483648,"delta":{"content":"x"}}]})"),
       kHold, Code::kProtocol, "", kYes},
      {53, "a choice twice",
       OneEvent(R"({"choices":[{"index":0,"delta":{"content":"x"}},{"index":0,"delta":{}}]})"),
       kHold, Code::kProtocol, "", kYes},
  };
  for (const std::string headers :
       {"retry-after: 0.01\r\n", "retry-after-ms: 5\r\n", "x-ms-retry-after-ms: 5\r\n",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n"}) {
    faults.push_back({28, "429 with " + headers,
                      ErrorReply(429, "rate_limit_exceeded", "requests", headers), kHold,
                      Code::kRateLimited, "", kYes});
  }
  for (const int status : {408, 498, 500, 502, 503, 504, 529}) {
    faults.push_back({32, std::to_string(status), ErrorReply(status, "", "server_error"), kHold,
                      Code::kUpstream, "", kYes});
  }
  faults.push_back({32, "503 that says not to try again",
                    ErrorReply(503, "", "", "x-should-retry: false\r\n"), kHold, Code::kUpstream,
                    "", kNo});
  faults.push_back({32, "400 that says to try again",
                    ErrorReply(400, "", "", "x-should-retry: true\r\n"), kHold, Code::kRefused, "",
                    kYes});
  return faults;
}

// The first request of all fails; the server serves the others well.
class FaultyServer {
 public:
  explicit FaultyServer(const Fault& fault)
      : server_([&fault, this](RawConnection& peer) {
          while (peer.ReadRequest()) {
            if (served_.exchange(true)) {
              peer.Send(WholeStream());
              continue;
            }
            peer.Send(fault.bytes);
            if (fault.after == After::kReset) peer.ResetOnClose();
            if (fault.after == After::kHold) continue;
            return;
          }
        }) {}
  std::string url() const { return server_.Url("/v1"); }
  std::size_t requests() const { return server_.requests().size(); }

 private:
  std::atomic<bool> served_ = false;
  RawServer server_;
};

void CheckSaysNoSecret(const Error& error) {
  for (const std::string& text : {error.message, error.details.provider_code, error.details.field,
                                  error.details.request_id}) {
    CAPTURE(text);
    CHECK(text.find("canary") == std::string::npos);
    CHECK(text.find("secret") == std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
  }
}

TEST_CASE("every fault has its code, and the text that was heard is kept") {
  const std::vector<Fault> faults = Faults();
  for (const Fault& fault : faults) {
    CAPTURE(fault.row);
    CAPTURE(fault.name);
    FaultyServer server(fault);
    LlmOptions options;
    options.max_attempts = 1;
    if (fault.options) fault.options(&options);
    LlmTestClient client(server.url(), options);
    const auto heard = client.Start(/*stream=*/true);
    const LlmReply reply = heard->Wait();
    CHECK(CodeName(CodeOf(reply)) == CodeName(fault.code));
    CHECK(reply.text == fault.text);
    CHECK(heard->text == fault.text);
    CHECK(reply.attempts == 1);
    CHECK(server.requests() == 1);
    if (reply.error) CheckSaysNoSecret(*reply.error);
  }
}

TEST_CASE("what is worth another attempt gets it, and the text is the second one's alone") {
  const std::vector<Fault> faults = Faults();
  struct Run {
    const Fault* fault;
    std::unique_ptr<FaultyServer> server;
    std::unique_ptr<LlmTestClient> client;
    std::shared_ptr<Heard> heard;
  };
  std::vector<Run> runs;  // at once, as each may wait for its second attempt
  for (const Fault& fault : faults) {
    LlmOptions options;
    options.stream = StreamMode::kAlways;
    options.max_attempts = 2;
    if (fault.options) fault.options(&options);
    // Short enough for the fault, and long enough for the second attempt on any machine.
    if (options.first_token_timeout_ms < 1000) options.first_token_timeout_ms = 1000;
    if (options.idle_timeout_ms < 1000) options.idle_timeout_ms = 1000;
    Run run{&fault, std::make_unique<FaultyServer>(fault), nullptr, nullptr};
    run.client = std::make_unique<LlmTestClient>(run.server->url(), options);
    run.heard = run.client->Start(/*stream=*/false);
    runs.push_back(std::move(run));
  }
  for (Run& run : runs) {
    CAPTURE(run.fault->row);
    CAPTURE(run.fault->name);
    const LlmReply reply = run.heard->Wait();
    const bool retried = run.fault->retry == Retry::kYes;
    CHECK(reply.attempts == (retried ? 2 : 1));
    CHECK(run.server->requests() == (retried ? 2 : 1));
    CHECK(CodeName(CodeOf(reply)) == CodeName(retried ? Code::kOk : run.fault->code));
    CHECK(reply.text == (retried ? "好" : run.fault->text));
  }
}

}  // namespace
}  // namespace postgen::testing
