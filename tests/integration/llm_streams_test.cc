// Streams from the socket to the reader: what a delta costs, and what a slow reader costs others.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "integration/llm_harness.h"
#include "postgen/event_queue.h"
#include "postgen/generator.h"

namespace {

thread_local std::int64_t allocations = 0;  // by this thread

void* TryAllocate(std::size_t size) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}

void* Allocate(std::size_t size) {
  void* const memory = TryAllocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Inlined, they look to GCC like memory that is made and freed in two ways.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return TryAllocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return TryAllocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace postgen::testing {
namespace {

constexpr std::chrono::milliseconds kWithoutLimit{-1};

// A stream of kDeltas, of which the first are not counted: they find every buffer empty.
constexpr int kDeltas = 450;
constexpr int kWarmUp = 150;
constexpr std::string_view kPiece = "量能回溫站回月線";

std::string LongReply() {
  std::string reply = std::string(kStreamHead) + Delta("標題：台積電\\n內容：");
  for (int n = 0; n < kDeltas; ++n) reply += Delta(kPiece);
  return reply + EndOfStream();
}

// Passes events on, and counts what the reactor allocated from the end of the warm-up to the last
// delta.
class CountingObserver final : public Observer {
 public:
  CountingObserver(std::shared_ptr<Observer> next, bool allocates)
      : next_(std::move(next)), allocates_(allocates) {}

  void OnEvent(const Event& event) override {
    next_->OnEvent(event);
    if (event.type != Event::Type::kDelta) return;
    ++deltas;
    if (allocates_) copies_.push_back(std::make_unique<std::string>(event.text));
    if (deltas == kWarmUp) at_warm_up_ = allocations;
    allocated = allocations - at_warm_up_;
  }
  void OnBurstEnd() override { next_->OnBurstEnd(); }

  int deltas = 0;
  std::int64_t allocated = 0;

 private:
  const std::shared_ptr<Observer> next_;
  const bool allocates_;
  std::int64_t at_warm_up_ = 0;
  std::vector<std::unique_ptr<std::string>> copies_;
};

struct Allocated {
  int deltas = 0;
  std::int64_t on_reactor = 0;
  std::int64_t by_reader = 0;  // after its warm-up
};

Allocated StreamOnePost(bool allocating_observer) {
  RawServer server(AlwaysSend(LongReply()));
  auto generator = PostGenerator::Create(PostOptions(server.Url("/v1")));
  REQUIRE(generator.ok());
  PostRequest request = OneVersion();
  request.max_words = 4000;

  EventQueue queue;
  const auto observer =
      std::make_shared<CountingObserver>(queue.NewObserver(true), allocating_observer);
  const auto call = (*generator)->Start(request, observer, /*stream=*/true);
  std::vector<QueuedEvent> events;
  Allocated found;
  std::size_t bytes = 0;
  std::int64_t at_warm_up = 0;
  for (bool ended = false; !ended;) {
    queue.Next(kWithoutLimit, 64, &events);
    const std::size_t warm_up_bytes = kWarmUp * kPiece.size();
    const bool was_warm = bytes > warm_up_bytes;
    for (const QueuedEvent& event : events) {
      if (event.type == Event::Type::kDelta) bytes += event.text.size();
      ended = ended || event.type == Event::Type::kPost || event.type == Event::Type::kError;
    }
    if (!was_warm && bytes > warm_up_bytes) at_warm_up = allocations;
    found.by_reader = allocations - at_warm_up;
  }
  CHECK(call->Wait()->ok());
  generator->reset();
  found.deltas = observer->deltas;
  found.on_reactor = observer->allocated;
  return found;
}

TEST_CASE("a delta costs no allocation between the socket and the reader") {
  const Allocated found = StreamOnePost(/*allocating_observer=*/false);
  CHECK(found.deltas >= kDeltas);
  // Buffers double a few times.
  CHECK(found.on_reactor < 20);
  CHECK(found.by_reader < 20);
  const Allocated control = StreamOnePost(/*allocating_observer=*/true);
  CHECK(control.on_reactor >= kDeltas - kWarmUp);
}

// One stream whose reader may sleep, as a post feeds an EventQueue.
class QueuedStream {
 public:
  QueuedStream(LlmTestClient* client, const std::string& prompt) {
    LlmRequest request;
    request.model = "gpt-4o-mini";
    request.messages = {{Role::kUser, prompt}};
    request.stream = true;
    request.flow = flow_;
    LlmSink sink;
    sink.on_text = [this](std::string_view text) {
      delivered_ += text.size();
      Event delta;
      delta.type = Event::Type::kDelta;
      delta.call_id = 1;
      delta.version_number = 1;
      delta.text = text;
      delta.flow = flow_;
      observer_->OnEvent(delta);
      observer_->OnBurstEnd();
      first_text_.Notify();
    };
    sink.on_done = [this](LlmReply reply) {
      reply_ = std::move(reply);
      Event last;
      last.call_id = 1;
      observer_->OnEvent(last);
    };
    (*client)->Complete(std::move(request), cancel_.get_token(), std::move(sink));
  }

  // Reads until the end; how many bytes of text came.
  std::size_t Read() {
    std::size_t bytes = 0;
    std::vector<QueuedEvent> events;
    for (;;) {
      queue_.Next(kWithoutLimit, 64, &events);
      for (const QueuedEvent& event : events) {
        if (event.type == Event::Type::kPost) return bytes;
        bytes += event.text.size();
      }
    }
  }
  Notification* first_text() { return &first_text_; }
  std::size_t delivered() const { return delivered_; }  // on the client's thread
  bool paused() const { return flow_->paused(); }
  Code code() const { return CodeOf(reply_); }  // after Read()
  void Cancel() { cancel_.request_stop(); }

 private:
  const std::shared_ptr<Flow> flow_ = std::make_shared<Flow>();
  EventQueue queue_;
  const std::shared_ptr<Observer> observer_ = queue_.NewObserver(true);
  CancelSource cancel_;
  Notification first_text_;
  std::size_t delivered_ = 0;
  LlmReply reply_;
};

constexpr std::size_t kMuchPiece = std::size_t{16} << 10U;
constexpr std::size_t kMuchPieces = 2000;

// "much" in the prompt gets far more than all buffers on the way hold.
void ServeMuchOrLittle(RawConnection& peer) {
  const std::string much = Delta(std::string(kMuchPiece, 'x'));
  const std::string little = Delta("好");
  while (const auto request = peer.ReadRequest()) {
    const bool wants_much = request->find("much") != std::string::npos;
    peer.Send(kStreamHead);
    for (std::size_t n = 0; n < (wants_much ? kMuchPieces : 50); ++n) {
      if (!peer.Send(wants_much ? much : little)) return;
    }
    peer.Send(EndOfStream());
  }
}

TEST_CASE("one sleeping reader among 100 streams costs the others nothing and memory no more") {
  RawServer server(ServeMuchOrLittle);
  LlmOptions options;
  options.max_reply_bytes = std::int64_t{64} << 20U;
  LlmTestClient client(server.Url("/v1"), options);
  const auto delivered = [&client](const QueuedStream& stream) {
    std::size_t bytes = 0;
    RunOn(client.loop(), [&] { bytes = stream.delivered(); });
    return bytes;
  };

  QueuedStream sleeper(&client, "much");
  while (!sleeper.paused()) sleeper.first_text()->Wait();
  const std::size_t held = delivered(sleeper);
  CHECK(held < std::size_t{1} << 20U);
  std::vector<std::unique_ptr<QueuedStream>> others;
  for (int n = 0; n < 99; ++n) others.push_back(std::make_unique<QueuedStream>(&client, "little"));
  for (const auto& other : others) {
    CHECK(other->Read() == 50 * std::string_view("好").size());
    CHECK(other->code() == Code::kOk);
  }
  CHECK(delivered(sleeper) < held + (std::size_t{64} << 10U));

  SUBCASE("it gets everything in the end") {
    CHECK(sleeper.Read() == kMuchPieces * kMuchPiece);
    CHECK(sleeper.code() == Code::kOk);
  }
  SUBCASE("it can be cancelled") {
    sleeper.Cancel();
    CHECK(sleeper.Read() <= held + (std::size_t{64} << 10U));
    CHECK(sleeper.code() == Code::kCancelled);
  }
}

}  // namespace
}  // namespace postgen::testing
