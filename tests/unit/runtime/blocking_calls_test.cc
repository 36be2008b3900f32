#include "runtime/blocking_calls.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/event_loop.h"
#include "support/notification.h"

namespace postgen {
namespace {

using testing::Notification;
using testing::RunOn;

TEST_CASE("a call runs on another thread, what it returns on the executor's") {
  EventLoop loop("test-loop");
  std::unique_ptr<BlockingCalls> calls;
  Notification done;
  std::thread::id called_on;
  bool returned_to_loop = false;
  RunOn(&loop, [&] {
    calls = std::make_unique<BlockingCalls>(&loop, 1);
    CHECK(calls->Run([&]() -> Task {
      called_on = std::this_thread::get_id();
      return [&] {
        returned_to_loop = loop.InThread() && called_on != std::this_thread::get_id();
        done.Notify();
      };
    }));
  });
  done.Wait();
  CHECK(returned_to_loop);
  RunOn(&loop, [&] { calls.reset(); });
}

TEST_CASE("calls run in their order, one at a time, and too many are refused") {
  EventLoop loop("test-loop");
  std::unique_ptr<BlockingCalls> calls;
  Notification begun;
  Notification go_on;
  Notification done;
  std::vector<int> order;
  RunOn(&loop, [&] {
    calls = std::make_unique<BlockingCalls>(&loop, 3);
    CHECK(calls->Run([&]() -> Task {
      begun.Notify();
      go_on.Wait();
      return [&] { order.push_back(1); };
    }));
  });
  begun.Wait();
  RunOn(&loop, [&] {
    CHECK(calls->Run([&]() -> Task { return [&] { order.push_back(2); }; }));
    CHECK(calls->Run([&]() -> Task {
      return [&] {
        order.push_back(3);
        done.Notify();
      };
    }));
    CHECK(!calls->Run([]() -> Task { return {}; }));
  });
  go_on.Notify();
  done.Wait();
  CHECK(order == std::vector<int>{1, 2, 3});
  RunOn(&loop, [&] { calls.reset(); });
}

TEST_CASE("its end does not wait for a call that hangs, and nothing comes back") {
  // Outlive the test with the thread that was left behind.
  struct Shared {
    Notification begun;
    Notification go_on;
    Notification ended;
    std::atomic<int> came_back = 0;
    std::atomic<int> ran_later = 0;
  };
  const auto shared = std::make_shared<Shared>();
  EventLoop loop("test-loop");
  std::unique_ptr<BlockingCalls> calls;
  RunOn(&loop, [&] {
    calls = std::make_unique<BlockingCalls>(&loop, 2);
    CHECK(calls->Run([shared]() -> Task {
      shared->begun.Notify();
      shared->go_on.Wait();
      // Destroyed with the call's answer, whether that was run or not.
      const std::shared_ptr<void> at_end(nullptr, [shared](void*) { shared->ended.Notify(); });
      return [shared, at_end] { ++shared->came_back; };
    }));
    CHECK(calls->Run([shared]() -> Task {
      ++shared->ran_later;
      return {};
    }));
  });
  shared->begun.Wait();
  RunOn(&loop, [&] { calls.reset(); });
  shared->go_on.Notify();
  shared->ended.Wait();
  RunOn(&loop, [] {});
  CHECK(shared->came_back == 0);
  CHECK(shared->ran_later == 0);
}

}  // namespace
}  // namespace postgen
