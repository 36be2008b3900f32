// Where keys and prompts must not go, and who may not say so.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

TEST_CASE("a redirect is a reply like any other: its target sees no connection") {
  RawServer target(Always(Reply(200, "", "target")));
  for (const int status : {301, 302, 303, 307, 308}) {
    CAPTURE(status);
    RawServer server(Always(Reply(status, "Location: " + target.Url("/") + "\r\n", "moved")));
    Client client(server.Url("/"));
    const auto reply = client.Fetch();
    CHECK(reply->code() == Code::kOk);
    CHECK(reply->head.status == status);
    CHECK(reply->body == "moved");
  }
  CHECK(target.connections() == 0);
  Client direct(target.Url("/"));
  CHECK(direct.Fetch()->body == "target");  // it could have been reached
}

TEST_CASE("proxies come from the option alone") {
  RawServer proxy(Always(Reply(200, "", "through the proxy")));
  RawServer server(Always(Reply(200, "", "direct")));
  const ScopedEnv http("http_proxy", proxy.Url(""));
  const ScopedEnv all("ALL_PROXY", proxy.Url(""));
  const ScopedEnv no("no_proxy", "*");
  {
    Client client(server.Url("/"));
    CHECK(client.Fetch()->body == "direct");
    CHECK(proxy.connections() == 0);
  }
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.proxy = proxy.Url("");
  Client client(std::move(endpoint));
  CHECK(client.Fetch()->body == "through the proxy");  // whatever no_proxy says
}

TEST_CASE("a .netrc adds no password") {
  const std::filesystem::path home = std::filesystem::temp_directory_path() / "postgen-test-home";
  std::filesystem::create_directory(home);
  std::ofstream(home / ".netrc") << "machine 127.0.0.1 login intruder password secret\n";
  const ScopedEnv env("HOME", home.string());
  RawServer server(Always(Reply(200, "", "ok")));
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.headers = {"api-key: secret-key"};  // an Authorization header would hide libcurl's own
  Client client(std::move(endpoint));
  client.Fetch();
  std::filesystem::remove_all(home);
  CHECK(server.requests().at(0).find("api-key: secret-key") != std::string::npos);
  CHECK(server.requests().at(0).find("Authorization") == std::string::npos);
}

// The sockets of this process that are connected to `port`.
std::vector<int> SocketsTo(int port) {
  std::vector<int> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) {
      sockets.push_back(fd);
    }
  }
  return sockets;
}

TEST_CASE("programs that the host starts do not inherit our connections") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client(server.Url("/"));
  client.Fetch();
  const std::vector<int> sockets = SocketsTo(server.port());
  REQUIRE(sockets.size() == 1);
  CHECK((fcntl(sockets[0], F_GETFD) & FD_CLOEXEC) != 0);
}

// Those that a program started now would inherit.
std::set<int> InheritedDescriptors() {
  std::set<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) found.insert(fd);
  }
  return found;
}

TEST_CASE("nothing that libcurl opens is inherited by other programs") {
  RawServer server(Always(Reply(200, "", "ok")));
  UseLibcurlOnce();
  const std::set<int> before = InheritedDescriptors();
  CURLM* const bare = curl_multi_init();  // what it does by itself; later ones do better
  MESSAGE("libcurl's own: " << InheritedDescriptors().size() - before.size());
  curl_multi_cleanup(bare);
  CHECK(InheritedDescriptors() == before);
  Client client(server.Url("/"));
  CHECK(client.Fetch()->code() == Code::kOk);
  CHECK(InheritedDescriptors() == before);
}

TEST_CASE("TLS: a certificate that is trusted and names the host is accepted, connections resume") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  RawServer server(Always(Reply(200, "", "ok")), identity);
  Client client(TlsEndpoint(server, ca.path()));
  const auto first = client.Fetch();
  CHECK(first->code() == Code::kOk);
  CHECK(first->body == "ok");
  CHECK(first->connected == 1);
  CHECK(client.Fetch()->end.reused_connection);
}

TEST_CASE("TLS: certificates that must be refused, and no byte of the request goes out") {
  const TlsIdentity good = NewTlsIdentity("IP:127.0.0.1");
  const TlsIdentity other_host = NewTlsIdentity("DNS:other.test");
  const TempFile good_ca(good.certificate_pem);
  const TempFile other_ca(other_host.certificate_pem);
  struct Case {
    std::string name;
    const TlsIdentity* identity;
    std::string ca_file;
  };
  for (const Case& c :
       {Case{"wrong host", &other_host, other_ca.path()},
        Case{"unknown issuer", &good, other_ca.path()}, Case{"system issuers", &good, ""},
        Case{"no CA file", &good, "/nonexistent/ca.pem"}}) {
    CAPTURE(c.name);
    RawServer server(Always(Reply(200, "", "ok")), *c.identity);
    Client client(TlsEndpoint(server, c.ca_file));
    const auto reply = client.Fetch();
    CHECK(CodeName(reply->code()) == "tls");
    CHECK(reply->connected == 0);
    CHECK(!reply->end.request_sent);
    CHECK(server.requests().empty());
  }
}

TEST_CASE("TLS: a port that does not speak it") {
  RawServer server([](RawConnection& peer) { peer.Send("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  Client client("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kTls);
  CHECK(!reply->end.request_sent);
}

TEST_CASE("TLS: a handshake that stalls ends at the connect timeout") {
  RawServer server([](RawConnection& peer) { peer.WaitForClose(); });
  HttpEndpoint endpoint =
      Client::EndpointOf("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  endpoint.connect_timeout = std::chrono::milliseconds(50);
  Client client(std::move(endpoint));
  CHECK(client.Fetch()->code() == Code::kTimeoutConnect);
}

TEST_CASE("TLS: a body cut without a closing alert is a cut reply") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  for (const std::string head :
       {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n"}) {
    Gate heard;
    RawServer server(
        [&](RawConnection& peer) {
          if (!peer.ReadRequest()) return;
          peer.Send(head + "he");
          peer.Wait(&heard);
          peer.ResetOnClose();
        },
        identity);
    Client client(TlsEndpoint(server, ca.path()));
    Recorder recorder;
    recorder.on_body = [&] { heard.Open(); };
    client.Post(&recorder);
    recorder.ended.Wait();
    CHECK(recorder.code() == Code::kTruncated);
    CHECK(recorder.body == "he");
  }
}

TEST_CASE("TLS: an endpoint that must speak HTTP/2 and does not is refused before the request") {
  const TlsIdentity identity = NewTlsIdentity("IP:127.0.0.1");
  const TempFile ca(identity.certificate_pem);
  RawServer server(Always(Reply(200, "", "ok")), identity);
  HttpEndpoint endpoint = TlsEndpoint(server, ca.path());
  endpoint.require_http2 = true;
  Client client(std::move(endpoint));
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kProtocol);
  CHECK(reply->end.error->details.field == "llm.http_version");
  CHECK(!reply->end.request_sent);
  CHECK(server.requests().empty());
}

}  // namespace
}  // namespace postgen::testing
