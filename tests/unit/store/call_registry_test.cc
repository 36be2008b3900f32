#include "store/call_registry.h"

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/event_loop.h"
#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::seconds;

Result<int> Late() { return Error(Code::kStore, "late"); }

struct Fixture {
  ManualExecutor executor;
  std::shared_ptr<CallRegistry> calls = std::make_shared<CallRegistry>(&executor);
  std::vector<Result<int>> answers;

  CallRegistry::Callback<int> Begin(seconds patience) {
    return calls->Begin<int>(executor.Now() + patience, Late,
                             [this](Result<int> answer) { answers.push_back(std::move(answer)); });
  }
};

TEST_CASE("a call ends once, with its first answer") {
  Fixture f;
  const auto finish = f.Begin(seconds(5));
  finish(1);
  finish(2);
  f.executor.Advance(seconds(10));
  REQUIRE(f.answers.size() == 1);
  CHECK(*f.answers[0] == 1);
  CHECK(f.executor.pending_timers() == 0);
}

TEST_CASE("a call without an answer ends at its deadline, and a later answer is dropped") {
  Fixture f;
  const auto finish = f.Begin(seconds(5));
  f.executor.Advance(seconds(4));
  CHECK(f.answers.empty());
  f.executor.Advance(seconds(1));
  finish(1);
  REQUIRE(f.answers.size() == 1);
  CHECK(f.answers[0].error().message == "late");
}

TEST_CASE("a call whose deadline has passed does not begin") {
  Fixture f;
  CHECK(!f.Begin(seconds(0)));
  REQUIRE(f.answers.size() == 1);
  CHECK(f.answers[0].error().message == "late");
}

TEST_CASE("closing ends the open calls and those that come later") {
  Fixture f;
  const auto first = f.Begin(seconds(5));
  const auto second = f.Begin(seconds(5));
  second(2);
  f.calls->Close();
  CHECK(!f.Begin(seconds(5)));
  first(1);
  REQUIRE(f.answers.size() == 3);
  CHECK(f.answers[1].error().code == Code::kClosed);
  CHECK(f.answers[2].error().code == Code::kClosed);
  CHECK(f.executor.pending_timers() == 0);
}

TEST_CASE("an answer after the registry is gone is dropped") {
  Fixture f;
  const auto finish = f.Begin(seconds(5));
  f.calls.reset();
  finish(1);
  CHECK(f.answers.empty());
}

TEST_CASE("RunAndWait runs its work on the loop, from the loop, and after the loop stopped") {
  EventLoop loop("test");
  std::optional<bool> in_thread;
  RunAndWait(&loop, [&] { in_thread = loop.InThread(); });
  CHECK(in_thread == true);

  RunAndWait(&loop, [&] { RunAndWait(&loop, [&] { in_thread.reset(); }); });
  CHECK(!in_thread.has_value());

  loop.Stop();
  RunAndWait(&loop, [&] { in_thread = loop.InThread(); });
  CHECK(in_thread == false);
}

}  // namespace
}  // namespace postgen
