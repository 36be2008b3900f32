// HTTP/2 over TLS against a server that does with its frames what it likes.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "support/h2_connection.h"
#include "support/scoped.h"

namespace postgen::testing {
namespace {

using Kind = H2Event::Kind;

TlsIdentity Http2Identity() {
  TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  identity.alpn = "h2";
  return identity;
}

void Answer(H2Connection* h2, std::uint32_t stream, std::string_view text = "好") {
  h2->Head(stream);
  h2->Data(stream, DeltaEvent(text) + std::string(kStopEvent) + std::string(kDoneEvent),
           /*end=*/true);
}

// A server and a client of it.
class Http2 {
 public:
  using Script = std::function<void(H2Connection&, RawConnection&)>;

  explicit Http2(Script script, LlmOptions options = {}, std::uint32_t max_streams = 100)
      : server_(
            [script = std::move(script), max_streams](RawConnection& peer) {
              H2Connection h2(&peer, max_streams);
              script(h2, peer);
            },
            identity_) {
    options.ca_file = ca_.path();
    client_ = std::make_unique<LlmTestClient>(server_.Url("/v1"), options);
  }

  LlmTestClient& client() { return *client_; }
  int connections() const { return server_.connections(); }

  std::vector<std::shared_ptr<Heard>> Start(std::size_t calls, bool stream) {
    std::vector<std::shared_ptr<Heard>> heard;
    for (std::size_t i = 0; i < calls; ++i) heard.push_back(client_->Start(stream));
    return heard;
  }

 private:
  const TlsIdentity identity_ = Http2Identity();
  const TempFile ca_{identity_.certificate_pem};
  RawServer server_;
  std::unique_ptr<LlmTestClient> client_;
};

LlmOptions OneAttempt() {
  LlmOptions options;
  options.max_attempts = 1;
  return options;
}

// Always in a stream, whether someone listens or not.
LlmOptions AlwaysStreaming(std::int64_t max_attempts) {
  LlmOptions options;
  options.stream = StreamMode::kAlways;
  options.max_attempts = max_attempts;
  return options;
}

TEST_CASE("HTTP/2: 1,000 calls at once share a few connections") {
  constexpr int kCalls = 1000;
  LlmOptions options = OneAttempt();
  options.max_in_flight = kCalls;
  Gate all_open;  // no reply before all the streams are open
  std::atomic<int> open = 0;
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        std::vector<std::uint32_t> streams;
        while (const auto event = h2.Next(&all_open)) {
          if (event->kind == Kind::kRequest) {
            streams.push_back(event->stream);
            if (++open == kCalls) all_open.Open();
          }
          if (event->kind != Kind::kGate) continue;
          for (const std::uint32_t stream : streams) Answer(&h2, stream);
          streams.clear();
          if (!h2.Next()) return;  // the gate stays open: wait without it
        }
      },
      options);
  for (const auto& call : world.Start(kCalls, /*stream=*/true)) CHECK(call->Wait().ok());
  CHECK(world.connections() <= 32);  // 32 streams on each
  MESSAGE("1,000 calls at once used " << world.connections() << " connections");
}

TEST_CASE("HTTP/2: the last streams of a group do not wait for a connection each") {
  Http2 world(
      [](H2Connection& h2, RawConnection&) {
        while (const auto event = h2.Next()) {
          if (event->kind == Kind::kRequest) Answer(&h2, event->stream);
        }
      },
      OneAttempt());
  for (int round = 0; round < 3; ++round) {
    for (const auto& call : world.Start(200, /*stream=*/true)) CHECK(call->Wait().ok());
  }
  CHECK(world.connections() <= 8);  // 256 calls in flight by default
}

TEST_CASE("HTTP/2: a stream that was refused is sent again at once and for free") {
  std::atomic<int> refused = 0;
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        while (const auto event = h2.Next()) {
          if (event->kind != Kind::kRequest) continue;
          if (refused++ == 0) {
            h2.Reset(event->stream, kH2RefusedStream);
          } else {
            Answer(&h2, event->stream);
          }
        }
      },
      OneAttempt());  // a retry that counts would be one too many
  const LlmReply reply = world.client().Start(/*stream=*/true)->Wait();
  CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kOk));
  CHECK(refused == 2);
}

TEST_CASE("HTTP/2: a server that refuses every stream is given up") {
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        while (const auto event = h2.Next()) {
          if (event->kind == Kind::kRequest) h2.Reset(event->stream, kH2RefusedStream);
        }
      },
      OneAttempt());
  const LlmReply reply = world.client().Start(/*stream=*/true)->Wait();
  CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kConnect));
}

TEST_CASE("HTTP/2: a stream that breaks off in the middle is cut, and another call is not") {
  Gate both_heard;  // libcurl drops what comes together with a reset
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        std::vector<std::uint32_t> streams;
        while (const auto event = h2.Next(&both_heard)) {
          if (event->kind == Kind::kRequest) {
            streams.push_back(event->stream);
            h2.Head(event->stream);
            h2.Data(event->stream, DeltaEvent("半"), /*end=*/false);
          }
          if (event->kind != Kind::kGate) continue;
          h2.Reset(streams.at(0), kH2InternalError);
          h2.Data(streams.at(1), std::string(kStopEvent) + std::string(kDoneEvent), /*end=*/true);
          if (!h2.Next()) return;
        }
      },
      OneAttempt());
  const auto calls = world.Start(2, /*stream=*/true);
  for (const auto& call : calls) call->first_text.Wait();
  both_heard.Open();
  int cut = 0;
  int good = 0;
  for (const auto& call : calls) {
    const LlmReply reply = call->Wait();
    cut += CodeOf(reply) == Code::kTruncated ? 1 : 0;
    good += reply.ok() ? 1 : 0;
    CHECK(reply.text == "半");
  }
  CHECK(cut == 1);
  CHECK(good == 1);
  CHECK(world.connections() == 1);
}

TEST_CASE("HTTP/2: GOAWAY with 100 streams: those that were taken finish, the others move") {
  constexpr std::size_t kCalls = 100;
  Http2 world(
      [&](H2Connection& h2, RawConnection& peer) {
        std::vector<std::uint32_t> streams;
        while (const auto event = h2.Next()) {
          if (event->kind != Kind::kRequest) continue;
          streams.push_back(event->stream);
          if (peer.index() > 0) {
            Answer(&h2, event->stream);
            continue;
          }
          if (streams.size() < kCalls) continue;
          // Half of them, by number.
          std::sort(streams.begin(), streams.end());
          const std::uint32_t last = streams[kCalls / 2 - 1];
          h2.GoAway(last);
          for (const std::uint32_t stream : streams) {
            if (stream <= last) Answer(&h2, stream, "舊");
          }
        }
      },
      AlwaysStreaming(1));
  int old_ones = 0;
  int moved = 0;
  for (const auto& call : world.Start(kCalls, /*stream=*/false)) {
    const LlmReply reply = call->Wait();
    CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kOk));
    old_ones += reply.text == "舊" ? 1 : 0;
    moved += reply.text == "好" ? 1 : 0;
  }
  CHECK(old_ones == kCalls / 2);
  CHECK(moved == kCalls / 2);
}

TEST_CASE("HTTP/2: a connection that dies with 100 streams: all of them are tried again") {
  constexpr std::size_t kCalls = 100;
  for (const bool reset : {false, true}) {
    CAPTURE(reset);
    Http2 world(
        [&](H2Connection& h2, RawConnection& peer) {
          std::size_t requests = 0;
          while (const auto event = h2.Next()) {
            if (event->kind != Kind::kRequest) continue;
            ++requests;
            if (peer.index() > 0) {
              Answer(&h2, event->stream);
              continue;
            }
            h2.Head(event->stream);
            if (requests < kCalls) continue;
            if (reset) peer.ResetOnClose();
            return;
          }
        },
        AlwaysStreaming(2));
    int again = 0;
    for (const auto& call : world.Start(kCalls, /*stream=*/false)) {
      const LlmReply reply = call->Wait();
      CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kOk));
      CHECK(reply.attempts <= 2);  // a reset may overtake the head: libcurl tries again by itself
      again += reply.attempts == 2 ? 1 : 0;
    }
    CHECK(again > 0);
    CHECK(world.connections() <= 9);
  }
}

TEST_CASE("HTTP/2: a server that lowers its limit is not sent more") {
  constexpr std::size_t kLimit = 5;
  std::atomic<std::size_t> most = 0;
  LlmOptions options = OneAttempt();
  options.max_in_flight = 32;  // one connection
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        std::vector<std::uint32_t> open;
        bool lowered = false;
        while (const auto event = h2.Next()) {
          if (event->kind != Kind::kRequest) continue;
          if (!std::exchange(lowered, true)) {
            h2.LimitStreams(kLimit);
            Answer(&h2, event->stream);
            continue;
          }
          // As many as may be open are kept open, so that one more would be seen.
          open.push_back(event->stream);
          most = std::max<std::size_t>(most, open.size());
          if (open.size() < kLimit) continue;
          for (const std::uint32_t stream : open) Answer(&h2, stream);
          open.clear();
        }
      },
      options);
  CHECK(world.client().Start(/*stream=*/true)->Wait().ok());
  for (const auto& call : world.Start(60, /*stream=*/true)) CHECK(call->Wait().ok());
  CHECK(most == kLimit);
  CHECK(world.connections() == 1);
}

TEST_CASE("HTTP/2: a cancelled call is a stream reset at once, and its neighbour goes on") {
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        std::vector<std::uint32_t> streams;
        while (const auto event = h2.Next()) {
          if (event->kind == Kind::kRequest) {
            streams.push_back(event->stream);
            if (streams.size() < 2) continue;
            for (const std::uint32_t stream : streams) {
              h2.Head(stream);
              h2.Data(stream, DeltaEvent("半"), /*end=*/false);
            }
          }
          // Silent from here on: nothing else makes the client's connection move.
          if (event->kind != Kind::kReset) continue;
          const std::uint32_t other = streams[0] == event->stream ? streams[1] : streams[0];
          h2.Data(other, std::string(kStopEvent) + std::string(kDoneEvent), /*end=*/true);
        }
      },
      OneAttempt());
  CancelSource source;
  const auto cancelled = world.client().Start(/*stream=*/true, source.get_token());
  const auto neighbour = world.client().Start(/*stream=*/true);
  cancelled->first_text.Wait();
  neighbour->first_text.Wait();
  source.request_stop();
  CHECK(CodeName(CodeOf(cancelled->Wait())) == CodeName(Code::kCancelled));
  CHECK(neighbour->Wait().ok());
  CHECK(world.connections() == 1);
}

TEST_CASE("HTTP/2: a call cancelled while alone on its connection is told to the server too") {
  Notification told;
  Http2 world(
      [&](H2Connection& h2, RawConnection& peer) {
        while (const auto event = h2.Next()) {
          if (event->kind == Kind::kReset) return told.Notify();
          if (event->kind != Kind::kRequest) continue;
          if (peer.index() > 0) {
            Answer(&h2, event->stream);
            continue;
          }
          h2.Head(event->stream);
          h2.Data(event->stream, DeltaEvent("半"), /*end=*/false);
        }
        if (peer.index() == 0) told.Notify();  // closed: as good as a reset
      },
      OneAttempt());
  CancelSource source;
  const auto heard = world.client().Start(/*stream=*/true, source.get_token());
  heard->first_text.Wait();
  source.request_stop();
  CHECK(CodeName(CodeOf(heard->Wait())) == CodeName(Code::kCancelled));
  told.Wait();
  CHECK(world.client().Start(/*stream=*/true)->Wait().ok());
}

// libcurl 7.88 cannot stop one stream without its connection, so that a reader who sleeps is read
// for, up to llm.max_reply_bytes: its text is kept until its end anyway.
TEST_CASE(
    "HTTP/2: a stream that is held back holds up no other of its connection, and has a bound") {
  constexpr std::size_t kPieces = 256;
  const std::string piece(std::size_t{16} << 10U, 'x');
  bool too_much = false;
  SUBCASE("all that it may have") {}
  SUBCASE("more") { too_much = true; }
  LlmOptions options = AlwaysStreaming(1);
  options.max_reply_bytes = std::int64_t{too_much ? 1 : 8} << 20U;
  Http2 world(
      [&piece](H2Connection& h2, RawConnection&) {
        while (const auto event = h2.Next()) {
          if (event->kind != Kind::kRequest) continue;
          if (event->body.find("much") == std::string::npos) {
            Answer(&h2, event->stream);
            continue;
          }
          h2.Head(event->stream);
          for (std::size_t n = 0; n < kPieces; ++n) {
            h2.Data(event->stream, DeltaEvent(piece), /*end=*/false);
          }
          h2.Data(event->stream, std::string(kStopEvent) + std::string(kDoneEvent), /*end=*/true);
        }
      },
      options);
  const auto flow = std::make_shared<Flow>();
  flow->Pause();
  const auto sleeper = world.client().Start(/*stream=*/true, {}, "much", flow);
  sleeper->first_text.Wait();
  for (const auto& call : world.Start(31, /*stream=*/true)) CHECK(call->Wait().ok());
  CHECK(world.connections() == 1);
  const LlmReply reply = sleeper->Wait();
  CHECK(flow->paused());
  if (too_much) {
    CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kTooLarge));
    CHECK(reply.text.size() <= std::size_t{1} << 20U);
  } else {
    CHECK(reply.ok());
    CHECK(reply.text.size() == kPieces * piece.size());
  }
}

TEST_CASE("HTTP/2: [DONE], and the stream does not end: the call does, the connection goes on") {
  Http2 world(
      [&](H2Connection& h2, RawConnection&) {
        while (const auto event = h2.Next()) {
          if (event->kind != Kind::kRequest) continue;
          h2.Head(event->stream);
          h2.Data(event->stream,
                  DeltaEvent("好") + std::string(kStopEvent) + std::string(kDoneEvent),
                  /*end=*/false);
        }
      },
      OneAttempt());
  for (int i = 0; i < 5; ++i) CHECK(world.client().Start(/*stream=*/true)->Wait().ok());
  CHECK(world.connections() == 1);
}

TEST_CASE("HTTP/2: frames that make no sense end the call, not the process") {
  for (const std::string& garbage : {std::string(9, '\xff'), std::string("\0\0\1\0\0\0\0\0\0x", 10),
                                     std::string("HTTP/1.1 200 OK\r\n\r\n")}) {
    Http2 world(
        [&](H2Connection& h2, RawConnection& peer) {
          while (const auto event = h2.Next()) {
            if (event->kind == Kind::kRequest) peer.Send(garbage);
          }
        },
        OneAttempt());
    const LlmReply reply = world.client().Start(/*stream=*/true)->Wait();
    const bool known = CodeOf(reply) == Code::kConnect || CodeOf(reply) == Code::kProtocol;
    CHECK(known);
  }
}

}  // namespace
}  // namespace postgen::testing
