// The whole way of a call to a provider behind a reverse proxy: TLS and HTTP/2 to nghttpx, HTTP/1.1
// from there to the emulator.
#include <signal.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "support/child_process.h"
#include "support/emulator.h"
#include "support/scoped.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {
namespace {

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
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=600", "--tokens-per-s=0"});
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

TEST_CASE("nghttpx: calls use the connection that was made ahead of them") {
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=1", "--tokens-per-s=0"});
  Site site(emulator);
  LlmTestClient client(site.url(), site.Options());
  client->Prewarm(1);
  while (site.proxy().accepted() == 0) {
  }
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(client.Start(/*stream=*/true));
  for (const auto& call : calls) CHECK(CodeName(CodeOf(call->Wait())) == CodeName(Code::kOk));
  CHECK(site.proxy().accepted() == 1);
  CHECK(emulator.Count("requests_total") == 5);  // a HEAD is none
}

TEST_CASE("nghttpx: a cancelled call reaches the provider behind it") {
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=1", "--tokens-per-s=1"});
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

// A first token takes long enough that a busy machine does not make it look twice as late as it
// usually is: then there would be no second attempts.
constexpr const char* kFirstToken = "--ttft-ms=100";

// So many that a late one is known as such.
void LearnFirstTokens(LlmTestClient* client) {
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 60; ++i) calls.push_back(client->Start(/*stream=*/true));
  for (const auto& call : calls) REQUIRE(call->Wait().ok());
}

TEST_CASE("a call that is cancelled while two attempts race: the provider hears of both") {
  const Emulator emulator({POSTGEN_EMULATOR, kFirstToken, "--tokens-per-s=0"});
  std::optional<Site> site;
  LlmOptions options;
  std::string url = emulator.url();
  SUBCASE("over HTTP/1.1") {}
  SUBCASE("over HTTP/2, through nghttpx") {
    site.emplace(emulator);
    options = site->Options();
    url = site->url();
  }
  LlmTestClient client(url, options);
  LearnFirstTokens(&client);
  emulator.Configure(R"({"fail": ["stall"]})");
  CancelSource source;
  const auto heard = client.Start(/*stream=*/true, source.get_token());
  emulator.WaitForCount("in_flight", 2);
  source.request_stop();
  const LlmReply reply = heard->Wait();
  CHECK(CodeName(CodeOf(reply)) == CodeName(Code::kCancelled));
  CHECK(reply.attempts == 2);
  emulator.WaitForCount("aborted_by_client", 2);
  CHECK(emulator.Count("in_flight") == 0);
}

TEST_CASE("two attempts race: the provider hears that the slower one is not wanted") {
  const Emulator emulator({POSTGEN_EMULATOR, kFirstToken, "--tokens-per-s=0"});
  LlmTestClient client(emulator.url(), {});
  LearnFirstTokens(&client);
  emulator.Configure(R"({"fail": ["stall#1"]})");
  const LlmReply reply = client.Start(/*stream=*/true)->Wait();
  CHECK(reply.ok());
  CHECK(reply.attempts == 2);
  emulator.WaitForCount("aborted_by_client", 1);
  CHECK(emulator.Count("in_flight") == 0);
}

TEST_CASE("nghttpx: a graceful shutdown (GOAWAY) with 100 streams loses none of them") {
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=20", "--tokens-per-s=400"});
  Site site(emulator);
  LlmTestClient client(site.url(), site.Options());
  std::vector<std::shared_ptr<Heard>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(client.Start(/*stream=*/true));
  for (const auto& call : calls) call->first_text.Wait();
  site.process().Signal(SIGQUIT);
  for (const auto& call : calls) CHECK(CodeName(CodeOf(call->Wait())) == CodeName(Code::kOk));
}

TEST_CASE("nghttpx: the network breaks with 100 streams, and each is tried again") {
  const Emulator emulator({POSTGEN_EMULATOR, "--ttft-ms=2000", "--tokens-per-s=0"});
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
  const Emulator emulator({POSTGEN_EMULATOR, "--api-key=" + std::string(kKey)});
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
  const Emulator emulator({POSTGEN_EMULATOR, "--fail=status=503"});
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
