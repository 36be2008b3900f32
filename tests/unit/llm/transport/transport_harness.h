// A transport on a loop of its own, and a handler that keeps what it hears.
#ifndef POSTGEN_TESTS_UNIT_LLM_TRANSPORT_TRANSPORT_HARNESS_H_
#define POSTGEN_TESTS_UNIT_LLM_TRANSPORT_TRANSPORT_HARNESS_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "llm/transport/http_transport.h"
#include "runtime/event_loop.h"
#include "support/notification.h"
#include "support/raw_server.h"
#include "support/scoped.h"

namespace postgen::testing {

// What it keeps may be read after the matching Wait(), or on the loop's thread.
class Recorder final : public HttpHandler {
 public:
  void OnConnected() override {
    ++connected;
    if (on_connected) on_connected();
  }
  void OnHead(const HttpHead& new_head) override {
    ++heads;
    head = new_head;
    headed.Notify();
    if (on_head) on_head();
  }
  void OnBody(std::string_view bytes) override {
    body += bytes;
    if (body.size() >= wanted_bytes) bodied.Notify();
    if (on_body) on_body();
  }
  void OnEnd(const HttpEnd& new_end) override {
    ++ends;
    end = new_end;
    if (on_end) on_end();
    ended.Notify();
  }

  // The code of the error, kOk without one.
  Code code() const { return end.error ? end.error->code : Code::kOk; }

  std::function<void()> on_connected, on_head, on_body, on_end;
  std::size_t wanted_bytes = 1;

  int connected = 0, heads = 0, ends = 0;
  HttpHead head;
  std::string body;
  HttpEnd end;
  Notification headed, bodied, ended;
};

class Client {
 public:
  explicit Client(HttpEndpoint endpoint) {
    RunOn(&loop_, [&] {
      auto transport = NewCurlTransport(std::move(endpoint), &loop_);
      if (transport.ok()) transport_ = std::move(transport).value();
    });
    REQUIRE(transport_ != nullptr);
  }
  explicit Client(const std::string& url) : Client(EndpointOf(url)) {}
  ~Client() { Destroy(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  static HttpEndpoint EndpointOf(const std::string& url) {
    HttpEndpoint endpoint;
    endpoint.url = url;
    endpoint.headers = {"Authorization: Bearer secret-key"};
    return endpoint;
  }

  TransferId Post(HttpHandler* handler, std::string body = "{}") {
    TransferId id = 0;
    Run([&] { id = transport_->Post(std::move(body), handler); });
    return id;
  }
  void Cancel(TransferId id) {
    Run([&] { transport_->Cancel(id); });
  }
  void Destroy() {
    Run([&] { transport_.reset(); });
  }

  // One exchange from beginning to end.
  std::unique_ptr<Recorder> Fetch(std::string body = "{}") {
    auto recorder = std::make_unique<Recorder>();
    Post(recorder.get(), std::move(body));
    recorder->ended.Wait();
    return recorder;
  }

  template <typename Work>
  void Run(Work work) {
    RunOn(&loop_, std::move(work));
  }

  HttpTransport* transport() { return transport_.get(); }  // for the loop's thread
  EventLoop* loop() { return &loop_; }

 private:
  EventLoop loop_{"test"};
  std::unique_ptr<HttpTransport> transport_;
};

inline std::ptrdiff_t OpenDescriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return std::distance(begin(open), end(open));
}

// At its first use libcurl opens what it keeps: the file that SSLKEYLOGFILE names, for one.
inline void UseLibcurlOnce() { const Client client("http://127.0.0.1/"); }

// Trusts `ca_file`; empty: the system's issuers.
inline HttpEndpoint TlsEndpoint(const RawServer& server, const std::string& ca_file) {
  HttpEndpoint endpoint = Client::EndpointOf(server.Url("/v1"));
  endpoint.ca_file = ca_file;
  return endpoint;
}

// Answers every request with `reply` until the client closes.
inline RawServer::Script Always(std::string reply) {
  return [reply = std::move(reply)](RawConnection& peer) {
    while (peer.ReadRequest() && peer.Send(reply)) {
    }
  };
}

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_UNIT_LLM_TRANSPORT_TRANSPORT_HARNESS_H_
