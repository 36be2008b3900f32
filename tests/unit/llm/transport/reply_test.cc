// What well-behaved servers do.
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE("a reply arrives whole, and the request is what was asked for") {
  RawServer server(Always(Reply(200, "X-Request-Id: abc\r\n", "hello")));
  Client client(server.Url("/v1/chat/completions?api-version=1"));
  const auto reply = client.Fetch(R"({"model":"m"})");
  CHECK(reply->code() == Code::kOk);
  CHECK(reply->connected == 1);
  CHECK(reply->heads == 1);
  CHECK(reply->ends == 1);
  CHECK(reply->head.status == 200);
  CHECK(reply->head.Find("x-request-id") == "abc");
  CHECK(reply->body == "hello");
  CHECK(reply->end.request_sent);
  CHECK(!reply->end.reused_connection);

  const std::string request = server.requests().at(0);
  CAPTURE(request);
  CHECK(request.starts_with("POST /v1/chat/completions?api-version=1 HTTP/1.1\r\n"));
  CHECK(request.find("\r\nAuthorization: Bearer secret-key\r\n") != std::string::npos);
  CHECK(request.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  CHECK(request.find("\r\nContent-Length: 13\r\n") != std::string::npos);
  CHECK(request.find("Expect:") == std::string::npos);
  CHECK(request.find("Accept-Encoding:") == std::string::npos);
  CHECK(request.ends_with("\r\n\r\n{\"model\":\"m\"}"));
}

TEST_CASE("a header with an empty value is sent as one") {
  RawServer server(Always(Reply(200, "", "")));
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.headers = {"X-Empty:", "X-Full: 1"};
  Client client(std::move(endpoint));
  client.Fetch();
  CHECK(server.requests().at(0).find("\r\nX-Empty:\r\n") != std::string::npos);
  CHECK(server.requests().at(0).find("\r\nX-Full: 1\r\n") != std::string::npos);
}

TEST_CASE("a body larger than a socket buffer and with every byte goes out unchanged") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client(server.Url("/"));
  std::string body;
  for (int n = 0; n < 4 << 20; ++n) body += static_cast<char>(n * 31 + n / 256);
  CHECK(client.Fetch(body)->code() == Code::kOk);
  const std::string request = server.requests().at(0);
  CHECK(request.substr(request.size() - body.size()) == body);
  CHECK(request.find("Expect:") == std::string::npos);  // libcurl's own wish for large ones
}

TEST_CASE("connections are kept and used again") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client(server.Url("/"));
  CHECK(!client.Fetch()->end.reused_connection);
  const auto second = client.Fetch();
  CHECK(second->end.reused_connection);
  CHECK(second->end.request_sent);
  CHECK(server.connections() == 1);
}

TEST_CASE("a connection that the server closed meanwhile is replaced, unnoticed") {
  RawServer server([](RawConnection& peer) {
    if (peer.ReadRequest()) peer.Send(Reply(200, "", "ok"));
  });
  Client client(server.Url("/"));
  for (int n = 0; n < 5; ++n) CHECK(client.Fetch()->code() == Code::kOk);
  CHECK(server.connections() == 5);
}

TEST_CASE("a kept connection that takes the request and closes is replaced, and that is told") {
  RawServer server([](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send(Reply(200, "", "ok"));
    if (peer.index() == 0) peer.ReadRequest();
  });
  Client client(server.Url("/"));
  client.Fetch();
  const auto second = client.Fetch();
  CHECK(second->code() == Code::kOk);
  CHECK(second->connected == 2);
  CHECK(second->heads == 1);
  CHECK(!second->end.reused_connection);
  CHECK(server.requests().size() == 3);
}

TEST_CASE("replies of every framing") {
  struct Case {
    std::string name;
    std::string reply;
    int status;
    std::string body;
  };
  const std::vector<Case> cases = {
      {"chunked, with a trailer",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk("he") + Chunk("llo") +
           "0\r\nx-trailer: 1\r\n\r\n",
       200, "hello"},
      {"closed by the server", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
      {"empty", Reply(200, "", ""), 200, ""},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
      {"interim replies first",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" +
           Reply(200, "", "hello"),
       200, "hello"},
      {"an error status", Reply(429, "Retry-After: 1\r\n", "slow down"), 429, "slow down"},
      {"encoded, which was not asked for", Reply(200, "Content-Encoding: gzip\r\n", "\x1f\x8b"),
       200, "\x1f\x8b"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    RawServer server([&](RawConnection& peer) {
      if (peer.ReadRequest()) peer.Send(c.reply);
    });
    Client client(server.Url("/"));
    const auto reply = client.Fetch();
    CHECK(reply->code() == Code::kOk);
    CHECK(reply->heads == 1);
    CHECK(reply->head.status == c.status);
    CHECK(reply->body == c.body);
  }
}

TEST_CASE("the head is heard before the body is there") {
  Gate head_heard;
  RawServer server([&](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    if (peer.Wait(&head_heard)) peer.Send("ok");
  });
  Client client(server.Url("/"));
  Recorder recorder;
  client.Post(&recorder);
  recorder.headed.Wait();
  head_heard.Open();
  recorder.ended.Wait();
  CHECK(recorder.body == "ok");
}

TEST_CASE("bytes after the announced length are ignored and cost the connection") {
  RawServer server(Always(Reply(200, "", "ok") + "HTTP/1.1 200 OK\r\n\r\ninjected"));
  Client client(server.Url("/"));
  for (int n = 0; n < 2; ++n) {
    const auto reply = client.Fetch();
    CHECK(reply->code() == Code::kOk);
    CHECK(reply->body == "ok");
  }
  CHECK(server.connections() == 2);
}

TEST_CASE("transfers beyond the connection limit wait their turn, in order") {
  Gate open;
  RawServer server([&](RawConnection& peer) {
    while (peer.ReadRequest() && peer.Wait(&open) && peer.Send(Reply(200, "", "ok"))) {
    }
  });
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.max_connections = 2;
  Client client(std::move(endpoint));
  std::vector<int> order;
  std::vector<Recorder> recorders(6);
  for (int n = 0; n < 6; ++n) {
    recorders[static_cast<std::size_t>(n)].on_connected = [&order, n] { order.push_back(n); };
    client.Post(&recorders[static_cast<std::size_t>(n)]);
  }
  client.Run([&] { CHECK(order.size() <= 2); });
  open.Open();
  for (Recorder& recorder : recorders) {
    recorder.ended.Wait();
    CHECK(recorder.code() == Code::kOk);
  }
  CHECK(server.connections() == 2);
  client.Run([&] {
    REQUIRE(order.size() == 6);
    for (int n = 2; n < 6; ++n) CHECK(order[static_cast<std::size_t>(n)] == n);
  });
}

TEST_CASE("prewarming opens connections that calls then use") {
  Notification warm;
  int heads = 0;
  std::mutex mutex;
  const RawServer::Script script = [&](RawConnection& peer) {
    while (const auto request = peer.ReadRequest()) {
      if (request->starts_with("HEAD ")) {
        peer.Send("HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\n");
        const std::lock_guard lock(mutex);
        if (++heads == 3) warm.Notify();
      } else {
        peer.Send(Reply(200, "", "ok"));
      }
    }
  };
  {
    RawServer plain(script);
    Client client(plain.Url("/v1"));
    client.Run([&] { client.transport()->Prewarm(3); });
    CHECK(client.Fetch()->code() == Code::kOk);
    CHECK(plain.connections() == 1);  // it saves too little there
  }
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  RawServer server(script, identity);
  Client client(TlsEndpoint(server, ca.path()));
  client.Run([&] { client.transport()->Prewarm(3); });
  warm.Wait();
  // Nothing tells when a prewarmed connection has become free: calls are made until one finds it.
  for (bool reused = false; !reused;) reused = client.Fetch()->end.reused_connection;
  client.Run([&] { client.transport()->Prewarm(3); });
  CHECK(client.Fetch()->end.reused_connection);
  for (const std::string& request : server.requests()) {
    CAPTURE(request);
    if (request.starts_with("POST ")) continue;
    CHECK(request.starts_with("HEAD / HTTP/1.1\r\n"));
    CHECK(request.find("secret-key") == std::string::npos);
  }
  const std::lock_guard lock(mutex);
  CHECK(heads == 3);
}

}  // namespace
}  // namespace postgen::testing
