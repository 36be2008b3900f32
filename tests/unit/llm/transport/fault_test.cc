// What servers and networks do wrong.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "llm/transport/curl_failure.h"
#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

std::string HostOf(const RawServer& server) { return "127.0.0.1:" + std::to_string(server.port()); }

// Takes connections until it is crowded; from then on the kernel drops who wants one.
class CrowdedListener {
 public:
  CrowdedListener() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(listener_, generic(), size_) == 0);
    REQUIRE(listen(listener_, 0) == 0);
    REQUIRE(getsockname(listener_, generic(), &size_) == 0);
  }
  ~CrowdedListener() {
    close(filler_);
    close(listener_);
  }
  CrowdedListener(const CrowdedListener&) = delete;
  CrowdedListener& operator=(const CrowdedListener&) = delete;

  std::string Url() const {
    return "http://127.0.0.1:" + std::to_string(ntohs(address_.sin_port)) + "/";
  }

  // Takes a connection, for the caller to close.
  int Take() {
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(peer >= 0);
    return peer;
  }

  // Makes room again.
  void TakeCrowd() { close(Take()); }

  // One connection fits into a backlog of 0.
  void Crowd() { REQUIRE(connect(filler_, generic(), size_) == 0); }

 private:
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address_); }

  const int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int filler_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address_{};
  socklen_t size_ = sizeof address_;
};

void ReadRequest(int peer) {
  std::string request;
  while (request.find("\r\n\r\n{}") == std::string::npos) {
    char bytes[512];
    const ssize_t count = recv(peer, bytes, sizeof bytes, 0);
    REQUIRE(count > 0);
    request.append(bytes, static_cast<std::size_t>(count));
  }
}

TEST_CASE("replies that are broken off or are no HTTP") {
  struct Case {
    std::string name;
    std::string reply;
    bool reset;
    Code code;
    std::string body;  // what was heard before
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  const std::vector<Case> cases = {
      {"closed at once", "", false, Code::kConnect, ""},
      {"reset at once", "", true, Code::kConnect, ""},
      {"closed in the head", head + "X-Half", false, Code::kConnect, ""},
      {"Content-Length cut", head + "Content-Length: 9\r\n\r\nhe", false, Code::kTruncated, "he"},
      {"chunk cut", chunked + "9\r\nhe", false, Code::kTruncated, "he"},
      {"last chunk missing", chunked + Chunk("he"), false, Code::kTruncated, "he"},
      {"chunk size is no number", chunked + "zz\r\nhe", false, Code::kTruncated, ""},
      {"HTTP/0.9", "hello", false, Code::kProtocol, ""},
      {"garbage", std::string("\x16\x03\x01\x00\xff", 5), false, Code::kProtocol, ""},
      {"one header line of 300 KB", head + "X: " + std::string(300 << 10, 'x') + "\r\n\r\n", false,
       Code::kProtocol, ""},
      {"Content-Length is no number", head + "Content-Length: x\r\n\r\n", false, Code::kProtocol,
       ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    RawServer server([&](RawConnection& peer) {
      if (!peer.ReadRequest()) return;
      peer.Send(c.reply);
      if (c.reset) peer.ResetOnClose();
    });
    Client client(server.Url("/secret-path?secret=1"));
    const auto reply = client.Fetch("secret-body");
    CHECK(CodeName(reply->code()) == CodeName(c.code));
    CHECK(reply->ends == 1);
    CHECK(reply->body == c.body);
    CHECK(reply->end.request_sent);
    REQUIRE(reply->end.error.has_value());
    const std::string& message = reply->end.error->message;
    CAPTURE(message);
    CHECK(message.find(HostOf(server)) != std::string::npos);
    CHECK(message.find("secret") == std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a reset after some of the body is a cut reply") {
  Gate body_heard;
  RawServer server([&](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk("he"));
    peer.Wait(&body_heard);
    peer.ResetOnClose();
  });
  Client client(server.Url("/"));
  Recorder recorder;
  recorder.on_body = [&] { body_heard.Open(); };
  client.Post(&recorder);
  recorder.ended.Wait();
  CHECK(recorder.code() == Code::kTruncated);
  CHECK(recorder.body == "he");
}

TEST_CASE("endless replies end at a bound") {
  struct Case {
    std::string name;
    std::string start;
    std::string rest;  // for ever
    Code code;
  };
  const std::vector<Case> cases = {
      {"headers", "HTTP/1.1 200 OK\r\n", "X: " + std::string(1000, 'x') + "\r\n", Code::kProtocol},
      {"interim replies", "", "HTTP/1.1 100 Continue\r\n\r\n", Code::kProtocol},
      {"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
       Chunk(std::string(1000, 'x')), Code::kTooLarge},
      {"a body until close", "HTTP/1.1 200 OK\r\n\r\n", std::string(1000, 'x'), Code::kTooLarge},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    RawServer server([&](RawConnection& peer) {
      if (!peer.ReadRequest()) return;
      peer.Send(c.start);
      while (peer.Send(c.rest)) {
      }
    });
    HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
    endpoint.max_reply_bytes = 1 << 20;
    Client client(std::move(endpoint));
    const auto reply = client.Fetch();
    CHECK(CodeName(reply->code()) == CodeName(c.code));
    CHECK(reply->body.size() <= 1 << 20);
  }
}

TEST_CASE("a body may be as large as the bound, and not a byte larger") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{101}}) {
    RawServer server(Always(Reply(200, "", std::string(size, 'x'))));
    HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
    endpoint.max_reply_bytes = 100;
    Client client(std::move(endpoint));
    CHECK(client.Fetch()->code() == (size == 100 ? Code::kOk : Code::kTooLarge));
  }
}

TEST_CASE("a refused connection") {
  const RefusingPort port;
  Client client("http://127.0.0.1:" + std::to_string(port.port()) + "/");
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kConnect);
  CHECK(reply->connected == 0);
  CHECK(!reply->end.request_sent);
  CHECK(!reply->end.reused_connection);
}

TEST_CASE("a handle that served a call tells the truth about the next, which fails to connect") {
  auto server = std::make_unique<RawServer>(Always(Reply(200, "Connection: close\r\n", "ok")));
  Client client(server->Url("/"));
  CHECK(client.Fetch()->end.request_sent);
  server.reset();
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kConnect);
  CHECK(!reply->end.request_sent);
  CHECK(!reply->end.reused_connection);
}

TEST_CASE("an unknown host") {
  Client client("http://no-such-host.invalid/v1");
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kDns);
  CHECK(!reply->end.request_sent);
  CHECK(reply->end.error->message.find("no-such-host.invalid ") != std::string::npos);
}

TEST_CASE("a server that never takes the connection") {
  CrowdedListener listener;
  listener.Crowd();
  HttpEndpoint endpoint = Client::EndpointOf(listener.Url());
  endpoint.connect_timeout = std::chrono::milliseconds(50);
  Client client(std::move(endpoint));
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kTimeoutConnect);
  CHECK(!reply->end.request_sent);
}

TEST_CASE("a call that is cancelled while it connects: the next one has its socket's number") {
  CrowdedListener listener;
  listener.Crowd();
  Client client(listener.Url());
  Recorder first;
  const TransferId id = client.Post(&first);
  for (int turns = 0; turns < 3; ++turns) client.Run([] {});
  client.Cancel(id);  // libcurl closes the socket by itself
  Recorder second;
  client.Post(&second);
  for (int turns = 0; turns < 3; ++turns) client.Run([] {});
  listener.TakeCrowd();
  const int peer = listener.Take();  // once the kernel has tried again
  ReadRequest(peer);
  const std::string reply = Reply(200, "", "ok");
  REQUIRE(send(peer, reply.data(), reply.size(), MSG_NOSIGNAL) > 0);
  second.ended.Wait();
  CHECK(second.code() == Code::kOk);
  close(peer);
}

TEST_CASE("a kept connection closes, before the next request or upon it, and no other is taken") {
  for (const bool takes_request : {false, true}) {
    CAPTURE(takes_request);
    CrowdedListener listener;
    HttpEndpoint endpoint = Client::EndpointOf(listener.Url());
    endpoint.connect_timeout = std::chrono::milliseconds(50);
    Client client(std::move(endpoint));
    Recorder first;
    client.Post(&first);
    const int peer = listener.Take();
    ReadRequest(peer);
    const std::string reply = Reply(200, "", "ok");
    REQUIRE(send(peer, reply.data(), reply.size(), MSG_NOSIGNAL) > 0);
    first.ended.Wait();
    CHECK(first.code() == Code::kOk);

    listener.Crowd();
    Recorder second;
    if (!takes_request) close(peer);
    client.Post(&second);
    if (takes_request) {
      ReadRequest(peer);
      close(peer);
    }
    second.ended.Wait();
    CHECK(second.code() == Code::kTimeoutConnect);
    CHECK(second.connected == (takes_request ? 1 : 0));
  }
}

TEST_CASE("endpoints that cannot be called are refused when the transport is made") {
  EventLoop loop("test");
  for (const std::string url : {"", "example.test/v1", "file:///etc/passwd", "ftp://example.test/",
                                "http://", "http://user:password@example.test/"}) {
    CAPTURE(url);
    const auto transport = NewCurlTransport(Client::EndpointOf(url), &loop);
    REQUIRE(!transport.ok());
    CHECK(transport.error().code == Code::kInvalidConfig);
    CHECK(transport.error().message.find("password") == std::string::npos);
  }
  for (const std::string header : {"no colon", ": no name", "a: 1\r\nb: 2", "a: 1\nb: 2"}) {
    CAPTURE(header);
    HttpEndpoint endpoint = Client::EndpointOf("http://127.0.0.1/");
    endpoint.headers = {header};
    const auto transport = NewCurlTransport(std::move(endpoint), &loop);
    REQUIRE(!transport.ok());
    CHECK(transport.error().details.field == "llm.headers");
  }
  CHECK(NewCurlTransport(Client::EndpointOf("http://127.0.0.1/"), &loop).ok());
}

TEST_CASE("without descriptors calls fail as out of memory, and go on once there are some") {
  RawServer server(Always(Reply(200, "Connection: close\r\n", "ok")));
  Client client(server.Url("/"));
  const std::ptrdiff_t without_connection = OpenDescriptors();
  CHECK(client.Fetch()->code() == Code::kOk);
  // Both ends of the connection, so that neither leaves a descriptor for the next one.
  while (OpenDescriptors() > without_connection) std::this_thread::yield();
  // As many as are open now, whatever their numbers: all below the limit are taken.
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  std::vector<int> taken;
  const rlimit low{64, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  for (int fd = 0; (fd = dup(STDERR_FILENO)) >= 0;) taken.push_back(fd);
  const auto starved = client.Fetch();
  for (const int fd : taken) close(fd);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(CodeName(starved->code()) == CodeName(Code::kNomem));
  CHECK(!starved->end.request_sent);
  CHECK(client.Fetch()->code() == Code::kOk);
}

TEST_CASE("results that loopback does not produce") {
  struct Case {
    CURLcode result;
    TransferProgress progress;
    Code code;
  };
  for (const Case& c : std::vector<Case>{
           {CURLE_COULDNT_RESOLVE_PROXY, {}, Code::kDns},
           {CURLE_PROXY, {}, Code::kConnect},
           {CURLE_OUT_OF_MEMORY, {false, false}, Code::kNomem},
           {CURLE_OUT_OF_MEMORY, {true, false}, Code::kProtocol},
           {CURLE_HTTP2, {true, false}, Code::kConnect},
           {CURLE_HTTP2_STREAM, {true, true}, Code::kTruncated},
           {CURLE_SEND_ERROR, {true, false}, Code::kConnect},
           {CURLE_SSL_CACERT_BADFILE, {}, Code::kTls},
           {CURLE_SSL_ISSUER_ERROR, {}, Code::kTls},
           {CURLE_BAD_FUNCTION_ARGUMENT, {}, Code::kInternal},
       }) {
    CAPTURE(c.result);
    const Error error = CurlFailure(c.result, c.progress, "example.test");
    CHECK(CodeName(error.code) == CodeName(c.code));
    CHECK(error.message.find("example.test") != std::string::npos);
  }
}

}  // namespace
}  // namespace postgen::testing
