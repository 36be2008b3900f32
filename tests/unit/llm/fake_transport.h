// A transport whose transfers do what the test says, when it says so.
#ifndef POSTGEN_TESTS_UNIT_LLM_FAKE_TRANSPORT_H_
#define POSTGEN_TESTS_UNIT_LLM_FAKE_TRANSPORT_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/transport/http_transport.h"

namespace postgen::testing {

class FakeTransport final : public HttpTransport {
 public:
  enum class State { kOpen, kEnded, kCancelled, kFinished };
  struct Transfer {
    std::string body;  // of a Post; "GET" or "GET without headers"
    HttpHandler* handler = nullptr;
    State state = State::kOpen;
    bool has_head = false;
    bool paused = false;
  };
  using Headers = std::vector<std::pair<std::string, std::string>>;

  TransferId Post(std::string body, HttpHandler* handler) override {
    transfers_.push_back({std::move(body), handler});
    most_open_ = std::max(most_open_, open());
    return transfers_.size();
  }
  TransferId Get(bool with_headers, HttpHandler* handler) override {
    return Post(with_headers ? "GET" : "GET without headers", handler);
  }
  void Cancel(TransferId id) override { Close(id, State::kCancelled); }
  void SetPaused(TransferId id, bool paused) override { transfers_.at(id - 1).paused = paused; }
  void Finish(TransferId id) override { Close(id, State::kFinished); }
  void Prewarm(int connections) override { prewarmed_ += connections; }
  bool HoldsSecret(std::string_view text) const override {
    return text.find("secret-key") != std::string_view::npos;
  }

  // The transfers in the order they were posted. Those that are closed ignore what follows, and a
  // second head is none.
  const Transfer& transfer(std::size_t index) const { return transfers_.at(index); }
  std::size_t count() const { return transfers_.size(); }
  std::size_t open() const {
    std::size_t open = 0;
    for (const Transfer& transfer : transfers_) open += transfer.state == State::kOpen ? 1U : 0U;
    return open;
  }
  std::size_t most_open() const { return most_open_; }
  int prewarmed() const { return prewarmed_; }

  void Connect(std::size_t index) {
    if (HttpHandler* handler = Listener(index)) handler->OnConnected();
  }
  void Head(std::size_t index, int status, const Headers& headers = {}) {
    HttpHandler* handler = Listener(index);
    if (handler == nullptr || std::exchange(transfers_[index].has_head, true)) return;
    HttpHead head{.status = status, .headers = {}};
    for (const auto& [name, value] : headers) head.headers.Add(name, value);
    handler->OnHead(head);
  }
  void Body(std::size_t index, std::string_view bytes) {
    if (HttpHandler* handler = Listener(index)) handler->OnBody(bytes);
  }
  void End(std::size_t index, HttpEnd end = {}) {
    HttpHandler* handler = Listener(index);
    if (handler == nullptr) return;
    transfers_[index].state = State::kEnded;
    handler->OnEnd(end);
  }
  void Fail(std::size_t index, Code code, bool reused_connection = false) {
    End(index, {Error(code, "host: it broke", "host"), reused_connection, /*request_sent=*/true});
  }
  // A whole reply at once.
  void Reply(std::size_t index, int status, std::string_view body, Headers headers = {}) {
    Connect(index);
    Head(index, status, std::move(headers));
    Body(index, body);
    End(index);
  }

 private:
  HttpHandler* Listener(std::size_t index) {
    Transfer& transfer = transfers_.at(index);
    return transfer.state == State::kOpen ? transfer.handler : nullptr;
  }
  void Close(TransferId id, State state) {
    Transfer& transfer = transfers_.at(id - 1);
    if (transfer.state == State::kOpen) transfer.state = state;
  }

  std::vector<Transfer> transfers_;
  std::size_t most_open_ = 0;
  int prewarmed_ = 0;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_UNIT_LLM_FAKE_TRANSPORT_H_
