#include "runtime/manual_executor.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;

TEST_CASE("tasks run when told, in order, and never inline") {
  ManualExecutor executor;
  std::string ran;
  executor.Post([&] {
    ran += 'a';
    executor.Post([&] { ran += 'c'; });
    ran += 'b';
  });
  CHECK(ran.empty());
  executor.RunReady();
  CHECK(ran == "abc");
}

TEST_CASE("time moves only as far as it is told, and timers see their own instant") {
  ManualExecutor executor;
  const TimePoint start = executor.Now();
  std::vector<Duration> fired;
  const auto note = [&] { fired.push_back(executor.Now() - start); };
  executor.RunAt(start + milliseconds(20), note);
  executor.RunAt(start + milliseconds(10), note);
  executor.RunAt(start + milliseconds(31), note);
  executor.Advance(milliseconds(30));
  CHECK(fired == std::vector<Duration>{milliseconds(10), milliseconds(20)});
  CHECK(executor.Now() == start + milliseconds(30));
  CHECK(executor.pending_timers() == 1);
}

TEST_CASE("a timer of the past runs at the present instant") {
  ManualExecutor executor;
  const TimePoint start = executor.Now();
  Duration fired(-1);
  executor.RunAt(start - milliseconds(5), [&] { fired = executor.Now() - start; });
  executor.Advance(Duration(0));
  CHECK(fired == Duration(0));
}

TEST_CASE("a timer may set and cancel others") {
  ManualExecutor executor;
  std::string ran;
  TimerId doomed = 0;
  executor.RunAt(executor.Now() + milliseconds(1), [&] {
    ran += 'a';
    executor.CancelTimer(doomed);
    executor.RunAt(executor.Now() + milliseconds(1), [&] { ran += 'b'; });
  });
  doomed = executor.RunAt(executor.Now() + milliseconds(1), [&] { ran += 'x'; });
  executor.Advance(milliseconds(5));
  executor.CancelTimer(doomed);
  executor.CancelTimer(0);
  CHECK(ran == "ab");
}

}  // namespace
}  // namespace postgen
