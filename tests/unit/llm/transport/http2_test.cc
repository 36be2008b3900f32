// What the transport tells of connections that several transfers share.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "support/h2_connection.h"
#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE(
    "transfers of a broken HTTP/2 connection are known as one connection's, and not as stale") {
  TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  identity.alpn = "h2";
  const TempFile ca(identity.certificate_pem);
  constexpr std::size_t kCalls = 5;
  RawServer server(
      [](RawConnection& peer) {
        H2Connection h2(&peer);
        for (std::size_t requests = 0; requests < kCalls;) {
          const auto event = h2.Next();
          if (!event) return;
          if (event->kind == H2Event::Kind::kRequest) ++requests;
        }
      },
      identity);
  Client client(TlsEndpoint(server, ca.path()));
  std::vector<std::uint64_t> connections;
  for (int round = 0; round < 2; ++round) {
    std::vector<Recorder> recorders(kCalls);
    client.Run([&] {
      for (Recorder& recorder : recorders) client.transport()->Post("{}", &recorder);
    });
    for (Recorder& recorder : recorders) {
      recorder.ended.Wait();
      CHECK(CodeName(recorder.code()) == CodeName(Code::kConnect));
      CHECK(!recorder.end.reused_connection);
      CHECK(recorder.end.connection == recorders[0].end.connection);
      CHECK(recorder.end.connection != 0);
    }
    connections.push_back(recorders[0].end.connection);
  }
  CHECK(connections[0] != connections[1]);
}

TEST_CASE("HTTP/2 without TLS, where it is required") {
  RawServer server([](RawConnection& peer) {
    H2Connection h2(&peer);
    while (const auto event = h2.Next()) {
      if (event->kind != H2Event::Kind::kRequest) continue;
      h2.Head(event->stream, "text/plain");
      h2.Data(event->stream, "ok", /*end=*/true);
    }
  });
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.require_http2 = true;
  Client client(std::move(endpoint));
  for (int round = 0; round < 2; ++round) {
    std::vector<Recorder> recorders(10);
    client.Run([&] {
      for (Recorder& recorder : recorders) client.transport()->Post("{}", &recorder);
    });
    for (Recorder& recorder : recorders) {
      recorder.ended.Wait();
      CHECK(CodeName(recorder.code()) == CodeName(Code::kOk));
      CHECK(recorder.body == "ok");
    }
  }
}

TEST_CASE("a connection that was idle and broke is stale") {
  RawServer server([](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send(Reply(200, "", "ok"));
    // What comes next is answered with half a head, so that libcurl does not try again by itself.
    if (peer.ReadRequest()) peer.Send("HTTP/1.1 200 OK\r\nX-Half");
  });
  Client client(server.Url("/"));
  const auto first = client.Fetch();
  const auto second = client.Fetch();
  CHECK(first->code() == Code::kOk);
  CHECK(second->code() == Code::kConnect);
  CHECK(second->end.reused_connection);
  CHECK(second->end.connection != first->end.connection);
}

}  // namespace
}  // namespace postgen::testing
