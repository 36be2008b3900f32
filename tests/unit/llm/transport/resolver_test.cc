// A resolver that hangs. This program's getaddrinfo takes the C library's place, for libcurl too.
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

Gate* NewGate() { return new Gate; }  // resolver threads may outlive everything else

Gate* const resolver_answers = NewGate();
std::atomic<int> hanging = 0;

}  // namespace
}  // namespace postgen::testing

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** result) {
  using namespace postgen::testing;
  if (node != nullptr && std::string_view(node) == "hangs.test") {
    ++hanging;
    pollfd answers{resolver_answers->fd(), POLLIN, 0};
    while (poll(&answers, 1, -1) < 0) {
    }
    --hanging;
    return EAI_NONAME;
  }
  using Resolve = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto libc = reinterpret_cast<Resolve>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return libc(node, service, hints, result);
}

namespace postgen::testing {
namespace {

void WaitUntilHanging(int calls) {
  while (hanging < calls) std::this_thread::yield();
}

TEST_CASE("a resolver that hangs holds up neither other calls, nor cancelling, nor the end") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client("http://hangs.test/v1");
  Recorder cancelled;
  Recorder destroyed;
  const TransferId id = client.Post(&cancelled);
  client.Post(&destroyed);
  WaitUntilHanging(2);

  Recorder other;
  std::unique_ptr<HttpTransport> other_transport;
  client.Run([&] {
    auto made = NewCurlTransport(Client::EndpointOf(server.Url("/")), client.loop());
    REQUIRE(made.ok());
    other_transport = std::move(made).value();
    other_transport->Post("{}", &other);
  });
  other.ended.Wait();
  CHECK(other.code() == Code::kOk);

  client.Cancel(id);  // returns, though the resolver does not
  client.Destroy();
  CHECK(hanging == 2);
  CHECK(cancelled.ends == 0);
  CHECK(destroyed.ends == 0);
  client.Run([&] { other_transport.reset(); });
}

TEST_CASE("a resolver that hangs ends at the connect timeout") {
  HttpEndpoint endpoint = Client::EndpointOf("http://hangs.test/v1");
  endpoint.connect_timeout = std::chrono::milliseconds(50);
  Client client(std::move(endpoint));
  const auto reply = client.Fetch();
  CHECK(reply->code() == Code::kTimeoutConnect);
  CHECK(!reply->end.request_sent);
  client.Destroy();
  resolver_answers->Open();
}

}  // namespace
}  // namespace postgen::testing
