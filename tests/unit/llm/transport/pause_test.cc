// Back-pressure: a transfer that is paused is not read, and nothing of it is lost.
#include <cstddef>
#include <string>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

// More than the kernel's buffers of both sides hold, so that a server that has sent it all was
// read.
constexpr std::size_t kPieceBytes = std::size_t{64} << 10U;
constexpr std::size_t kPieces = 512;
constexpr std::size_t kMuch = kPieceBytes * kPieces;

// Sends kMuch as one reply to "much" and a short one to everything else.
RawServer::Script MuchOrLittle(Notification* sent_all) {
  return [sent_all](RawConnection& peer) {
    while (const auto request = peer.ReadRequest()) {
      if (!request->ends_with("much")) {
        if (!peer.Send(Reply(200, "", "ok"))) return;
        continue;
      }
      peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const std::string piece = Chunk(std::string(kPieceBytes, 'x'));
      for (std::size_t n = 0; n < kPieces; ++n) {
        if (!peer.Send(piece)) return;
      }
      peer.Send(Chunk(""));
      sent_all->Notify();
    }
  };
}

struct PauseWorld {
  PauseWorld() : server(MuchOrLittle(&sent_all)), client(Endpoint()) {}

  HttpEndpoint Endpoint() const {
    HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
    endpoint.max_reply_bytes = 2 * kMuch;
    return endpoint;
  }
  std::size_t BytesHeard() {
    std::size_t bytes = 0;
    client.Run([&] { bytes = slow.body.size(); });
    return bytes;
  }
  // Begins the long reply and pauses it at its first bytes.
  void StartAndPause() {
    slow.on_body = [this] {
      client.transport()->SetPaused(id, true);
      paused.Notify();
      slow.on_body = nullptr;
    };
    client.Run([this] { id = client.transport()->Post("much", &slow); });
    paused.Wait();
  }

  Notification sent_all, paused;
  RawServer server;
  Client client;
  Recorder slow;
  TransferId id = 0;
};

TEST_CASE("a paused transfer is not read while others go on, and loses nothing") {
  PauseWorld world;
  world.StartAndPause();
  const std::size_t heard = world.BytesHeard();
  CHECK(heard < kMuch / 8);
  for (int n = 0; n < 100; ++n) CHECK(world.client.Fetch()->body == "ok");
  CHECK(world.BytesHeard() == heard);
  CHECK(world.slow.ends == 0);

  world.client.Run([&] { world.client.transport()->SetPaused(world.id, false); });
  world.slow.ended.Wait();
  world.sent_all.Wait();
  CHECK(world.slow.code() == Code::kOk);
  CHECK(world.slow.body == std::string(kMuch, 'x'));
}

TEST_CASE("a paused transfer can be paused again and again") {
  PauseWorld world;
  int pauses = 0;
  world.slow.on_body = [&] {
    if (++pauses > 200) return;
    world.client.transport()->SetPaused(world.id, true);
    world.client.loop()->Post([&] { world.client.transport()->SetPaused(world.id, false); });
  };
  world.client.Run([&] { world.id = world.client.transport()->Post("much", &world.slow); });
  world.slow.ended.Wait();
  CHECK(world.slow.body.size() == kMuch);
  CHECK(pauses > 200);
}

TEST_CASE("a paused transfer is cancelled at once") {
  PauseWorld world;
  world.StartAndPause();
  world.client.Cancel(world.id);
  CHECK(world.client.Fetch()->body == "ok");
  world.client.Destroy();
  CHECK(world.slow.ends == 0);
}

TEST_CASE("a paused transfer whose reader has enough is read on for its connection's sake") {
  Gate rest;
  RawServer server([&rest](RawConnection& peer) {
    while (peer.ReadRequest()) {
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      if (!peer.Wait(&rest)) return;
      peer.Send("cd");
    }
  });
  Client client(server.Url("/"));
  Recorder first;
  TransferId id = 0;
  first.on_body = [&] {
    client.transport()->SetPaused(id, true);
    client.transport()->Finish(id);
    rest.Open();
  };
  client.Run([&] { id = client.transport()->Post("{}", &first); });
  first.bodied.Wait();
  // The connection is free when the rest has been read; until then another one is opened.
  while (client.Fetch()->end.reused_connection == false) {
  }
  CHECK(first.ends == 0);
  CHECK(first.body == "ab");
}

TEST_CASE("the end of the transport is no concern of paused transfers") {
  PauseWorld world;
  world.StartAndPause();
  world.client.Destroy();
  CHECK(world.slow.ends == 0);
}

}  // namespace
}  // namespace postgen::testing
