#include "cache/memory_cache.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <list>
#include <string>
#include <utility>

#include <absl/container/flat_hash_map.h>

#include "runtime/mutex.h"

namespace postgen {
namespace {

// Keeps now + ttl from overflowing.
constexpr std::chrono::milliseconds kMaxTtl = std::chrono::hours(24 * 365 * 10);

struct Entry {
  CacheKey key;
  std::shared_ptr<const std::string> value;
  TimePoint expires;
};

// Most recently used first.
using Entries = std::list<Entry>;

// A SHA-256 is as good a hash as any of its parts.
struct KeyHash {
  std::size_t operator()(const CacheKey& key) const {
    std::size_t hash = 0;
    std::memcpy(&hash, key.data(), sizeof hash);
    return hash;
  }
};

using Index = absl::flat_hash_map<CacheKey, Entries::iterator, KeyHash>;

// What an entry takes beside its value: the list's node with two links, the string and its control
// block, the index slot (the table is between 7/16 and 7/8 full), and the allocator's own for three
// blocks.
constexpr std::size_t kEntryOverhead = sizeof(Entry) + 2 * sizeof(void*) + sizeof(std::string) +
                                       2 * sizeof(void*) + 2 * sizeof(Index::value_type) +
                                       6 * sizeof(void*);

std::size_t SizeOf(const Entry& entry) { return kEntryOverhead + entry.value->capacity(); }

// One lock: a hit holds it for a look-up and a list splice, well under a microsecond, and saves a
// call that takes seconds; shards would only make the byte bound and the order of eviction
// approximate.
class MemoryCache final : public ResponseCache {
 public:
  MemoryCache(std::size_t max_bytes, std::function<TimePoint()> now)
      : max_bytes_(max_bytes), now_(std::move(now)) {}

  void Get(const CacheKey& key, GetCallback done) override { done(Find(key)); }

  void Put(const CacheKey& key, std::string value, std::chrono::milliseconds ttl) override {
    value.shrink_to_fit();
    Entries fresh;
    if (ttl > std::chrono::milliseconds::zero()) {
      fresh.push_back({key, std::make_shared<const std::string>(std::move(value)),
                       now_() + std::min(ttl, kMaxTtl)});
    }
    Entries dropped;  // outlives the lock: values are freed after it
    MutexLock lock(&mutex_);
    Remove(key, &dropped);
    if (fresh.empty() || SizeOf(fresh.front()) > max_bytes_) return;
    bytes_ += SizeOf(fresh.front());
    entries_.splice(entries_.begin(), fresh);
    index_.emplace(key, entries_.begin());
    while (bytes_ > max_bytes_) Remove(entries_.back().key, &dropped);
  }

  void Erase(const CacheKey& key) override {
    Entries dropped;
    MutexLock lock(&mutex_);
    Remove(key, &dropped);
  }

 private:
  std::shared_ptr<const std::string> Find(const CacheKey& key) {
    const TimePoint now = now_();
    Entries dropped;
    MutexLock lock(&mutex_);
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    if (it->second->expires <= now) {
      Remove(key, &dropped);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, it->second);
    return it->second->value;
  }

  // `key` by value: callers name the key of the entry that goes.
  void Remove(CacheKey key, Entries* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = index_.find(key);
    if (it == index_.end()) return;
    bytes_ -= SizeOf(*it->second);
    dropped->splice(dropped->begin(), entries_, it->second);
    index_.erase(it);
  }

  const std::size_t max_bytes_;
  const std::function<TimePoint()> now_;

  Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  Index index_ ABSL_GUARDED_BY(mutex_);
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::unique_ptr<ResponseCache> NewMemoryCacheWithClock(std::size_t max_bytes,
                                                       std::function<TimePoint()> now) {
  return std::make_unique<MemoryCache>(max_bytes, std::move(now));
}

std::unique_ptr<ResponseCache> NewMemoryCache(std::size_t max_bytes) {
  return NewMemoryCacheWithClock(max_bytes, [] { return std::chrono::steady_clock::now(); });
}

}  // namespace postgen
