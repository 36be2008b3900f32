// The whole way of a call to a provider behind a reverse proxy: TLS and HTTP/2 to nghttpx, HTTP/1.1
// from there to the emulator.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "support/child_process.h"
#include "support/scoped.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {
namespace {

// The reply to a GET of `path` on 127.0.0.1:port, whole.
std::string Get(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  REQUIRE(send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size()));
  std::string reply;
  std::array<char, 4096> bytes{};
  for (ssize_t size = 0; (size = recv(fd, bytes.data(), bytes.size(), 0)) > 0;) {
    reply.append(bytes.data(), static_cast<std::size_t>(size));
  }
  close(fd);
  return reply;
}

class Emulator {
 public:
  explicit Emulator(std::vector<std::string> flags)
      : process_([&flags] {
          flags.insert(flags.begin(), POSTGEN_EMULATOR);
          return flags;
        }()) {
    const std::string line = process_.WaitForLine("listening on http://127.0.0.1:");
    REQUIRE(!line.empty());
    port_ = std::stoi(line.substr(line.rfind(':') + 1));
  }

  int port() const { return port_; }
  // A number of its books.
  std::int64_t Count(const std::string& name) const {
    const std::string ledger = Get(port_, "/ledger");
    const std::size_t at = ledger.find('"' + name + "\":");
    REQUIRE(at != std::string::npos);
    return std::stoll(ledger.substr(at + name.size() + 3));
  }

 private:
  ChildProcess process_;
  int port_ = 0;
};

// nghttpx before the emulator, and before that a proxy that counts connections. nghttpx listens on
// a Unix socket: it cannot be told to take a free port.
class Site {
 public:
  Site(const Emulator& emulator, std::vector<std::string> flags = {}) {
    std::vector<std::string> command = {"nghttpx", "--conf=/dev/null", "--no-ocsp", "--workers=1"};
    command.insert(command.end(), flags.begin(), flags.end());
    command.insert(command.end(), {"--frontend=unix:" + socket_path(),
                                   "--backend=127.0.0.1," + std::to_string(emulator.port()),
                                   key_.path(), certificate_.path()});
    process_ = std::make_unique<ChildProcess>(command);
    // Debian's package nghttp2-proxy, which scripts/test installs.
    REQUIRE(!process_->WaitForLine("Created worker thread").empty());
    proxy_ = std::make_unique<ToxicProxy>(socket_path());
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(proxy_->port()) + "/v1"; }
  LlmOptions Options() const {
    LlmOptions options;
    options.max_attempts = 1;
    options.ca_file = certificate_.path();
    return options;
  }
  ToxicProxy& proxy() { return *proxy_; }
  ChildProcess& process() { return *process_; }

 private:
  std::string socket_path() const { return folder_.path() + "/nghttpx"; }

  const TlsIdentity identity_ = NewTlsIdentity("IP:127.0.0.1");
  const TempFile certificate_{identity_.certificate_pem};
  const TempFile key_{identity_.key_pem};
  const TempFolder folder_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<ToxicProxy> proxy_;
};

TEST_CASE("nghttpx: 1,000 streams at once over few connections, every text whole") {
  constexpr std::size_t kCalls = 1000;
  const Emulator emulator({"--ttft-ms=600", "--tokens-per-s=0"});
  Site site(emulator);
  LlmOptions options = site.Options();
  options.max_in_flight = kCalls;
  options.http_version = HttpVersion::kHttp2;
  LlmTestClient client(site.url(), options);
  std::vector<std::shared_ptr<Heard>> calls;
  for (std::size_t i = 0; i < kCalls; ++i) calls.push_back(client.Start(/*stream=*/true));
  for (const auto& call : calls) {
    const LlmReply reply = call->Wait();
    REQUIRE(CodeName(CodeOf(reply)) == CodeName(Code::kOk));
    CHECK(reply.text == call->text);
    CHECK(!reply.text.empty());
    CHECK(reply.usage_kind == UsageKind::kExact);
  }
  CHECK(site.proxy().accepted() <= 32);
  CHECK(emulator.Count("aborted_by_client") == 0);
  MESSAGE(kCalls << " calls, " << site.proxy().accepted() << " connections");
}

TEST_CASE("nghttpx: a cancelled call reaches the provider behind it") {
  const Emulator emulator({"--ttft-ms=1", "--tokens-per-s=1"});
  Site site(emulator);
  LlmTestClient client(site.url(), site.Options());
  CancelSource source;
  const auto neighbour_source = std::make_unique<CancelSource>();
  const auto neighbour = client.Start(/*stream=*/true, neighbour_source->get_token());
  const auto heard = client.Start(/*stream=*/true, source.get_token());
  heard->first_text.Wait();
  neighbour->first_text.Wait();
  source.request_stop();
  CHECK(CodeName(CodeOf(heard->Wait())) == CodeName(Code::kCancelled));
  while (emulator.Count("aborted_by_client") < 1) {  // ends by itself only after minutes
  }
  CHECK(emulator.Count("in_flight") == 1);
  neighbour_source->request_stop();
  neighbour->Wait();
  while (emulator.Count("aborted_by_client") < 2) {
  }
  CHECK(emulator.Count("in_flight") == 0);
}

TEST_CASE("nghttpx: a graceful shutdown (GOAWAY) with 100 streams loses none of them") {
  const Emulator emulator({"--ttft-ms=20", "--tokens-per-s=400"});
  Site site(emulator);
  LlmTestClient client(site.url(), site.Options());
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(client.Start(/*stream=*/true));
  for (const auto& call : calls) call->first_text.Wait();
  site.process().Signal(SIGQUIT);
  for (const auto& call : calls) CHECK(CodeName(CodeOf(call->Wait())) == CodeName(Code::kOk));
}

TEST_CASE("nghttpx: the network breaks with 100 streams, and each is tried again") {
  const Emulator emulator({"--ttft-ms=2000", "--tokens-per-s=0"});
  Site site(emulator);
  LlmOptions options = site.Options();
  options.max_attempts = 2;
  LlmTestClient client(site.url(), options);
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(client.Start(/*stream=*/true));
  while (emulator.Count("in_flight") < 100) {
  }
  site.proxy().ResetAll();
  for (const auto& call : calls) CHECK(CodeName(CodeOf(call->Wait())) == CodeName(Code::kOk));
}

TEST_CASE("nghttpx: the check is free") {
  const Emulator emulator({"--api-key=" + std::string(kKey)});
  Site site(emulator);
  LlmTestClient client(site.url(), site.Options());
  Notification done;
  client->Check(TimePoint::max(), [&](const Status& status) {
    CHECK(status.ok());
    done.Notify();
  });
  done.Wait();
  CHECK(emulator.Count("requests_total") == 0);
}

TEST_CASE("nghttpx: a provider that is not there, and a proxy without HTTP/2") {
  const Emulator emulator({"--fail=status=503"});
  Site site(emulator, {"--npn-list=http/1.1"});
  LlmTestClient client(site.url(), site.Options());
  const LlmReply reply = client.Start(/*stream=*/true)->Wait();
  CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kUpstream));
  LlmOptions options = site.Options();
  options.http_version = HttpVersion::kHttp2;
  LlmTestClient strict(site.url(), options);
  CHECK(CodeName(CodeOf(strict.Start(/*stream=*/true)->Wait())) == CodeName(Code::kProtocol));
}

}  // namespace
}  // namespace postgen::testing
