// A resolver that hangs.

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "support/fake_resolver.h"
#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

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
}

}  // namespace
}  // namespace postgen::testing
