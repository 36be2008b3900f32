// The stores on a real PostgreSQL.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"
#include "store/postgres_stores.h"
#include "support/toxic_proxy.h"

namespace postgen {
namespace {

TEST_CASE("the PostgreSQL store keeps the contract of PostStore") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  CheckPostStoreContract([&] { return std::move(stores.stores.posts); });
}

TEST_CASE("profiles in PostgreSQL keep the contract of ProfileStore") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query(TestProfilesSql());
  CheckProfileStoreContract([&] { return std::move(stores.stores.profiles); });
}

TEST_CASE(
    "a profile that changed is seen at once by a refresh; an unknown KOL is no missing table") {
  const TestDatabase database;
  TestStores stores(database.Url(), 50, /*profiles_ttl_s=*/3600);
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  database.Query(TestProfilesSql());
  const auto nickname = [&] {
    const auto found = FindAndWait(stores.profiles(), 208);
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    REQUIRE(found->profile.has_value());
    return found->profile->nickname.value_or("");
  };
  CHECK(nickname() == "韭割哥");
  database.Query("UPDATE kol_profiles SET nickname = 'new' WHERE serial = '208'");
  CHECK(nickname() == "韭割哥");
  stores.profiles()->Refresh();
  CHECK(nickname() == "new");

  const auto unknown = FindAndWait(stores.profiles(), 4711);
  REQUIRE(unknown.ok());
  CHECK(!unknown->profile.has_value());
  CHECK(!unknown->stale);

  database.Query("DROP TABLE kol_profiles");
  const auto missing = FindAndWait(stores.profiles(), 4712);
  REQUIRE(!missing.ok());
  CHECK(missing.error().code == Code::kStore);
  stores.profiles()->Refresh();
  const auto last_known = FindAndWait(stores.profiles(), 208);
  REQUIRE(last_known.ok());
  CHECK(last_known->stale);
  CHECK(last_known->profile->nickname == "new");
}

TEST_CASE("however many ask for a profile at once, it is read once") {
  const TestDatabase database;
  testing::ToxicProxy proxy(std::stoi(database.server().port));
  TestServer server = database.server();
  server.port = std::to_string(proxy.port());
  {
    const TestStores direct(database.Url());
    REQUIRE(MigrateAndWait(direct.posts()).ok());
    database.Query(TestProfilesSql());
  }
  const TestStores stores(server.Url(database.name()), 50, /*profiles_ttl_s=*/3600);
  Answers<FoundProfile> answers;
  for (int i = 0; i < 100; ++i) stores.profiles()->Find(208, Soon(), answers.Callback());
  for (const auto& found : answers.Wait(100)) {
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    CHECK(found->profile == TestProfiles().front());
  }
  CHECK(proxy.accepted() == 1);  // statements at the same time would each have had a connection
}

TEST_CASE("rows are written as the app reads them") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(database.Query("SELECT created_at || ' ' || updated_at FROM post_records") ==
        "2026-11-23 15:00:00.678901 2026-11-23 15:00:00.678901");
  CHECK(database.Query("SELECT concat(kol_serial, ' ', session_id, ' ', views, ' ', status) "
                       "FROM post_records") == "208 1763900000123 0 draft");
  CHECK(database.Query("SELECT has_trending_topic FROM post_records") == "t");
}

TEST_CASE("a post that the app has moved on is still the same post") {
  const TestDatabase database;
  TestStores stores(database.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
  database.Query("UPDATE post_records SET status = 'published', updated_at = now(), views = 9");
  CHECK(PutAndWait(stores.posts(), TestRow("one")).ok());
  CHECK(database.Query("SELECT status FROM post_records") == "published");
}

TEST_CASE("a few connections serve many posts, and no more than pool_max are opened") {
  const TestDatabase database;
  TestStores stores(database.Url(), 3);
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  Answers<void> answers;
  for (int i = 0; i < 300; ++i) {
    stores.posts()->Put(TestRow(std::to_string(i)), Soon(), answers.Callback());
  }
  for (const Status& answer : answers.Wait(300)) CHECK(answer.ok());
  CHECK(database.Query("SELECT count(*) FROM post_records") == "300");
  // One of those counted is this one.
  CHECK(std::stoi(database.Query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")) <= 4);
}

TEST_CASE("posts and profiles of one URL share their connections, and a store's end ends them") {
  const TestDatabase database;
  const std::string count =
      "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
      "AND application_name = 'postgen'";
  {
    TestStores stores(database.Url());
    REQUIRE(MigrateAndWait(stores.posts()).ok());
    REQUIRE(FindAndWait(stores.profiles(), 1).ok());
    CHECK(database.Query(count) == "1");
    stores.stores.posts.reset();
    CHECK(FindAndWait(stores.profiles(), 2).ok());
    CHECK(database.Query(count) == "1");
  }
  // A backend ends a moment after its client.
  database.WaitFor("SELECT (" + count + ") = 0");
}

TEST_CASE("nothing of the session outlives a statement, as poolers need it") {
  const TestDatabase database;
  TestStores stores(database.Url(), 1);
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  REQUIRE(PutAndWait(stores.posts(), TestRow("one")).ok());
  // On our only connection nothing is left that another session would miss.
  // Other tests use the server's other databases.
  CHECK(database.Query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                       "(SELECT oid FROM pg_database WHERE datname = current_database())") == "0");
  CHECK(database.Query("SELECT state FROM pg_stat_activity WHERE datname = current_database() "
                       "AND application_name = 'postgen'") == "idle");
}

TEST_CASE("what is spent is added up in a table of our own, which migrate makes") {
  const TestDatabase database;
  TestStores one(database.Url());
  TestStores other(database.Url());
  const auto spend = [](const TestStores& stores, const SpendingEntry& entry) {
    return Await<SpendingTotal>([&](SpendingLedger::TotalCallback done) {
      stores.stores.spending->Add(entry, Soon(), std::move(done));
    });
  };
  const auto missing = spend(one, {.scope = "key", .amount = 1, .bound = 10});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == Code::kStore);
  CHECK_FALSE(missing.error().details.transient);
  CHECK(missing.error().message.find("migrate") != std::string::npos);

  REQUIRE(MigrateAndWait(one.posts()).ok());
  const auto first = spend(one, {.scope = "key", .amount = 600, .bound = 1000});
  REQUIRE(first.ok());
  CHECK(first->added);
  const auto refused = spend(other, {.scope = "key", .amount = 401, .bound = 1000});
  REQUIRE(refused.ok());
  CHECK_FALSE(refused->added);
  CHECK(refused->spent == 600);
  CHECK(refused->day == first->day);
  CHECK(spend(other, {.scope = "key", .amount = 400, .bound = 1000})->added);
  CHECK(spend(one, {.scope = "key", .day = first->day, .amount = -900})->spent == 100);
  CHECK(database.Query("SELECT day FROM postgen_spending") ==
        database.Query("SELECT (now() AT TIME ZONE 'UTC')::date - date '1970-01-01'"));

  // Many at once: no sum is passed, and none is lost.
  Answers<SpendingTotal> answers;
  for (int i = 0; i < 100; ++i) {
    const TestStores& stores = i % 2 == 0 ? one : other;
    stores.stores.spending->Add({.scope = "many", .amount = 30, .bound = 1000}, Soon(),
                                answers.Callback());
  }
  int added = 0;
  for (const Result<SpendingTotal>& total : answers.Wait(100)) added += total.ok() && total->added;
  CHECK(added == 33);
}

}  // namespace
}  // namespace postgen
