// What networks, proxies and odd servers do to calls, beyond the table of llm_fault_matrix_test.cc.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "support/scoped.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {
namespace {

using std::chrono::milliseconds;

std::string UrlOf(const ToxicProxy& proxy) {
  return "http://127.0.0.1:" + std::to_string(proxy.port()) + "/v1";
}

LlmOptions OneAttempt() {
  LlmOptions options;
  options.max_attempts = 1;
  return options;
}

std::string TenDeltas() {
  std::string stream(kStreamHead);
  for (int i = 0; i < 10; ++i) stream += Delta("第" + std::to_string(i) + "段");
  return stream + EndOfStream();
}
constexpr std::string_view kTenTexts = "第0段第1段第2段第3段第4段第5段第6段第7段第8段第9段";

TEST_CASE("a network that cuts, delays and slices changes nothing of the text") {
  RawServer server(AlwaysSend(TenDeltas()));
  struct {
    std::string_view name;
    Toxics toxics;
  } const cases[] = {
      {"none", {}},
      {"latency", {.latency = milliseconds(20), .jitter = milliseconds(20)}},
      {"slicer", {.slice_bytes = 1}},
      {"bandwidth", {.bytes_per_second = 50'000}},
      {"slow close", {.slow_close = milliseconds(100)}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    ToxicProxy proxy(server.port());
    proxy.SetDownstream(c.toxics);
    proxy.SetUpstream(c.toxics);
    LlmTestClient client(UrlOf(proxy), OneAttempt());
    std::vector<std::shared_ptr<Heard>> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(client.Start(/*stream=*/true));
    for (const auto& call : calls) {
      const LlmReply reply = call->Wait();
      CHECK(reply.ok());
      CHECK(reply.text == kTenTexts);
      CHECK(call->text == kTenTexts);
    }
  }
}

TEST_CASE("cut or reset at any byte: complete from the last required one on, and not before") {
  const std::string stream = TenDeltas();
  // The blank line after the event that ends the text.
  const std::string required = stream.substr(0, stream.find("\n\n", stream.find("stop")) + 2);
  RawServer server(AlwaysSend(stream));
  ToxicProxy proxy(server.port());
  int complete = 0;
  for (const bool reset : {false, true}) {
    for (std::size_t limit = 1; limit < stream.size(); limit += reset ? 37 : 7) {
      CAPTURE(reset);
      CAPTURE(limit);
      // Each its own: the breaker of one that sees nothing but failures would open.
      LlmTestClient client(UrlOf(proxy), OneAttempt());
      proxy.SetDownstream({.limit_bytes = limit, .reset_at_limit = reset});
      const auto heard = client.Start(/*stream=*/true);
      const LlmReply reply = heard->Wait();
      CHECK(reply.text == heard->text);
      CHECK(kTenTexts.substr(0, reply.text.size()) == reply.text);
      if (reply.ok()) {
        ++complete;
        CHECK(limit >= required.size());
        CHECK(reply.text == kTenTexts);
      } else if (reset) {
        // A reset may overtake what was sent before it.
        const bool known = CodeOf(reply) == Code::kTruncated || CodeOf(reply) == Code::kConnect;
        CHECK(known);
      } else {
        CHECK(limit < required.size());
        const bool in_head = limit < kStreamHead.size();
        CHECK(CodeName(CodeOf(reply)) == CodeName(in_head ? Code::kConnect : Code::kTruncated));
      }
    }
  }
  CHECK(complete > 0);
}

TEST_CASE("a network that says nothing more: the limit that holds is in the code") {
  RawServer server(AlwaysSend(TenDeltas()));
  ToxicProxy proxy(server.port());
  LlmOptions options = OneAttempt();
  SUBCASE("nothing comes") {
    proxy.SetDownstream({.timeout = milliseconds(0)});
    options.first_token_timeout_ms = 50;
    LlmTestClient client(UrlOf(proxy), options);
    CHECK(CodeName(CodeOf(client.Start(true)->Wait())) == CodeName(Code::kTimeoutFirstToken));
  }
  SUBCASE("bytes drip") {
    proxy.SetDownstream({.bytes_per_second = 20});
    options.attempt_timeout_ms = 200;
    LlmTestClient client(UrlOf(proxy), options);
    CHECK(CodeName(CodeOf(client.Start(true)->Wait())) == CodeName(Code::kTimeoutAttempt));
  }
  SUBCASE("the request does not get through") {
    proxy.SetUpstream({.timeout = milliseconds(0)});
    options.first_token_timeout_ms = 50;
    LlmTestClient client(UrlOf(proxy), options);
    CHECK(CodeName(CodeOf(client.Start(true)->Wait())) == CodeName(Code::kTimeoutFirstToken));
    CHECK(server.requests().empty());
  }
}

TEST_CASE("a server that goes away and comes back") {
  RawServer server(AlwaysSend(TenDeltas()));
  ToxicProxy proxy(server.port());
  LlmTestClient client(UrlOf(proxy), OneAttempt());
  CHECK(client.Start(true)->Wait().ok());
  proxy.Stop();
  CHECK(CodeName(CodeOf(client.Start(true)->Wait())) == CodeName(Code::kConnect));
  proxy.Restart();
  CHECK(client.Start(true)->Wait().ok());
  proxy.SetUpstream({.reset_peer = true});
  CHECK(CodeName(CodeOf(client.Start(true)->Wait())) == CodeName(Code::kConnect));
}

TEST_CASE("endless things end at a bound") {
  struct {
    std::string_view name;
    std::string start;
    std::string rest;  // for ever
    Code code;
    std::int64_t max_reply_bytes;
    std::int64_t idle_timeout_ms;
  } const cases[] = {
      {"deltas", std::string(kStreamHead), Delta(std::string(1000, 'x')), Code::kTooLarge, 1 << 20,
       60'000},
      {"one delta", std::string(kStreamHead) + Chunk("data: {\"choices\":[{\"delta\":\""),
       Chunk(std::string(1000, 'x')), Code::kTooLarge, 1 << 20, 60'000},
      {"headers", "HTTP/1.1 200 OK\r\n", "X: " + std::string(1000, 'x') + "\r\n", Code::kProtocol,
       1 << 20, 60'000},
      {"interim replies", "", "HTTP/1.1 100 Continue\r\n\r\n", Code::kProtocol, 1 << 20, 60'000},
      // Comments are no progress, however many there are.
      {"comments", std::string(kStreamHead) + Delta("半"), Chunk(": ping\n\n"), Code::kTimeoutIdle,
       1 << 30, 50},
      {"comments from the start", std::string(kStreamHead), Chunk(": ping\n\n"),
       Code::kTimeoutFirstToken, 1 << 30, 60'000},
      {"keep-alive events", std::string(kStreamHead) + Delta("半"),
       Chunk("event: keepalive\ndata: {}\n\n"), Code::kTimeoutIdle, 1 << 30, 50},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    RawServer server([&c](RawConnection& peer) {
      if (!peer.ReadRequest()) return;
      peer.Send(c.start);
      while (peer.Send(c.rest)) {
      }
    });
    LlmOptions options = OneAttempt();
    options.max_reply_bytes = c.max_reply_bytes;
    options.idle_timeout_ms = c.idle_timeout_ms;
    if (c.code == Code::kTimeoutFirstToken) options.first_token_timeout_ms = 50;
    LlmTestClient client(server.Url("/v1"), options);
    CHECK(CodeName(CodeOf(client.Start(/*stream=*/true)->Wait())) == CodeName(c.code));
  }
}

TEST_CASE("100,000 events in one go, every one delivered in order") {
  constexpr int kEvents = 100'000;
  std::string body;
  for (int i = 0; i < kEvents; ++i) body += DeltaEvent(std::to_string(i) + ",");
  body += std::string(kStopEvent) + std::string(kDoneEvent);
  RawServer server(AlwaysSend(Reply(200, "Content-Type: text/event-stream\r\n", body)));
  LlmOptions options = OneAttempt();
  options.max_reply_bytes = std::int64_t{64} << 20;
  LlmTestClient client(server.Url("/v1"), options);
  const auto heard = client.Start(/*stream=*/true);
  const LlmReply reply = heard->Wait();
  REQUIRE(reply.ok());
  std::string expected;
  for (int i = 0; i < kEvents; ++i) expected += std::to_string(i) + ",";
  CHECK(heard->text == expected);
  CHECK(reply.text == expected);
}

TEST_CASE("deltas of 8 and of 64 MiB and a byte, below the bound") {
  for (const int mebibytes : {8, 64}) {
    CAPTURE(mebibytes);
    const std::string text((static_cast<std::size_t>(mebibytes) << 20U) + 1, 'x');
    RawServer server(
        AlwaysSend(Reply(200, "Content-Type: text/event-stream\r\n",
                         DeltaEvent(text) + std::string(kStopEvent) + std::string(kDoneEvent))));
    LlmOptions options = OneAttempt();
    options.max_reply_bytes = std::int64_t{128} << 20;
    LlmTestClient client(server.Url("/v1"), options);
    const LlmReply reply = client.Start(/*stream=*/true)->Wait();
    REQUIRE(CodeName(CodeOf(reply)) == CodeName(Code::kOk));
    CHECK(reply.text == text);
  }
}

TEST_CASE("a stream that breaks off is written anew for a caller that takes text back") {
  for (const bool takes_back : {true, false}) {
    CAPTURE(takes_back);
    std::atomic<bool> served = false;
    RawServer server([&served](RawConnection& peer) {
      while (peer.ReadRequest()) {
        if (served.exchange(true)) {
          peer.Send(TenDeltas());
          continue;
        }
        peer.Send(std::string(kStreamHead) + Delta("半"));
        peer.ResetOnClose();
        return;
      }
    });
    LlmTestClient client(server.Url("/v1"));
    const LlmReply reply = client.Start(/*stream=*/true, {}, kPrompt, nullptr, takes_back)->Wait();
    CHECK(CodeName(CodeOf(reply)) == CodeName(takes_back ? Code::kOk : Code::kTruncated));
    CHECK(reply.text == (takes_back ? kTenTexts : "半"));
    CHECK(reply.attempts == (takes_back ? 2 : 1));
  }
}

TEST_CASE("redirects go nowhere: no other server is called, and ours only once") {
  RawServer other(AlwaysSend(WholeReply()));
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  RawServer secure(AlwaysSend(WholeReply()), identity);
  for (const int status : {300, 301, 302, 303, 304, 307, 308}) {
    for (const std::string& target :
         {other.Url("/v1/chat/completions"), "//127.0.0.1:" + std::to_string(other.port()) + "/",
          "http://localhost:" + std::to_string(other.port()) + "/", secure.Url("/"),
          std::string("/elsewhere"), std::string("file:///etc/passwd")}) {
      CAPTURE(status);
      CAPTURE(target);
      RawServer server(AlwaysSend(Reply(status, "Location: " + target + "\r\n", "")));
      LlmTestClient client(server.Url("/v1"));
      const LlmReply reply = client.Start(/*stream=*/true)->Wait();
      CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kRefused));
      CHECK(reply.attempts == 1);
      CHECK(server.requests().size() == 1);
    }
  }
  CHECK(other.connections() == 0);
  CHECK(secure.connections() == 0);
  LlmTestClient direct(other.Url("/v1"));
  CHECK(direct.Start(/*stream=*/false)->Wait().ok());  // it could have been called
}

TEST_CASE("a full outage and a storm of 429 cost at most 1.1 requests a call") {
  constexpr std::size_t kCalls = 1000;
  for (const int status : {503, 429}) {
    CAPTURE(status);
    RawServer server(AlwaysSend(Reply(status, "retry-after-ms: 1\r\n", "{}")));
    LlmOptions options;
    options.max_in_flight = 32;
    LlmTestClient client(server.Url("/v1"), options);
    std::vector<std::shared_ptr<Heard>> calls;
    for (std::size_t i = 0; i < kCalls; ++i) calls.push_back(client.Start(/*stream=*/false));
    for (const auto& call : calls) CHECK_FALSE(call->Wait().ok());
    // Most are not even tried once it is clear that none gets through.
    CHECK(server.requests().size() >= 10);
    CHECK(server.requests().size() <= kCalls * 11 / 10);
  }
}

// --- TLS

struct TlsCase {
  std::string name;
  TlsIdentity identity;
  std::string ca_pem;
};

TEST_CASE("TLS that must not be trusted: no retry, no byte of the request, whatever is set") {
  const TlsIdentity good = NewTlsIdentity("IP:127.0.0.1");
  const TlsIdentity other_host = NewTlsIdentity("DNS:other.test");
  const TlsIdentity expired = NewExpiredTlsIdentity("IP:127.0.0.1");
  const TempFile ours(good.certificate_pem);
  RawServer proxy(AlwaysSend(WholeReply()));
  // Curl's tool and OpenSSL's programs would obey these.
  const ScopedEnv env[] = {{"HTTPS_PROXY", proxy.Url("")},  {"https_proxy", proxy.Url("")},
                           {"ALL_PROXY", proxy.Url("")},    {"SSL_CERT_FILE", ours.path()},
                           {"CURL_CA_BUNDLE", ours.path()}, {"NETRC", "/nonexistent"}};
  const std::vector<TlsCase> cases = {{"another host", other_host, other_host.certificate_pem},
                                      {"expired", expired, expired.certificate_pem},
                                      {"self-signed, unknown", good, other_host.certificate_pem},
                                      {"trusted by the environment alone", good, ""}};
  for (const TlsCase& c : cases) {
    CAPTURE(c.name);
    RawServer server(AlwaysSend(WholeReply()), c.identity);
    const TempFile ca(c.ca_pem);
    LlmOptions options;
    if (!c.ca_pem.empty()) options.ca_file = ca.path();
    LlmTestClient client(server.Url("/v1"), options);
    const LlmReply reply = client.Start(/*stream=*/false)->Wait();
    CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kTls));
    CHECK(reply.attempts == 1);
    CHECK(server.requests().empty());
  }
  RawServer server(AlwaysSend(WholeReply()), good);
  LlmOptions options;
  options.ca_file = ours.path();
  LlmTestClient client(server.Url("/v1"), options);
  CHECK(client.Start(/*stream=*/false)->Wait().ok());  // what is trusted works under them all
  CHECK(proxy.connections() == 0);
}

TEST_CASE("TLS cut without its closing alert") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  const std::string close_delimited = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  struct {
    std::string_view name;
    std::string bytes;
    Code code;
  } const cases[] = {
      {"chunked", std::string(kStreamHead) + Delta("半"), Code::kTruncated},
      {"until close", close_delimited + DeltaEvent("半"), Code::kTruncated},
      {"until close, finished", close_delimited + DeltaEvent("好") + std::string(kStopEvent),
       Code::kOk},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    RawServer server(
        [&c](RawConnection& peer) {
          if (!peer.ReadRequest()) return;
          peer.Send(c.bytes);
          peer.CutOnClose();
        },
        identity);
    LlmOptions options = OneAttempt();
    options.ca_file = ca.path();
    LlmTestClient client(server.Url("/v1"), options);
    CHECK(CodeName(CodeOf(client.Start(/*stream=*/true)->Wait())) == CodeName(c.code));
  }
}

TEST_CASE("a server that closes while we write ends the call, not the process (SIGPIPE)") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    RawServer server([](RawConnection& peer) { peer.ReadSome(); },
                     tls ? std::optional(identity) : std::nullopt);
    LlmOptions options = OneAttempt();
    options.ca_file = ca.path();
    LlmTestClient client(server.Url("/v1"), options);
    const auto heard = client.Start(/*stream=*/true, {}, std::string(std::size_t{8} << 20, 'x'));
    CHECK(CodeName(CodeOf(heard->Wait())) == CodeName(Code::kConnect));
  }
}

TEST_CASE("a TLS handshake that stalls ends at the connect limit") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  RawServer server(AlwaysSend(WholeReply()), identity);
  ToxicProxy proxy(server.port());
  proxy.SetDownstream({.timeout = milliseconds(0)});
  LlmOptions options = OneAttempt();
  options.connect_timeout_ms = 100;
  LlmTestClient client("https://127.0.0.1:" + std::to_string(proxy.port()) + "/v1", options);
  CHECK(CodeName(CodeOf(client.Start(/*stream=*/true)->Wait())) == CodeName(Code::kTimeoutConnect));
  CHECK(server.requests().empty());
}

}  // namespace
}  // namespace postgen::testing
