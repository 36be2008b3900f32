// Ends that the caller brings about.
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "unit/llm/transport/transport_harness.h"

namespace postgen::testing {
namespace {

constexpr char kStreamHead[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_CASE("cancelling a call to a silent server closes its connection, and nothing is heard") {
  Notification got_request;
  Notification saw_close;
  RawServer server([&](RawConnection& peer) {
    peer.ReadRequest();
    got_request.Notify();
    if (peer.WaitForClose()) saw_close.Notify();
  });
  Client client(server.Url("/"));
  Recorder recorder;
  const TransferId id = client.Post(&recorder);
  got_request.Wait();
  client.Cancel(id);
  saw_close.Wait();
  client.Cancel(id);
  client.Run([&] { CHECK(recorder.ends == 0); });
}

TEST_CASE("a call may be cancelled at once, and others go on") {
  RawServer server(Always(Reply(200, "", "ok")));
  Client client(server.Url("/"));
  Recorder cancelled;
  Recorder other;
  client.Run([&] {
    const TransferId id = client.transport()->Post("{}", &cancelled);
    client.transport()->Post("{}", &other);
    client.transport()->Cancel(id);
    client.transport()->Cancel(0);
    client.transport()->Finish(0);
    client.transport()->Finish(id);
  });
  other.ended.Wait();
  CHECK(other.code() == Code::kOk);
  client.Run([&] {
    CHECK(cancelled.connected == 0);
    CHECK(cancelled.ends == 0);
  });
}

TEST_CASE("a call that waits for its turn may be cancelled") {
  Gate open;
  RawServer server([&](RawConnection& peer) {
    while (peer.ReadRequest() && peer.Wait(&open) && peer.Send(Reply(200, "", "ok"))) {
    }
  });
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/"));
  endpoint.max_connections = 1;
  Client client(std::move(endpoint));
  Recorder first;
  Recorder second;
  Recorder third;
  client.Post(&first);
  const TransferId waiting = client.Post(&second);
  client.Post(&third);
  client.Cancel(waiting);
  open.Open();
  third.ended.Wait();
  CHECK(third.code() == Code::kOk);
  client.Run([&] { CHECK(second.connected + second.ends == 0); });
  CHECK(server.requests().size() == 2);
}

TEST_CASE("a handler may cancel its own call from each of its functions, and start another") {
  using Hook = std::function<void()> Recorder::*;
  const std::vector<Hook> hooks = {&Recorder::on_connected, &Recorder::on_head, &Recorder::on_body,
                                   &Recorder::on_end};
  for (const Hook cancelling : hooks) {
    RawServer server(Always(std::string(kStreamHead) + Chunk("one") + Chunk("two") + Chunk("")));
    Client client(server.Url("/"));
    Recorder recorder;
    Recorder next;
    TransferId id = 0;
    bool cancelled = false;
    int heard_after = 0;
    for (const Hook hook : hooks) {
      recorder.*hook = [&, hook] {
        if (cancelled) ++heard_after;
        if (cancelled || hook != cancelling) return;
        cancelled = true;
        client.transport()->Cancel(id);
        client.transport()->Cancel(id);
        client.transport()->Post("{}", &next);
        CHECK(next.connected == 0);
      };
    }
    client.Run([&] { id = client.transport()->Post("{}", &recorder); });
    next.ended.Wait();
    CHECK(next.code() == Code::kOk);
    CHECK(next.body == "onetwo");
    client.Run([&] {
      CHECK(cancelled);
      CHECK(heard_after == 0);
      CHECK(recorder.ends == (cancelling == &Recorder::on_end ? 1 : 0));
    });
  }
}

TEST_CASE("a handler may cancel another's call") {
  Notification saw_close;
  RawServer server([&](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send(std::string(kStreamHead) + Chunk("one"));
    if (peer.WaitForClose()) saw_close.Notify();
  });
  Client client(server.Url("/"));
  Recorder victim;
  Recorder other;
  const TransferId id = client.Post(&victim);
  victim.bodied.Wait();
  other.on_body = [&] { client.transport()->Cancel(id); };
  client.Post(&other);
  saw_close.Wait();
  client.Run([&] { CHECK(victim.ends == 0); });
}

TEST_CASE("a finished call is silent, and its connection is used again once the body has ended") {
  Gate finished;
  RawServer server([&](RawConnection& peer) {
    while (peer.ReadRequest()) {
      peer.Send(std::string(kStreamHead) + Chunk("[DONE]"));
      if (peer.index() == 0) peer.Wait(&finished);
      peer.Send(Chunk("more") + Chunk(""));
    }
  });
  Client client(server.Url("/"));
  Recorder recorder;
  TransferId id = 0;
  recorder.on_body = [&] { client.transport()->Finish(id); };
  client.Run([&] { id = client.transport()->Post("{}", &recorder); });
  recorder.bodied.Wait();
  finished.Open();
  // The rest arrives whenever it does; until then a call needs a connection of its own.
  bool reused_first = false;
  while (!reused_first) {
    const int before = server.connections();
    reused_first = client.Fetch()->end.reused_connection && server.connections() == before;
  }
  client.Run([&] {
    CHECK(recorder.body == "[DONE]");
    CHECK(recorder.ends == 0);
  });
}

TEST_CASE("a finished call whose body goes on and on loses its connection") {
  struct Case {
    std::string name;
    bool sends_on;  // else it is silent: the time ends it
  };
  for (const Case& c : {Case{"sends on", true}, Case{"silent", false}}) {
    CAPTURE(c.name);
    Notification saw_close;
    std::size_t sent = 0;
    RawServer server([&](RawConnection& peer) {
      if (!peer.ReadRequest()) return;
      peer.Send(std::string(kStreamHead) + Chunk("[DONE]"));
      const std::string chunk = Chunk(std::string(64 << 10, 'x'));
      while (c.sends_on && peer.Send(chunk)) sent += chunk.size();
      if (c.sends_on || peer.WaitForClose()) saw_close.Notify();
    });
    Client client(server.Url("/"));
    Recorder recorder;
    TransferId id = 0;
    recorder.on_body = [&] { client.transport()->Finish(id); };
    client.Run([&] { id = client.transport()->Post("{}", &recorder); });
    saw_close.Wait();
    CHECK(sent < 16 << 20);  // what socket buffers hold, not what a time lets through
    client.Run([&] { CHECK(recorder.ends == 0); });
  }
}

TEST_CASE("destroying the transport ends open calls in silence and closes every connection") {
  constexpr int kCalls = 8;
  std::mutex mutex;
  int closed = 0;
  Notification all_closed;
  RawServer server([&](RawConnection& peer) {
    if (!peer.ReadRequest()) return;
    peer.Send(peer.index() % 2 == 0 ? Reply(200, "", "ok") : std::string(kStreamHead));
    if (!peer.WaitForClose()) return;
    const std::lock_guard lock(mutex);
    if (++closed == kCalls) all_closed.Notify();
  });
  Client client(server.Url("/"));
  std::vector<Recorder> recorders(kCalls);
  client.Run([&] {
    for (Recorder& recorder : recorders) client.transport()->Post("{}", &recorder);
  });
  for (Recorder& recorder : recorders) recorder.headed.Wait();
  client.Destroy();
  all_closed.Wait();
  for (const Recorder& recorder : recorders)
    CHECK(recorder.ends == (recorder.body == "ok" ? 1 : 0));
}

TEST_CASE("a transport may be destroyed after its loop has stopped") {
  RawServer server([](RawConnection& peer) { peer.WaitForClose(); });
  EventLoop loop("test");
  Recorder recorder;
  auto transport = std::move(NewCurlTransport(Client::EndpointOf(server.Url("/")), &loop)).value();
  RunOn(&loop, [&] { transport->Post("{}", &recorder); });
  loop.Stop();
  transport.reset();
  CHECK(recorder.ends == 0);
}

}  // namespace
}  // namespace postgen::testing
