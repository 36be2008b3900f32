// Connections and servers that fail: nothing is lost, nothing is written twice, nobody waits beyond
// a deadline.
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "integration/postgres_test_database.h"
#include "support/toxic_proxy.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint In(milliseconds patience) { return std::chrono::steady_clock::now() + patience; }

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Fixture {
  TestDatabase database;
  testing::ToxicProxy proxy{std::stoi(database.server().port)};
  TestStores stores{ProxyUrl()};

  Fixture() { REQUIRE(MigrateAndWait(stores.posts()).ok()); }

  std::string ProxyUrl() const {
    TestServer server = database.server();
    server.port = std::to_string(proxy.port());
    return server.Url(database.name());
  }

  void TerminateOthers() const {
    database.Query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  }
};

TEST_CASE("wrong credentials are told by the server's name, without the password") {
  const TestDatabase database;
  TestServer server = database.server();
  SUBCASE("password") {
    server.password = "canary-password";
    TestStores stores(server.Url(database.name()));
    const Status usable = CheckAndWait(stores.posts());
    REQUIRE(!usable.ok());
    CHECK(usable.error().code == Code::kStore);
    CHECK(Contains(usable.error().message, "refused the user name or the password"));
    CHECK(Contains(usable.error().message, server.host + ':' + server.port));
    CHECK(!Contains(usable.error().message, "canary"));
  }
  SUBCASE("user") {
    server.user = "nobody";
    TestStores stores(server.Url(database.name()));
    CHECK(Contains(CheckAndWait(stores.posts()).error().message, "28P01"));
  }
  SUBCASE("database") {
    TestStores stores(server.Url("nowhere"));
    CHECK(Contains(CheckAndWait(stores.posts()).error().message, "there is no such database"));
    CHECK(Contains(FindAndWait(stores.profiles(), 1).error().message, "there is no such database"));
  }
}

TEST_CASE("a server that is not there is an error soon, and is found when it is back") {
  Fixture f;
  f.proxy.Stop();
  const Status put = PutAndWait(f.stores.posts(), TestRow("one"));
  REQUIRE(!put.ok());
  CHECK(put.error().code == Code::kStore);
  CHECK(FindAndWait(f.stores.profiles(), 1).error().code == Code::kStore);
  f.proxy.Restart();
  CHECK(PutAndWait(f.stores.posts(), TestRow("one")).ok());
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
}

TEST_CASE("a server that has gone is told by the next check, however good the last one was") {
  Fixture f;
  REQUIRE(CheckAndWait(f.stores.posts()).ok());
  f.proxy.Stop();
  const Status check = CheckAndWait(f.stores.posts());
  REQUIRE(!check.ok());
  CHECK(check.error().code == Code::kStore);
  f.proxy.Restart();
  while (!CheckAndWait(f.stores.posts()).ok()) {
  }
  CHECK(PutAndWait(f.stores.posts(), TestRow("one")).ok());
}

TEST_CASE("connections that the server ended while they were idle are replaced unnoticed") {
  Fixture f;
  Answers<void> first;
  for (int i = 0; i < 20; ++i) {
    f.stores.posts()->Put(TestRow("a" + std::to_string(i)), Soon(), first.Callback());
  }
  for (const Status& answer : first.Wait(20)) CHECK(answer.ok());
  f.TerminateOthers();
  Answers<void> second;
  for (int i = 0; i < 20; ++i) {
    f.stores.posts()->Put(TestRow("b" + std::to_string(i)), Soon(), second.Callback());
  }
  for (const Status& answer : second.Wait(20)) {
    CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
  }
}

Result<SpendingTotal> SpendAndWait(const Fixture& f) {
  return Await<SpendingTotal>([&](SpendingLedger::TotalCallback done) {
    f.stores.stores.spending->Add({.scope = "key", .amount = 600}, Soon(), std::move(done));
  });
}

TEST_CASE("what is spent is not added again where the answer was lost") {
  Fixture f;
  f.proxy.LoseAnswerTo("INSERT INTO postgen_spending");
  const auto total = SpendAndWait(f);
  f.proxy.WaitUntilLost();
  REQUIRE(!total.ok());
  CHECK(total.error().details.transient);
  CHECK(f.database.Query("SELECT spent_micro_usd FROM postgen_spending") == "600");
}

TEST_CASE("what is spent is added again where the server refused to") {
  const Fixture f;
  f.database.Query(
      "CREATE SEQUENCE attempts; "
      "CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF nextval('attempts') = 1 THEN RAISE SQLSTATE '40001'; END IF; RETURN new; END $$;"
      "CREATE TRIGGER refuse_once BEFORE INSERT ON postgen_spending FOR EACH ROW "
      "EXECUTE FUNCTION refuse_once()");
  const auto total = SpendAndWait(f);
  REQUIRE_MESSAGE(total.ok(), total.error().message);
  CHECK(total->spent == 600);
}

TEST_CASE("an insert whose backend is terminated in the middle is done again: one row") {
  Fixture f;
  // The first insert sleeps until it is ended, the second does not.
  f.database.Query(
      "CREATE SEQUENCE attempts; "
      "CREATE FUNCTION sleep_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF nextval('attempts') = 1 THEN PERFORM pg_sleep(60); END IF; RETURN new; END $$;"
      "CREATE TRIGGER sleep_once BEFORE INSERT ON post_records FOR EACH ROW "
      "EXECUTE FUNCTION sleep_once()");
  Answers<void> answers;
  f.stores.posts()->Put(TestRow("one"), Soon(), answers.Callback());
  f.database.WaitFor(
      "SELECT count(*) = 1 FROM pg_stat_activity WHERE "
      "datname = current_database() AND wait_event = 'PgSleep'");
  CHECK(answers.SoFar().empty());
  f.TerminateOthers();
  CHECK(answers.Wait(1).front().ok());
  CHECK(f.database.Query("SELECT last_value FROM attempts") == "2");
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
}

TEST_CASE("an answer that was lost after the commit is asked for again: one row") {
  Fixture f;
  REQUIRE(CheckAndWait(f.stores.posts()).ok());
  f.proxy.LoseAnswerTo("INSERT INTO post_records");
  const Status put = PutAndWait(f.stores.posts(), TestRow("one"));
  f.proxy.WaitUntilLost();
  CHECK_MESSAGE(put.ok(), (put.ok() ? "" : put.error().message));
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
}

TEST_CASE("a network that is gone is an error by the deadline") {
  Fixture f;
  REQUIRE(CheckAndWait(f.stores.posts()).ok());
  f.proxy.SetUpstream({.timeout = milliseconds(0)});
  f.proxy.SetDownstream({.timeout = milliseconds(0)});
  const TimePoint deadline = In(milliseconds(300));
  Answers<void> answers;
  for (int i = 0; i < 5; ++i) {
    f.stores.posts()->Put(TestRow(std::to_string(i)), deadline, answers.Callback());
  }
  for (const Status& answer : answers.Wait(5)) {
    REQUIRE(!answer.ok());
    CHECK(answer.error().code == Code::kStore);
    CHECK(Contains(answer.error().message, "before the deadline"));
  }
  // And a store can go while its statements hang.
  f.stores.posts()->Put(TestRow("last"), Soon(), answers.Callback());
  f.stores.stores.posts.reset();
  CHECK(answers.SoFar().size() == 6);
}

TEST_CASE("a statement that takes too long ends by its deadline, and on the server soon after") {
  Fixture f;
  REQUIRE(PutAndWait(f.stores.posts(), TestRow("one")).ok());
  const int before = f.proxy.accepted();
  f.database.Query(
      "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN PERFORM pg_sleep(60); RETURN new; END $$;"
      "CREATE TRIGGER wait BEFORE INSERT ON post_records FOR EACH ROW EXECUTE FUNCTION wait()");
  const Status put = PutAndWait(f.stores.posts(), TestRow("slow"), In(milliseconds(300)));
  REQUIRE(!put.ok());
  CHECK(put.error().code == Code::kStore);
  CHECK(GetAndWait(f.stores.posts(), "one").ok());
  // Closing its connection alone would leave it there for a minute.
  f.database.WaitFor(
      "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
      "AND datname = current_database()");
  CHECK(f.proxy.accepted() == before + 2);  // another connection, and the request to cancel
}

TEST_CASE("a server without connections left is waited for") {
  const TestDatabase database;
  TestStores first(database.Url());
  REQUIRE(MigrateAndWait(first.posts()).ok());
  const std::string role = "single_" + database.name();
  database.Query("CREATE ROLE " + role +
                 " LOGIN PASSWORD 's' CONNECTION LIMIT 1;"
                 "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
                 role);
  TestServer server = database.server();
  server.user = role;
  server.password = "s";
  {
    TestStores stores(server.Url(database.name()));
    Answers<void> answers;
    for (int i = 0; i < 30; ++i) {
      stores.posts()->Put(TestRow(std::to_string(i)), Soon(), answers.Callback());
    }
    for (const Status& answer : answers.Wait(30)) {
      CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
    }
  }
  database.Query("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("what passes is tried again: one row") {
  for (const char* const sqlstate :
       {"40001", "40P01", "57P01", "57P02", "57P03", "53300", "55P03", "25006", "08006"}) {
    CAPTURE(sqlstate);
    Fixture f;
    // The first insert fails as the server would say it, the second does not.
    f.database.Query(
        "CREATE SEQUENCE attempts; "
        "CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('attempts') = 1 THEN RAISE EXCEPTION 'x' USING ERRCODE = '" +
        std::string(sqlstate) +
        "'; END IF; RETURN new; END $$;"
        "CREATE TRIGGER fail_once BEFORE INSERT ON post_records FOR EACH ROW "
        "EXECUTE FUNCTION fail_once()");
    CHECK(PutAndWait(f.stores.posts(), TestRow("one")).ok());
    CHECK(f.database.Query("SELECT last_value FROM attempts") == "2");
    CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
  }
}

TEST_CASE("what does not pass at once is an error that says whether it will") {
  struct Case {
    const char* sqlstate;
    bool transient;
  };
  for (const Case& c :
       {Case{"53100", true}, Case{"53200", true}, Case{"57014", true}, Case{"40001", true},
        Case{"23514", false}, Case{"22001", false}, Case{"42501", false}, Case{"P0001", false}}) {
    CAPTURE(c.sqlstate);
    Fixture f;
    f.database.Query(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'canary' USING ERRCODE = '" +
        std::string(c.sqlstate) +
        "'; END $$;"
        "CREATE TRIGGER fail BEFORE INSERT ON post_records FOR EACH ROW EXECUTE FUNCTION fail()");
    const Status put = PutAndWait(f.stores.posts(), TestRow("one"));
    REQUIRE(!put.ok());
    CHECK(put.error().code == Code::kStore);
    CHECK(put.error().details.transient == c.transient);
    CHECK(Contains(put.error().message, c.sqlstate));
    CHECK(!Contains(put.error().message, "canary"));
  }
}

TEST_CASE("a column that goes while the server runs is told once, and looked for again") {
  Fixture f;
  REQUIRE(PutAndWait(f.stores.posts(), TestRow("one")).ok());
  f.database.Query("ALTER TABLE post_records DROP COLUMN trigger_type");
  const Status put = PutAndWait(f.stores.posts(), TestRow("two"));
  REQUIRE(!put.ok());
  CHECK(Contains(put.error().message, "42703"));
  CHECK(Contains(put.error().message, "postgen migrate"));
  CHECK(Contains(CheckAndWait(f.stores.posts()).error().message, "trigger_type"));
  REQUIRE(MigrateAndWait(f.stores.posts()).ok());
  CHECK(PutAndWait(f.stores.posts(), TestRow("two")).ok());
}

}  // namespace
}  // namespace postgen
