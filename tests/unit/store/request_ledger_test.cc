#include "store/request_ledger.h"

#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "contract/post_store_calls.h"
#include "runtime/event_loop.h"
#include "store/sqlite_stores.h"
#include "support/scoped.h"

namespace postgen {
namespace {

using State = ClaimAnswer::State;

// Two processes on one file, as far as the ledger can tell.
struct Fixture {
  testing::TempFolder folder;
  std::string path = folder.File("posts.db");
  EventLoop loop{"test"};
  std::unique_ptr<RequestLedger> one = Open();
  std::unique_ptr<RequestLedger> other = Open();

  std::unique_ptr<RequestLedger> Open() {
    return NewSqliteLedger(std::make_shared<SqliteDatabase>(path, SqliteUse::kStorePosts), &loop);
  }
  static TimePoint Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }
  static RequestClaim Ask(const std::string& owner, const std::string& hash = "h") {
    return {.tenant = "t",
            .key = "k",
            .request_hash = hash,
            .post_id = "post-of-" + owner,
            .owner = owner};
  }
  static ClaimAnswer Claim(RequestLedger* ledger, const RequestClaim& claim) {
    auto answer = Await<ClaimAnswer>(
        [&](RequestLedger::ClaimCallback done) { ledger->Claim(claim, Soon(), std::move(done)); });
    REQUIRE(answer.ok());
    return *answer;
  }
  void Execute(const std::string& sql) const {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  }
};

TEST_CASE("a key is taken once, and told to the others with the owner's post id") {
  Fixture f;
  const ClaimAnswer first = Fixture::Claim(f.one.get(), Fixture::Ask("a"));
  CHECK(first.state == State::kOurs);
  CHECK(first.post_id == "post-of-a");
  const ClaimAnswer second = Fixture::Claim(f.other.get(), Fixture::Ask("b"));
  CHECK(second.state == State::kRunning);
  CHECK(second.post_id == "post-of-a");
  CHECK(Fixture::Claim(f.one.get(), Fixture::Ask("a")).state == State::kOurs);  // renewed
  CHECK(Fixture::Claim(f.other.get(), Fixture::Ask("b", "else")).state == State::kConflict);

  RequestClaim elsewhere = Fixture::Ask("b");
  elsewhere.tenant = "another";
  CHECK(Fixture::Claim(f.other.get(), elsewhere).state == State::kOurs);
}

TEST_CASE("a finished key tells its post; a released one is free; nobody else may do either") {
  Fixture f;
  const RequestClaim ours = Fixture::Ask("a");
  const auto end = [&](auto function, RequestLedger* ledger, const RequestClaim& claim) {
    CHECK(Await<void>([&](RequestLedger::DoneCallback done) {
            (ledger->*function)(claim, Fixture::Soon(), std::move(done));
          }).ok());
  };
  Fixture::Claim(f.one.get(), ours);
  end(&RequestLedger::Release, f.other.get(), Fixture::Ask("b"));
  CHECK(Fixture::Claim(f.other.get(), Fixture::Ask("b")).state == State::kRunning);
  end(&RequestLedger::Release, f.one.get(), ours);
  const ClaimAnswer next = Fixture::Claim(f.other.get(), Fixture::Ask("b"));
  CHECK(next.state == State::kOurs);
  CHECK(next.post_id == "post-of-b");
  end(&RequestLedger::Finish, f.other.get(), Fixture::Ask("b"));
  CHECK(Fixture::Claim(f.one.get(), ours).state == State::kDone);
  CHECK(Fixture::Claim(f.one.get(), Fixture::Ask("a", "else")).state == State::kConflict);
}

TEST_CASE("a lease that ended is taken over under the same post id; an expired key is free") {
  Fixture f;
  Fixture::Claim(f.one.get(), Fixture::Ask("a"));
  f.Execute("UPDATE postgen_requests SET lease_until_ms = 0");
  CHECK(Fixture::Claim(f.other.get(), Fixture::Ask("b", "else")).state == State::kConflict);
  const ClaimAnswer taken = Fixture::Claim(f.other.get(), Fixture::Ask("b"));
  CHECK(taken.state == State::kOurs);
  CHECK(taken.post_id == "post-of-a");
  CHECK(Fixture::Claim(f.one.get(), Fixture::Ask("a")).state == State::kRunning);

  f.Execute("UPDATE postgen_requests SET state = 'done', expires_at_ms = 0");
  const ClaimAnswer anew = Fixture::Claim(f.one.get(), Fixture::Ask("c", "else"));
  CHECK(anew.state == State::kOurs);
  CHECK(anew.post_id == "post-of-c");
}

}  // namespace
}  // namespace postgen
