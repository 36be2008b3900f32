#include "llm/policy/concurrency.h"

#include <chrono>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::seconds;

const TimePoint kStart = TimePoint(std::chrono::hours(1));

void Fill(Concurrency* concurrency) {
  while (concurrency->HasRoom()) concurrency->Start();
}

TEST_CASE("all that the options allow, while nobody complains") {
  Concurrency concurrency(256);
  Fill(&concurrency);
  CHECK(concurrency.in_flight() == 256);
  concurrency.End(Strain::kNone, kStart, kStart + seconds(1));
  CHECK(concurrency.limit() == 256);
}

TEST_CASE("complaints of one moment count once") {
  Concurrency concurrency(100);
  Fill(&concurrency);
  for (int i = 0; i < 100; ++i) concurrency.End(Strain::kHighest, kStart, kStart + seconds(1));
  CHECK(concurrency.limit() == 50);
  Fill(&concurrency);
  concurrency.End(Strain::kHigh, kStart + seconds(2), kStart + seconds(3));
  CHECK(concurrency.limit() == 35);
}

TEST_CASE("it never ends at nothing, and recovers") {
  Concurrency concurrency(100);
  TimePoint now = kStart;
  for (int i = 0; i < 50; ++i) {
    now += seconds(1);
    concurrency.Start();
    concurrency.End(Strain::kHighest, now, now);
  }
  CHECK(concurrency.limit() == 1);
  int rounds = 0;
  for (; concurrency.limit() < 100 && rounds < 100; ++rounds) {
    now += seconds(1);
    Fill(&concurrency);
    while (concurrency.in_flight() > 0) concurrency.End(Strain::kNone, now, now);
  }
  CHECK(concurrency.limit() == 100);
  CHECK(rounds > 10);  // bit by bit
}

TEST_CASE("calls that do not fill the limit do not raise it") {
  Concurrency concurrency(100);
  Fill(&concurrency);
  while (concurrency.in_flight() > 0) concurrency.End(Strain::kHighest, kStart, kStart);
  const std::int64_t cut = concurrency.limit();
  for (int i = 0; i < 1000; ++i) {
    concurrency.Start();
    concurrency.End(Strain::kNone, kStart + seconds(20), kStart + seconds(21));
  }
  CHECK(concurrency.limit() == cut);
}

}  // namespace
}  // namespace postgen
