// Many calls: everything is heard exactly once, and nothing is left behind.
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE("1,000 calls one after the other use one connection") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client(server.Url("/"));
  int good = 0;
  for (int n = 0; n < 1000; ++n) {
    const auto reply = client.Fetch(std::to_string(n));
    if (reply->code() == Code::kOk && reply->body == "ok" && reply->ends == 1) ++good;
  }
  CHECK(good == 1000);
  CHECK(server.connections() == 1);
  CHECK(server.requests().size() == 1000);
}

TEST_CASE("200 calls at once, each with its own reply") {
  constexpr int kCalls = 200;
  UseLibcurlOnce();
  const std::ptrdiff_t before = OpenDescriptors();
  {
    RawServer server([](RawConnection& peer) {
      while (const auto request = peer.ReadRequest()) {
        const std::string body = request->substr(request->find("\r\n\r\n") + 4);
        peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (const char c : body) peer.Send(Chunk(std::string(1, c)));
        peer.Send(Chunk(""));
      }
    });
    Client client(server.Url("/"));
    for (int round = 0; round < 3; ++round) {
      std::vector<Recorder> recorders(kCalls);
      client.Run([&] {
        for (int n = 0; n < kCalls; ++n) {
          client.transport()->Post("call " + std::to_string(n),
                                   &recorders[static_cast<std::size_t>(n)]);
        }
      });
      for (int n = 0; n < kCalls; ++n) {
        Recorder& recorder = recorders[static_cast<std::size_t>(n)];
        recorder.ended.Wait();
        CHECK(recorder.code() == Code::kOk);
        CHECK(recorder.body == "call " + std::to_string(n));
      }
      client.Run([&] {
        for (const Recorder& recorder : recorders) CHECK(recorder.ends == 1);
      });
    }
    CHECK(server.connections() <= kCalls);
    CHECK(server.requests().size() == 3 * kCalls);
  }
  CHECK(OpenDescriptors() == before);
}

TEST_CASE("calls cancelled by the hundred at every stage leave nothing behind") {
  constexpr std::size_t kCalls = 300;
  RawServer server([](RawConnection& peer) {
    while (peer.ReadRequest()) {
      peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (int n = 0; n < 20 && peer.Send(Chunk("text")); ++n) {
      }
      peer.Send(Chunk(""));
    }
  });
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.max_connections = 50;
  Client client(std::move(endpoint));
  std::vector<Recorder> recorders(kCalls);
  std::vector<TransferId> ids(kCalls);
  for (std::size_t n = 0; n < kCalls; ++n) {
    const auto cancel = [&client, &ids, n] { client.transport()->Cancel(ids[n]); };
    const auto finish = [&client, &ids, n] { client.transport()->Finish(ids[n]); };
    if (n % 6 == 1) recorders[n].on_connected = cancel;
    if (n % 6 == 2) recorders[n].on_head = cancel;
    if (n % 6 == 3) recorders[n].on_body = cancel;
    if (n % 6 == 4) recorders[n].on_body = finish;
  }
  client.Run([&] {
    for (std::size_t n = 0; n < kCalls; ++n) ids[n] = client.transport()->Post("{}", &recorders[n]);
    for (std::size_t n = 5; n < kCalls; n += 6) client.transport()->Cancel(ids[n]);
  });
  for (std::size_t n = 0; n < kCalls; n += 6) {
    recorders[n].ended.Wait();
    CHECK(recorders[n].code() == Code::kOk);
    CHECK(recorders[n].body.size() == 80);
  }
  CHECK(client.Fetch()->code() == Code::kOk);
  client.Destroy();  // some of those that end themselves may not have come so far
  for (std::size_t n = 0; n < kCalls; ++n) CHECK(recorders[n].ends == (n % 6 == 0 ? 1 : 0));
}

}  // namespace
}  // namespace postgen::testing
