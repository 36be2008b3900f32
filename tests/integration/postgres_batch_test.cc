// Rows that go to PostgreSQL in one transaction: what is wrong with one of them is that one's
// alone.
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "integration/postgres_test_database.h"
#include "support/notification.h"
#include "support/toxic_proxy.h"

namespace postgen {
namespace {

constexpr int kRows = 100;

std::string Numbered(int number) { return "row " + std::to_string(number); }

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Fixture {
  TestDatabase database;
  TestStores stores{database.Url()};

  Fixture() { REQUIRE(MigrateAndWait(stores.posts()).ok()); }

  // All at once, those of `poison` with `spoil`; the answers by number.
  template <typename Spoil>
  std::vector<Status> PutRows(PostStore* store, const std::set<int>& poison, Spoil spoil) {
    std::vector<Answers<void>> answers(kRows);
    for (int i = 0; i < kRows; ++i) {
      PostRow row = TestRow(Numbered(i));
      if (poison.contains(i)) spoil(&row);
      store->Put(row, Soon(), answers[static_cast<std::size_t>(i)].Callback());
    }
    std::vector<Status> result;
    result.reserve(answers.size());
    for (Answers<void>& answer : answers) result.push_back(answer.Wait(1).front());
    for (Answers<void>& answer : answers) CHECK(answer.SoFar().size() == 1);
    return result;
  }

  // Every answer is as it should be, and what is in the table is what was answered.
  void CheckRefused(const std::vector<Status>& answers, const std::set<int>& poison,
                    const std::string& why) const {
    for (int i = 0; i < kRows; ++i) {
      CAPTURE(i);
      const Status& answer = answers[static_cast<std::size_t>(i)];
      CHECK(answer.ok() == !poison.contains(i));
      if (answer.ok()) continue;
      CHECK(answer.error().code == Code::kStore);
      CHECK_MESSAGE(Contains(answer.error().message, why), answer.error().message);
      CHECK(!answer.error().details.transient);
    }
    CHECK(database.Query("SELECT count(*) FROM post_records") ==
          std::to_string(answers.size() - poison.size()));
    for (const int i : poison) {
      CHECK(database.Query("SELECT count(*) FROM post_records WHERE post_id = '" + Numbered(i) +
                           '\'') == "0");
    }
  }

  int Transactions() const {
    return std::stoi(database.Query("SELECT count(DISTINCT xmin::text) FROM post_records"));
  }
};

TEST_CASE("rows that wait together share transactions") {
  Fixture f;
  for (const Status& answer : f.PutRows(f.stores.posts(), {}, [](PostRow*) {})) CHECK(answer.ok());
  CHECK(f.Transactions() < kRows / 2);
}

TEST_CASE("a row that the server refuses is refused by itself, and the others are stored") {
  Fixture f;
  const auto spoil = [](PostRow* row) { row->trigger_type = std::string(101, 'x'); };
  std::set<int> poison;
  SUBCASE("in the middle") { poison = {57}; }
  SUBCASE("the first") { poison = {0}; }
  SUBCASE("the last") { poison = {kRows - 1}; }
  SUBCASE("several") { poison = {3, 4, 50, 98}; }
  SUBCASE("all") {
    for (int i = 0; i < kRows; ++i) poison.insert(i);
  }
  const auto answers = f.PutRows(f.stores.posts(), poison, spoil);
  f.CheckRefused(answers, poison, "longer than its column");
  if (poison.size() < kRows) CHECK(f.Transactions() < kRows / 2);
}

TEST_CASE("a row that is refused only when the transaction is committed is found, too") {
  Fixture f;
  f.database.Query(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF new.title = 'poison' THEN RAISE EXCEPTION 'x' USING ERRCODE = '23514'; END IF; "
      "RETURN new; END $$;"
      "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON post_records DEFERRABLE INITIALLY DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION refuse()");
  const std::set<int> poison = {20, 70};
  const auto answers =
      f.PutRows(f.stores.posts(), poison, [](PostRow* row) { row->title = "poison"; });
  f.CheckRefused(answers, poison, "23514");
}

TEST_CASE("another post under a stored id is a conflict by itself") {
  Fixture f;
  REQUIRE(PutAndWait(f.stores.posts(), TestRow(Numbered(10))).ok());
  const auto answers =
      f.PutRows(f.stores.posts(), {10}, [](PostRow* row) { row->content = "different"; });
  for (int i = 0; i < kRows; ++i) {
    CAPTURE(i);
    const Status& answer = answers[static_cast<std::size_t>(i)];
    REQUIRE(answer.ok() == (i != 10));
    if (!answer.ok()) CHECK(answer.error().code == Code::kConflict);
  }
  CHECK(f.database.Query("SELECT count(*) FROM post_records WHERE content = 'different'") == "0");
}

TEST_CASE("the answer to many rows is lost after the commit: each is there once") {
  Fixture f;
  testing::ToxicProxy proxy(std::stoi(f.database.server().port));
  TestServer server = f.database.server();
  server.port = std::to_string(proxy.port());
  const TestStores stores(server.Url(f.database.name()));
  REQUIRE(CheckAndWait(stores.posts()).ok());
  proxy.LoseAnswerTo("INSERT INTO post_records");
  for (const Status& answer : f.PutRows(stores.posts(), {}, [](PostRow*) {})) {
    CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
  }
  proxy.WaitUntilLost();
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == std::to_string(kRows));
}

TEST_CASE("rows for a server that lets nobody in are refused together, not one by one") {
  Fixture f;
  testing::ToxicProxy proxy(std::stoi(f.database.server().port));
  TestServer server = f.database.server();
  server.port = std::to_string(proxy.port());
  server.user = "turned_away_" + f.database.name();
  server.password = "before";
  f.database.Query("CREATE ROLE " + server.user +
                   " LOGIN PASSWORD 'before'; GRANT ALL ON post_records TO " + server.user);
  TestStores stores(server.Url(f.database.name()), /*pool_max=*/1);
  REQUIRE(PutAndWait(stores.posts(), TestRow("first")).ok());
  f.database.Query("ALTER ROLE " + server.user + " PASSWORD 'after'");
  proxy.ResetAll();
  const int before = proxy.accepted();
  // All of them before the first is looked at.
  testing::Notification put;
  stores.loop.Post([&] { put.Wait(); });
  std::vector<Answers<void>> answers(kRows);
  for (int i = 0; i < kRows; ++i) {
    stores.posts()->Put(TestRow(Numbered(i)), Soon(),
                        answers[static_cast<std::size_t>(i)].Callback());
  }
  put.Notify();
  for (Answers<void>& answer : answers) {
    const Status refused = answer.Wait(1).front();
    REQUIRE(!refused.ok());
    CHECK_MESSAGE(Contains(refused.error().message, "28P01"), refused.error().message);
  }
  CHECK(proxy.accepted() - before <= 4);  // 32 rows each
}

TEST_CASE("rows larger than every buffer on the way are written in one go") {
  Fixture f;
  constexpr std::size_t kMegabyte = std::size_t{1} << 20U;
  Answers<void> answers;
  for (int i = 0; i < 16; ++i) {
    PostRow row = TestRow(Numbered(i));
    row.content.assign(kMegabyte, 'x');
    f.stores.posts()->Put(row, Soon(), answers.Callback());
  }
  for (const Status& answer : answers.Wait(16)) {
    CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
  }
  CHECK(f.database.Query("SELECT count(*) FROM post_records WHERE length(content) = 1048576") ==
        "16");
}

TEST_CASE("rows that are held up do not hold up those that come after them") {
  Fixture f;
  f.database.Query(
      "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF new.title = 'held' THEN PERFORM pg_sleep(60); END IF; RETURN new; END $$;"
      "CREATE TRIGGER hold BEFORE INSERT ON post_records FOR EACH ROW EXECUTE FUNCTION hold()");
  Answers<void> held;
  PostRow row = TestRow("held");
  row.title = "held";
  f.stores.posts()->Put(row, Soon(), held.Callback());
  f.database.WaitFor(
      "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
      "AND datname = current_database()");
  CHECK(PutAndWait(f.stores.posts(), TestRow("free")).ok());
  CHECK(held.SoFar().empty());
}

}  // namespace
}  // namespace postgen
