#include "cache/memory_cache.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "contract/response_cache_contract.h"

namespace postgen {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Caches on one clock that moves when told.
struct TestClock {
  std::shared_ptr<TimePoint> now = std::make_shared<TimePoint>(hours(1));

  std::unique_ptr<ResponseCache> NewCache(std::size_t max_bytes) const {
    return NewMemoryCacheWithClock(max_bytes, [now = now] { return *now; });
  }
};

TEST_CASE("MemoryCache keeps the contract of ResponseCache") {
  const TestClock clock;
  CheckResponseCacheContract({[&] { return clock.NewCache(std::size_t{4} << 20U); },
                              [&](milliseconds time) { *clock.now += time; }});
}

TEST_CASE("NewMemoryCache runs on the real clock") {
  const std::unique_ptr<ResponseCache> cache = NewMemoryCache(std::size_t{1} << 20U);
  cache->Put(TestCacheKey(1), "value", hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
}

TEST_CASE("MemoryCache expires at the very instant") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(1 << 20);
  cache->Put(TestCacheKey(1), "value", seconds(5));
  *clock.now += seconds(5) - std::chrono::nanoseconds(1);
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
  *clock.now += std::chrono::nanoseconds(1);
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) == nullptr);
}

unsigned CountHits(ResponseCache* cache, unsigned keys) {
  unsigned hits = 0;
  for (unsigned n = 0; n < keys; ++n) {
    if (GetAndWait(cache, TestCacheKey(n)) != nullptr) ++hits;
  }
  return hits;
}

TEST_CASE("MemoryCache stays within its bytes and fills most of them") {
  const TestClock clock;
  constexpr std::size_t kMaxBytes = 100000;
  constexpr std::size_t kValueBytes = 1000;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(kMaxBytes);
  for (unsigned n = 0; n < 500; ++n) {
    cache->Put(TestCacheKey(n), std::string(kValueBytes, 'x'), hours(1));
  }
  const unsigned hits = CountHits(cache.get(), 500);
  CHECK(hits * kValueBytes < kMaxBytes);
  CHECK(hits * kValueBytes > kMaxBytes / 2);
  CHECK(GetAndWait(cache.get(), TestCacheKey(499)) != nullptr);
}

TEST_CASE("MemoryCache counts the bookkeeping of small values") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(10000);
  for (unsigned n = 0; n < 1000; ++n) cache->Put(TestCacheKey(n), "", hours(1));
  const unsigned hits = CountHits(cache.get(), 1000);
  CHECK(hits > 10);
  CHECK(hits < 100);
}

TEST_CASE("MemoryCache gives its bytes back on replacing, erasing and expiring") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(10000);
  const std::string value(6000, 'x');
  for (unsigned i = 0; i < 10; ++i) cache->Put(TestCacheKey(1), value, hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
  cache->Erase(TestCacheKey(1));
  cache->Put(TestCacheKey(2), value, seconds(1));
  cache->Put(TestCacheKey(3), "small", hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(2)) != nullptr);
  *clock.now += seconds(2);
  CHECK(GetAndWait(cache.get(), TestCacheKey(2)) == nullptr);
  cache->Put(TestCacheKey(4), value, hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(3)) != nullptr);
}

TEST_CASE("MemoryCache lets the least recently used go first") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(10000);
  const std::string value(2500, 'x');  // three fit
  cache->Put(TestCacheKey(1), value, hours(1));
  cache->Put(TestCacheKey(2), value, hours(1));
  cache->Put(TestCacheKey(3), value, hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);  // 2 is the oldest now
  cache->Put(TestCacheKey(4), value, hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
  CHECK(GetAndWait(cache.get(), TestCacheKey(2)) == nullptr);
  CHECK(GetAndWait(cache.get(), TestCacheKey(3)) != nullptr);
  CHECK(GetAndWait(cache.get(), TestCacheKey(4)) != nullptr);
}

TEST_CASE("MemoryCache does not empty itself for a value that cannot fit") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(10000);
  cache->Put(TestCacheKey(1), "one", hours(1));
  cache->Put(TestCacheKey(2), "two", hours(1));
  cache->Put(TestCacheKey(2), std::string(20000, 'x'), hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) != nullptr);
  CHECK(GetAndWait(cache.get(), TestCacheKey(2)) == nullptr);  // the newer one, not the stale one
}

TEST_CASE("MemoryCache of no bytes keeps nothing") {
  const TestClock clock;
  const std::unique_ptr<ResponseCache> cache = clock.NewCache(0);
  cache->Put(TestCacheKey(1), "", hours(1));
  CHECK(GetAndWait(cache.get(), TestCacheKey(1)) == nullptr);
}

}  // namespace
}  // namespace postgen
