#include "store/profile_cache.h"

#include <chrono>
#include <deque>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "contract/profile_store_contract.h"
#include "runtime/event_loop.h"
#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kTtl = seconds(60);

// Answers when it is told to: a store that is slow or away, which a real one cannot be made to be
// at a chosen moment.
struct SlowReads {
  std::deque<ProfileStore::FindCallback> open;

  void Answer(Result<FoundProfile> answer) {
    const ProfileStore::FindCallback done = std::move(open.front());
    open.pop_front();
    done(std::move(answer));
  }
};

class SlowProfileStore final : public ProfileStore {
 public:
  explicit SlowProfileStore(SlowReads* reads) : reads_(reads) {}
  ~SlowProfileStore() override {
    while (!reads_->open.empty()) reads_->Answer(Error(Code::kClosed, "closed"));
  }
  void Find(std::int64_t /*kol_serial*/, TimePoint /*deadline*/, FindCallback done) override {
    reads_->open.push_back(std::move(done));
  }

 private:
  SlowReads* const reads_;
};

FoundProfile Named(const std::string& nickname) {
  FoundProfile found;
  found.profile.emplace().nickname = nickname;
  return found;
}

struct Fixture {
  ManualExecutor executor;
  SlowReads reads;
  std::unique_ptr<ProfileStore> cache =
      NewProfileCache(std::make_unique<SlowProfileStore>(&reads), kTtl, &executor);
  std::vector<std::string> answers;  // nicknames, "absent" or the error's code; "stale " before it

  void Find(std::int64_t serial = 1, seconds patience = seconds(5)) {
    cache->Find(serial, executor.Now() + patience, [this](Result<FoundProfile> found) {
      if (!found.ok()) {
        answers.emplace_back(CodeName(found.error().code));
        return;
      }
      const std::string name = found->profile ? *found->profile->nickname : "absent";
      answers.push_back(found->stale ? "stale " + name : name);
    });
    executor.RunReady();
  }

  void Answer(Result<FoundProfile> answer) {
    reads.Answer(std::move(answer));
    executor.RunReady();
  }

  // What was answered since the last time.
  std::vector<std::string> Take() { return std::exchange(answers, {}); }
};

using Strings = std::vector<std::string>;

const Error kAway(Code::kStore, "away");

TEST_CASE("a profile is read once in its time to live") {
  Fixture f;
  f.Find();
  f.Answer(Named("a"));
  f.executor.Advance(kTtl - milliseconds(1));
  f.Find();
  CHECK(f.Take() == Strings{"a", "a"});
  CHECK(f.reads.open.empty());
  f.executor.Advance(milliseconds(1));
  f.Find();
  REQUIRE(f.reads.open.size() == 1);
  f.Answer(Named("b"));
  CHECK(f.Take() == Strings{"b"});
}

TEST_CASE("that a KOL is absent is remembered too") {
  Fixture f;
  f.Find();
  f.Answer(FoundProfile());
  f.Find();
  CHECK(f.Take() == Strings{"absent", "absent"});
}

TEST_CASE("many who ask at once share one read, each KOL has its own") {
  Fixture f;
  for (int i = 0; i < 10; ++i) f.Find(1);
  f.Find(2);
  REQUIRE(f.reads.open.size() == 2);
  f.Answer(Named("a"));
  CHECK(f.Take() == Strings(10, "a"));
  f.Answer(Named("b"));
  CHECK(f.Take() == Strings{"b"});
}

TEST_CASE("when a read fails, what was last read is said, marked stale, however old") {
  Fixture f;
  f.Find();
  f.Answer(Named("a"));
  f.Take();
  f.executor.Advance(std::chrono::hours(100));
  f.Find();
  f.Answer(kAway);
  CHECK(f.Take() == Strings{"stale a"});

  SUBCASE("for a moment without asking again") {
    f.Find();
    CHECK(f.reads.open.empty());
    CHECK(f.Take() == Strings{"stale a"});
  }
  SUBCASE("then it is asked again") {
    f.executor.Advance(seconds(1));
    f.Find();
    f.Answer(Named("b"));
    CHECK(f.Take() == Strings{"b"});
  }
}

TEST_CASE("a read that fails is an error where nothing was ever read") {
  Fixture f;
  f.Find();
  f.Answer(kAway);
  CHECK(f.Take() == Strings{"store"});
}

TEST_CASE("a slow read is not waited for beyond the deadline, but its answer is kept") {
  Fixture f;
  f.Find(1, seconds(2));
  f.executor.Advance(seconds(2));
  CHECK(f.Take() == Strings{"store"});
  f.Answer(Named("a"));
  f.Find();
  CHECK(f.Take() == Strings{"a"});

  f.executor.Advance(kTtl);
  f.Find(1, seconds(2));
  f.executor.Advance(seconds(2));
  CHECK(f.Take() == Strings{"stale a"});
}

TEST_CASE("after Refresh() a profile is read anew, by a read that began after it") {
  Fixture f;
  f.Find();
  f.Answer(Named("a"));
  f.Take();
  f.cache->Refresh();
  f.Find();
  f.cache->Refresh();
  f.Find();
  REQUIRE(f.reads.open.size() == 2);
  f.Answer(Named("old"));
  CHECK(f.Take() == Strings{"old"});
  f.Answer(Named("new"));
  CHECK(f.Take() == Strings{"new"});
  f.Find();
  CHECK(f.Take() == Strings{"new"});
}

TEST_CASE("destroying the cache ends what is open") {
  Fixture f;
  f.Find();
  f.cache.reset();
  f.executor.RunReady();
  CHECK(f.Take() == Strings{"closed"});
}

TEST_CASE("cached profiles keep the contract of ProfileStore") {
  EventLoop loop("test");
  CheckProfileStoreContract(
      [&] { return NewProfileCache(NewMemoryProfileStore(TestProfiles()), kTtl, &loop); });
}

}  // namespace
}  // namespace postgen
