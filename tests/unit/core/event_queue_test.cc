#include "postgen/event_queue.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <thread>

namespace postgen {
namespace {

using std::chrono::milliseconds;

bool Readable(const EventQueue& queue) {
  pollfd poll_fd{queue.event_fd(), POLLIN, 0};
  return ::poll(&poll_fd, 1, 0) == 1;
}

Event Delta(std::uint64_t call, int version, Event::Part part, std::string_view text) {
  Event event;
  event.type = Event::Type::kDelta;
  event.call_id = call;
  event.version_number = version;
  event.part = part;
  event.text = text;
  return event;
}

Event Plain(Event::Type type, std::uint64_t call, int version = 0) {
  Event event;
  event.type = type;
  event.call_id = call;
  event.version_number = version;
  return event;
}

std::vector<QueuedEvent> Drain(EventQueue* queue, std::size_t capacity = 1000) {
  std::vector<QueuedEvent> events;
  queue->Next(milliseconds(0), capacity, &events);
  return events;
}

TEST_CASE("an empty queue returns nothing and is not readable") {
  EventQueue queue;
  CHECK_FALSE(Readable(queue));
  CHECK(Drain(&queue).empty());
  std::vector<QueuedEvent> events(3);
  CHECK(queue.Next(milliseconds(1), 10, &events) == 0);
  CHECK(events.empty());
}

TEST_CASE("events come out in order, capacity bounds a pull, readable while some wait") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  for (std::uint64_t call = 1; call <= 3; ++call) {
    observer->OnEvent(Plain(Event::Type::kVersionStarted, call, 1));
  }
  CHECK(Readable(queue));
  const auto first = Drain(&queue, 2);
  REQUIRE(first.size() == 2);
  CHECK(first[0].call_id == 1);
  CHECK(first[1].call_id == 2);
  CHECK(Readable(queue));
  CHECK(Drain(&queue, 0).empty());
  const auto second = Drain(&queue, 2);
  REQUIRE(second.size() == 1);
  CHECK(second[0].call_id == 3);
  CHECK_FALSE(Readable(queue));
}

TEST_CASE("an observer of the final event alone passes posts and errors only") {
  EventQueue queue;
  const auto observer = queue.NewObserver(false);
  observer->OnEvent(Plain(Event::Type::kVersionStarted, 7, 1));
  observer->OnEvent(Delta(7, 1, Event::Part::kContent, "text"));
  observer->OnEvent(Plain(Event::Type::kVersionDone, 7, 1));
  CHECK(Drain(&queue).empty());
  Event post = Plain(Event::Type::kPost, 7);
  post.result = std::make_shared<const PostResult>();
  observer->OnEvent(post);
  observer->OnEvent(Plain(Event::Type::kError, 8));
  const auto events = Drain(&queue);
  REQUIRE(events.size() == 2);
  CHECK(events[0].result == post.result);
  CHECK(events[1].type == Event::Type::kError);
}

TEST_CASE("what an event shows outlives the event") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  {
    VersionResult version;
    version.title = "標題";
    Event done = Plain(Event::Type::kVersionDone, 1, 2);
    done.version = &version;
    observer->OnEvent(done);
    const std::string text = "short-lived";
    observer->OnEvent(Delta(1, 3, Event::Part::kTitle, text));
  }
  const auto events = Drain(&queue);
  REQUIRE(events.size() == 2);
  REQUIRE(events[0].version != nullptr);
  CHECK(events[0].version->title == "標題");
  CHECK(events[1].text == "short-lived");
}

TEST_CASE("waiting deltas of one part are joined, also between those of other versions") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  observer->OnEvent(Delta(1, 1, Event::Part::kTitle, "a"));
  observer->OnEvent(Delta(1, 2, Event::Part::kTitle, "x"));
  observer->OnEvent(Delta(1, 1, Event::Part::kTitle, "b"));
  observer->OnEvent(Delta(2, 1, Event::Part::kTitle, "p"));
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "c"));
  observer->OnEvent(Delta(1, 2, Event::Part::kTitle, "y"));
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "d"));
  observer->OnEvent(Delta(1, 1, Event::Part::kTitle, "e"));
  const auto events = Drain(&queue);
  REQUIRE(events.size() == 5);
  CHECK(events[0].text == "ab");
  CHECK(events[1].text == "xy");
  CHECK(events[2].text == "p");
  CHECK(events[3].text == "cd");
  CHECK(events[3].part == Event::Part::kContent);
  CHECK(events[4].text == "e");
}

TEST_CASE("deltas are not joined across another event of their version or after a pull") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "a"));
  observer->OnEvent(Plain(Event::Type::kVersionReset, 1, 1));
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "b"));
  auto events = Drain(&queue);
  REQUIRE(events.size() == 3);
  CHECK(events[0].text == "a");
  CHECK(events[2].text == "b");
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "c"));
  events = Drain(&queue);
  REQUIRE(events.size() == 1);
  CHECK(events[0].text == "c");
}

TEST_CASE("a joined delta stays within 64 KiB and loses nothing") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  const std::string piece(1000, 'z');
  for (int i = 0; i < 200; ++i) observer->OnEvent(Delta(1, 1, Event::Part::kContent, piece));
  const std::string large(100 * 1024, 'L');
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, large));
  const auto events = Drain(&queue);
  std::size_t total = 0;
  for (const QueuedEvent& event : events) {
    total += event.text.size();
    CHECK((event.text.size() <= 64 * 1024 || event.text == large));
  }
  CHECK(total == 200 * piece.size() + large.size());
  CHECK(events.size() == 5);
}

TEST_CASE("a wake ends one wait, also one that has not begun") {
  EventQueue queue;
  queue.Wake();
  CHECK(Readable(queue));
  std::vector<QueuedEvent> events;
  CHECK(queue.Next(milliseconds(-1), 10, &events) == 0);
  CHECK_FALSE(Readable(queue));

  std::thread waiter([&queue] {
    std::vector<QueuedEvent> none;
    queue.Next(milliseconds(-1), 10, &none);
  });
  queue.Wake();
  waiter.join();
}

TEST_CASE("two waiting threads both get something, however the events come") {
  EventQueue queue;
  const auto wait = [&queue] {
    std::vector<QueuedEvent> events;
    CHECK(queue.Next(milliseconds(-1), 1, &events) == 1);
  };
  std::thread a(wait);
  std::thread b(wait);
  const auto observer = queue.NewObserver(true);
  observer->OnEvent(Plain(Event::Type::kPost, 1));
  observer->OnEvent(Plain(Event::Type::kPost, 2));
  a.join();
  b.join();
  CHECK(Drain(&queue).empty());
}

TEST_CASE("the longest timeout does not overflow") {
  EventQueue queue;
  queue.NewObserver(true)->OnEvent(Plain(Event::Type::kPost, 1));
  std::vector<QueuedEvent> events;
  CHECK(queue.Next(milliseconds::max(), 1, &events) == 1);
  queue.Wake();
  CHECK(queue.Next(milliseconds::max(), 1, &events) == 0);
}

TEST_CASE("deltas wake a reader at the end of their burst") {
  EventQueue queue;
  const auto observer = queue.NewObserver(true);
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "a"));
  observer->OnEvent(Delta(1, 2, Event::Part::kContent, "b"));
  CHECK_FALSE(Readable(queue));
  observer->OnBurstEnd();
  CHECK(Readable(queue));
  CHECK(Drain(&queue).size() == 2);
  CHECK_FALSE(Readable(queue));
  observer->OnBurstEnd();
  CHECK_FALSE(Readable(queue));

  std::size_t taken = 0;
  std::thread reader([&] {
    std::vector<QueuedEvent> events;
    taken = queue.Next(milliseconds(-1), 10, &events);
  });
  observer->OnEvent(Delta(1, 1, Event::Part::kContent, "c"));
  observer->OnBurstEnd();
  reader.join();
  CHECK(taken == 1);
}

TEST_CASE("a version that nobody reads is held back until most of it has been taken") {
  auto queue = std::make_unique<EventQueue>();
  const auto observer = queue->NewObserver(true);
  const auto slow = std::make_shared<Flow>();
  const auto other = std::make_shared<Flow>();
  int resumed = 0;
  slow->SetOnResume([&] { ++resumed; });
  Event delta = Delta(1, 1, Event::Part::kContent, {});
  const std::string piece(16 * 1024, 'x');
  delta.text = piece;
  delta.flow = slow;
  for (int n = 0; n < 4; ++n) observer->OnEvent(delta);
  CHECK_FALSE(slow->paused());
  observer->OnEvent(delta);
  CHECK(slow->paused());
  Event short_delta = Delta(1, 2, Event::Part::kContent, "short");
  short_delta.flow = other;
  observer->OnEvent(short_delta);
  CHECK_FALSE(other->paused());

  SUBCASE("taking it resumes it, once") {
    CHECK(Drain(queue.get(), 1).at(0).text.size() == 4 * piece.size());
    CHECK_FALSE(slow->paused());
    CHECK(resumed == 1);
    CHECK(Drain(queue.get()).size() == 2);
    CHECK(resumed == 1);
    observer->OnEvent(delta);
    CHECK_FALSE(slow->paused());
  }
  SUBCASE("so does the end of the queue") {
    queue.reset();
    CHECK_FALSE(slow->paused());
    CHECK(resumed == 1);
  }
}

TEST_CASE(
    "a call that is held is paused with its next delta, whatever is taken, until its release") {
  auto queue = std::make_unique<EventQueue>();
  const auto observer = queue->NewObserver(true);
  const std::shared_ptr<Flow> flows[] = {std::make_shared<Flow>(), std::make_shared<Flow>(),
                                         std::make_shared<Flow>()};
  const auto deliver = [&] {
    for (const std::size_t i : {0U, 1U, 2U}) {
      Event delta = Delta(i < 2 ? 1 : 2, static_cast<int>(i) + 1, Event::Part::kContent, "x");
      delta.flow = flows[i];
      observer->OnEvent(delta);
    }
  };
  deliver();
  queue->Hold(1);
  CHECK_FALSE(flows[0]->paused());
  deliver();
  CHECK(flows[0]->paused());
  CHECK(flows[1]->paused());
  CHECK_FALSE(flows[2]->paused());  // another call
  CHECK(Drain(queue.get()).size() == 3);
  CHECK(flows[0]->paused());

  SUBCASE("its release") {
    queue->Release(1);
    queue->Release(1);
  }
  SUBCASE("the end of the queue") { queue.reset(); }
  CHECK_FALSE(flows[0]->paused());
  CHECK_FALSE(flows[1]->paused());
  deliver();
  CHECK_FALSE(flows[0]->paused());
}

TEST_CASE("an observer outlives its queue") {
  std::shared_ptr<Observer> observer;
  {
    EventQueue queue;
    observer = queue.NewObserver(true);
  }
  observer->OnEvent(Plain(Event::Type::kPost, 1));
}

TEST_CASE("texts of several threads arrive whole and in order") {
  EventQueue queue;
  constexpr int kVersions = 4;
  constexpr int kPieces = 2000;
  std::vector<std::thread> writers;
  for (int version = 1; version <= kVersions; ++version) {
    writers.emplace_back([&queue, version] {
      const auto observer = queue.NewObserver(true);
      for (int i = 0; i < kPieces; ++i) {
        observer->OnEvent(Delta(1, version, Event::Part::kContent, std::to_string(i) + ","));
      }
      observer->OnEvent(Plain(Event::Type::kVersionDone, 1, version));
    });
  }
  std::string expected;
  for (int i = 0; i < kPieces; ++i) expected += std::to_string(i) + ",";
  std::vector<std::string> texts(kVersions + 1);
  int done = 0;
  while (done < kVersions) {
    std::vector<QueuedEvent> events;
    queue.Next(milliseconds(-1), 16, &events);
    for (const QueuedEvent& event : events) {
      texts[static_cast<std::size_t>(event.version_number)] += event.text;
      if (event.type == Event::Type::kVersionDone) ++done;
    }
  }
  for (std::thread& writer : writers) writer.join();
  for (int version = 1; version <= kVersions; ++version) {
    CHECK(texts[static_cast<std::size_t>(version)] == expected);
  }
}

}  // namespace
}  // namespace postgen
