#include "store/profile_cache.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/mutex.h"
#include "store/call_registry.h"

namespace postgen {
namespace {

// Far more than anyone has; it only bounds what requests for made-up KOLs can take.
constexpr std::size_t kMaxProfiles = 10000;

// A read may outlive the deadlines of those who wait for it: those who ask next profit.
constexpr auto kReadTimeout = std::chrono::seconds(10);

// After a failed read, what is known is said at once for so long.
constexpr auto kPauseAfterFailure = std::chrono::seconds(1);

struct CachedProfile {
  std::optional<KolProfile> profile;
  TimePoint fresh_until;
};

// What was read. Thread-safe.
class ProfileMemory {
 public:
  explicit ProfileMemory(Duration ttl) : ttl_(ttl) {}

  std::optional<FoundProfile> Fresh(std::int64_t serial, TimePoint now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    const auto cached = profiles_.find(serial);
    if (cached == profiles_.end() || cached->second.fresh_until <= now) return std::nullopt;
    return FoundProfile{.profile = cached->second.profile};
  }

  std::optional<FoundProfile> OfAnyAge(std::int64_t serial) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    const auto cached = profiles_.find(serial);
    if (cached == profiles_.end()) return std::nullopt;
    return FoundProfile{.profile = cached->second.profile, .stale = true};
  }

  // Changes with every Refresh(): tells whether a read began before or after it.
  std::uint64_t epoch() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    return epoch_;
  }

  void Keep(std::int64_t serial, std::optional<KolProfile> profile, TimePoint now,
            std::uint64_t read_in_epoch) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    if (profiles_.size() >= kMaxProfiles && !profiles_.contains(serial)) {
      profiles_.erase(profiles_.begin());
    }
    const TimePoint fresh_until = read_in_epoch == epoch_ ? now + ttl_ : now;
    profiles_.insert_or_assign(serial, CachedProfile{std::move(profile), fresh_until});
  }

  void Refresh() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    ++epoch_;
    for (auto& [serial, cached] : profiles_) cached.fresh_until = TimePoint::min();
  }

 private:
  const Duration ttl_;
  Mutex mutex_;
  std::unordered_map<std::int64_t, CachedProfile> profiles_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The reads under way, on the executor's thread.
class ProfileReads : public std::enable_shared_from_this<ProfileReads> {
 public:
  ProfileReads(std::unique_ptr<ProfileStore> inner, std::shared_ptr<ProfileMemory> memory,
               Executor* executor)
      : memory_(std::move(memory)),
        executor_(executor),
        calls_(std::make_shared<CallRegistry>(executor)),
        inner_(std::move(inner)) {}

  void Find(std::int64_t serial, TimePoint deadline, ProfileStore::FindCallback done) {
    // Somebody else's read may have ended meanwhile.
    if (auto found = memory_->Fresh(serial, executor_->Now())) {
      done(*std::move(found));
      return;
    }
    if (executor_->Now() < paused_until_) {
      if (auto known = memory_->OfAnyAge(serial)) {
        done(*std::move(known));
        return;
      }
    }
    auto finish = calls_->Begin<FoundProfile>(
        deadline, [memory = memory_, serial] { return LastKnown(*memory, serial, Late()); },
        std::move(done));
    if (!finish) return;
    const Key key = {serial, memory_->epoch()};
    const auto [waiting, first] = waiting_.try_emplace(key);
    waiting->second.push_back(std::move(finish));
    if (first) Read(key);
  }

  // Destroying the inner store ends its operations, which end ours.
  void Close() {
    inner_.reset();
    calls_->Close();
  }

 private:
  // A read that began before a Refresh() is not for those who ask after it.
  struct Key {
    std::int64_t serial;
    std::uint64_t epoch;

    friend bool operator<(const Key& a, const Key& b) {
      return std::tie(a.serial, a.epoch) < std::tie(b.serial, b.epoch);
    }
  };

  static Error Late() {
    return {Code::kStore, "the KOL's profile could not be read before the deadline"};
  }

  static Result<FoundProfile> LastKnown(ProfileMemory& memory, std::int64_t serial, Error error) {
    if (auto known = memory.OfAnyAge(serial)) return *std::move(known);
    return error;
  }

  void Read(Key key) {
    // The answer may come on any thread, possibly at once.
    inner_->Find(key.serial, executor_->Now() + kReadTimeout,
                 [self = shared_from_this(), key](Result<FoundProfile> result) {
                   self->executor_->Post([self, key, result = std::move(result)]() mutable {
                     self->OnRead(key, std::move(result));
                   });
                 });
  }

  void OnRead(Key key, Result<FoundProfile> result) {
    if (result.ok()) {
      memory_->Keep(key.serial, result->profile, executor_->Now(), key.epoch);
    } else {
      paused_until_ = executor_->Now() + kPauseAfterFailure;
      result = LastKnown(*memory_, key.serial, std::move(result).error());
    }
    auto waiting = waiting_.extract(key);
    if (waiting.empty()) return;
    for (const auto& finish : waiting.mapped()) finish(result);
  }

  const std::shared_ptr<ProfileMemory> memory_;
  Executor* const executor_;
  const std::shared_ptr<CallRegistry> calls_;
  std::unique_ptr<ProfileStore> inner_;
  std::map<Key, std::vector<ProfileStore::FindCallback>> waiting_;
  TimePoint paused_until_ = TimePoint::min();
};

class ProfileCache final : public ProfileStore {
 public:
  ProfileCache(std::unique_ptr<ProfileStore> inner, Duration ttl, Executor* executor)
      : executor_(executor),
        memory_(std::make_shared<ProfileMemory>(ttl)),
        reads_(std::make_shared<ProfileReads>(std::move(inner), memory_, executor)) {}

  ~ProfileCache() override {
    RunAndWait(executor_, [this] { reads_->Close(); });
  }

  // A hit is answered here: it does not wait behind what the executor's thread is doing.
  void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) override {
    if (auto found = memory_->Fresh(kol_serial, executor_->Now())) {
      done(*std::move(found));
      return;
    }
    executor_->Post([reads = reads_, kol_serial, deadline, done = std::move(done)]() mutable {
      reads->Find(kol_serial, deadline, std::move(done));
    });
  }

  void Refresh() override { memory_->Refresh(); }

 private:
  Executor* const executor_;
  const std::shared_ptr<ProfileMemory> memory_;
  const std::shared_ptr<ProfileReads> reads_;
};

}  // namespace

std::unique_ptr<ProfileStore> NewProfileCache(std::unique_ptr<ProfileStore> inner, Duration ttl,
                                              Executor* executor) {
  return std::make_unique<ProfileCache>(std::move(inner), ttl, executor);
}

}  // namespace postgen
