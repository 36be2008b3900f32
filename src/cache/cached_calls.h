// Completions by way of the cache: a text that is there costs nothing, and all who ask for one that
// is not share one call, in this process and, where there is a FlightLock, with other processes.
//
//   look in memory ─► join the flight of that key ─► look in the cache, and take the lock
//                                                      │ found        │ ours     │ others write it
//                                                      ▼              ▼          ▼
//                                                   deliver ◄─ put ◄─ call   look again, in a while
//
// A flight is not its first caller's: it goes on while anyone waits for it. docs/caching.md has the
// rules.
#ifndef POSTGEN_SRC_CACHE_CACHED_CALLS_H_
#define POSTGEN_SRC_CACHE_CACHED_CALLS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cache/flight_lock.h"
#include "postgen/llm_client.h"
#include "postgen/response_cache.h"
#include "postgen/types.h"
#include "runtime/executor.h"

namespace postgen {

// All functions but Look(): on the executor's thread.
class CachedCalls {
 public:
  // The executor lives as long as anyone may still answer; all else must outlive its thread only.
  struct Parts {
    std::shared_ptr<Executor> executor;
    LlmClient* llm = nullptr;
    ResponseCache* cache = nullptr;   // null: none, and every call is its caller's own
    ResponseCache* memory = nullptr;  // what of `cache` answers within Get(); null: nothing does
    FlightLock* lock = nullptr;       // null: flights end with the process
    std::string scope;                // CacheScope()
    std::string endpoint;             // CacheEndpoint()
    std::chrono::milliseconds ttl{0};
    // Is a complete reply good enough to be kept?
    std::function<bool(const LlmReply&)> keeps;
  };

  // What a cache may cost a text that is not in it.
  static constexpr std::chrono::milliseconds kLookLimit{20};
  // How soon a text that another process writes is looked for again: after an eighth of what was
  // waited so far, within these.
  static constexpr std::chrono::milliseconds kShortestPause{20};
  static constexpr std::chrono::milliseconds kLongestPause{250};

  // Names who waits for a text. Never reused; 0 is nobody.
  using Ticket = std::uint64_t;

  explicit CachedCalls(Parts parts);
  ~CachedCalls();
  CachedCalls(const CachedCalls&) = delete;
  CachedCalls& operator=(const CachedCalls&) = delete;

  // As LlmClient::Complete, on the executor's thread and possibly before returning. A reply that
  // this caller does not pay for has Source::kCache and no attempts.
  Ticket Complete(std::string_view tenant, CacheMode mode, const LlmRequest& request, LlmSink sink);

  // No-op for a ticket whose call has ended. While others wait for the call it goes on, and this
  // sink hears no more. Else it is cancelled, and its end, which tells what it cost, is the last
  // that this sink hears.
  void Leave(Ticket ticket);

  // For people. Texts, but for the last two.
  struct View {
    std::int64_t hits = 0;      // found in the cache
    std::int64_t misses = 0;    // looked for and called for
    std::int64_t joined = 0;    // shared the flight of another in this process
    std::int64_t awaited = 0;   // flights that found another process writing their text
    std::int64_t too_late = 0;  // flights whose look took longer than kLookLimit
  };
  // Thread-safe.
  View Look() const;

 private:
  struct Member;
  struct Flight;
  using FlightPtr = std::shared_ptr<Flight>;
  struct KeyHash {
    std::size_t operator()(const CacheKey& key) const;
  };

  std::optional<LlmReply> FindInMemory(const CacheKey& key);
  std::optional<LlmReply> Decode(const CacheKey& key, const std::string& bytes);
  Ticket Add(const FlightPtr& flight, const LlmRequest& request, LlmSink sink);

  void LookUp(const FlightPtr& flight);
  void LimitLook(const FlightPtr& flight, int rounds);
  void OnLookedUp(const FlightPtr& flight, const std::shared_ptr<const std::string>& bytes);
  void AwaitOthers(const FlightPtr& flight);

  void Call(const FlightPtr& flight);
  LlmSink SinkOf(const FlightPtr& flight);
  void OnText(const FlightPtr& flight, std::string_view text);
  void OnReset(const FlightPtr& flight);
  void OnReply(const FlightPtr& flight, LlmReply reply);
  bool CallAgain(const FlightPtr& flight, LlmReply* reply);
  void KeepLock(const FlightPtr& flight);

  void Deliver(const std::map<Ticket, Member>& members, const LlmReply& reply);
  void Close(const FlightPtr& flight);

  const Parts parts_;
  std::unordered_map<CacheKey, FlightPtr, KeyHash> shared_;  // those that may be joined
  std::unordered_map<Ticket, FlightPtr> flights_;            // of everyone who waits
  Ticket next_ticket_ = 1;

  struct Counters {
    std::atomic<std::int64_t> hits{0};
    std::atomic<std::int64_t> misses{0};
    std::atomic<std::int64_t> joined{0};
    std::atomic<std::int64_t> awaited{0};
    std::atomic<std::int64_t> too_late{0};
  };
  Counters counters_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CACHE_CACHED_CALLS_H_
