// What every ResponseCache must do, whatever it is made of.
//
//   TEST_CASE("MemoryCache keeps the contract of ResponseCache") {
//     CacheUnderTest cache = ...;
//     CheckResponseCacheContract(cache);
//   }
#ifndef POSTGEN_TESTS_CONTRACT_RESPONSE_CACHE_CONTRACT_H_
#define POSTGEN_TESTS_CONTRACT_RESPONSE_CACHE_CONTRACT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "postgen/response_cache.h"

namespace postgen {

struct CacheUnderTest {
  // A fresh, empty cache that holds at least 1 MiB.
  std::function<std::unique_ptr<ResponseCache>()> make;
  // Makes that much time pass for the caches made so far.
  std::function<void(std::chrono::milliseconds)> pass;
};

// Call it inside a TEST_CASE; its parts are SUBCASEs.
void CheckResponseCacheContract(const CacheUnderTest& under_test);

// A key that differs for every `n`.
CacheKey TestCacheKey(unsigned n);

// Get, waited for; checks that the callback came exactly once.
std::shared_ptr<const std::string> GetAndWait(ResponseCache* cache, const CacheKey& key);

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_RESPONSE_CACHE_CONTRACT_H_
