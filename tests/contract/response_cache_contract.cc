#include "contract/response_cache_contract.h"

#include <atomic>
#include <future>
#include <limits>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kHour{3600};

}  // namespace

CacheKey TestCacheKey(unsigned n) {
  CacheKey key{};
  key[0] = static_cast<std::uint8_t>(n);
  key[1] = static_cast<std::uint8_t>(n >> 8U);
  key[31] = static_cast<std::uint8_t>(n * 7U);
  return key;
}

std::shared_ptr<const std::string> GetAndWait(ResponseCache* cache, const CacheKey& key) {
  auto answers = std::make_shared<std::atomic<int>>(0);
  auto answer = std::make_shared<std::promise<std::shared_ptr<const std::string>>>();
  std::future<std::shared_ptr<const std::string>> future = answer->get_future();
  cache->Get(key, [answers, answer](std::shared_ptr<const std::string> value) {
    if (answers->fetch_add(1) == 0) answer->set_value(std::move(value));
  });
  std::shared_ptr<const std::string> value = future.get();
  CHECK(answers->load() == 1);
  return value;
}

void CheckResponseCacheContract(const CacheUnderTest& under_test) {
  const std::unique_ptr<ResponseCache> cache = under_test.make();
  const CacheKey key = TestCacheKey(1);
  const auto get = [&](const CacheKey& k) { return GetAndWait(cache.get(), k); };

  SUBCASE("an unknown key is a miss") { CHECK(get(key) == nullptr); }

  SUBCASE("a value comes back byte for byte") {
    std::string value = "台積電";
    for (int byte = 0; byte < 256; ++byte) value += static_cast<char>(byte);
    cache->Put(key, value, kHour);
    REQUIRE(get(key) != nullptr);
    CHECK(*get(key) == value);
  }

  SUBCASE("an empty value is a hit") {
    cache->Put(key, "", kHour);
    REQUIRE(get(key) != nullptr);
    CHECK(get(key)->empty());
  }

  SUBCASE("keys that differ in one bit have their own values") {
    CacheKey other = key;
    other[31] = static_cast<std::uint8_t>(other[31] ^ 1U);
    cache->Put(key, "one", kHour);
    CHECK(get(other) == nullptr);
    cache->Put(other, "two", kHour);
    CHECK(*get(key) == "one");
    CHECK(*get(other) == "two");
  }

  SUBCASE("Put replaces value and time to live") {
    cache->Put(key, "old", seconds(10));
    cache->Put(key, "new", seconds(100));
    under_test.pass(seconds(50));
    REQUIRE(get(key) != nullptr);
    CHECK(*get(key) == "new");
  }

  SUBCASE("Erase forgets the key and no other") {
    cache->Put(key, "gone", kHour);
    cache->Put(TestCacheKey(2), "stays", kHour);
    cache->Erase(key);
    cache->Erase(TestCacheKey(3));
    CHECK(get(key) == nullptr);
    CHECK(get(TestCacheKey(2)) != nullptr);
  }

  SUBCASE("the time to live is counted from Put and not renewed by reads") {
    cache->Put(key, "value", milliseconds(1000));
    under_test.pass(milliseconds(900));
    CHECK(get(key) != nullptr);
    under_test.pass(milliseconds(200));
    CHECK(get(key) == nullptr);
    CHECK(get(key) == nullptr);
  }

  SUBCASE("a time to live of nothing or less keeps nothing and forgets what was there") {
    for (const milliseconds ttl : {milliseconds(0), milliseconds(-1), milliseconds::min()}) {
      cache->Put(key, "old", kHour);
      cache->Put(key, "new", ttl);
      CHECK(get(key) == nullptr);
    }
  }

  SUBCASE("the longest time to live does not overflow") {
    cache->Put(key, "value", milliseconds::max());
    under_test.pass(kHour);
    CHECK(get(key) != nullptr);
  }

  SUBCASE("a value outlives its entry and the cache") {
    std::unique_ptr<ResponseCache> short_lived = under_test.make();
    short_lived->Put(key, "value", kHour);
    const std::shared_ptr<const std::string> value = GetAndWait(short_lived.get(), key);
    short_lived->Erase(key);
    short_lived.reset();
    REQUIRE(value != nullptr);
    CHECK(*value == "value");
  }

  SUBCASE("threads may share it; a hit is always one whole value that was put under its key") {
    constexpr unsigned kKeys = 16;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (unsigned i = 0; i < 500; ++i) {
          const unsigned n = (i * 5 + t) % kKeys;
          const std::string value(100 + n, static_cast<char>('a' + n));
          if (i % 3 == 0) cache->Put(TestCacheKey(n), value, kHour);
          if (i % 17 == 0) cache->Erase(TestCacheKey(n));
          const auto hit = GetAndWait(cache.get(), TestCacheKey(n));
          if (hit != nullptr && *hit != value) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    cache->Put(key, "alive", kHour);
    CHECK(get(key) != nullptr);
  }
}

}  // namespace postgen
