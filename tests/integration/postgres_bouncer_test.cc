// The stores through PgBouncer in transaction mode, where each transaction may meet another session
// of the server.
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "contract/request_ledger_contract.h"
#include "integration/postgres_test_database.h"
#include "support/pgbouncer.h"

namespace postgen {
namespace {

struct Fixture {
  explicit Fixture(int pool_size) : bouncer(server.port, server.user, server.password, pool_size) {}

  // Of the database, by way of the bouncer.
  std::string Url() const {
    TestServer pooled = server;
    pooled.port = std::to_string(bouncer.port());
    return pooled.Url(database.name());
  }

  TestDatabase database;
  TestServer server = database.server();
  testing::PgBouncer bouncer;
};

using Connection = std::unique_ptr<PGconn, void (*)(PGconn*)>;

std::string Query(PGconn* connection, const std::string& sql) {
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection, sql.c_str()),
                                                              PQclear);
  REQUIRE_MESSAGE(PQresultStatus(result.get()) != PGRES_FATAL_ERROR,
                  PQresultErrorMessage(result.get()));
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

TEST_CASE("a session is not the client's: what one of them sets another one meets") {
  const Fixture f(1);
  const Connection one(PQconnectdb(f.Url().c_str()), PQfinish);
  const Connection other(PQconnectdb(f.Url().c_str()), PQfinish);
  REQUIRE_MESSAGE(PQstatus(one.get()) == CONNECTION_OK, PQerrorMessage(one.get()));
  Query(one.get(), "SET statement_timeout = 123456");
  CHECK(Query(other.get(), "SHOW statement_timeout") == "123456ms");
}

TEST_CASE("posts by way of PgBouncer keep the contract of PostStore") {
  const Fixture f(2);
  TestStores stores(f.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  CheckPostStoreContract([&] { return std::move(stores.stores.posts); });
}

TEST_CASE("profiles by way of PgBouncer keep the contract of ProfileStore") {
  const Fixture f(2);
  TestStores stores(f.Url());
  REQUIRE(MigrateAndWait(stores.posts()).ok());
  f.database.Query(TestProfilesSql());
  CheckProfileStoreContract([&] { return std::move(stores.stores.profiles); });
}

TEST_CASE("requests by way of PgBouncer keep the contract of RequestLedger") {
  const Fixture f(2);
  const TestStores one(f.Url());
  const TestStores other(f.Url());
  REQUIRE(MigrateAndWait(one.posts()).ok());
  CheckRequestLedgerContract(one.stores.ledger.get(), other.stores.ledger.get(),
                             [&](const std::string& sql) { return f.database.Query(sql); });
}

TEST_CASE("many transactions of several stores share few sessions, whatever fails among them") {
  const Fixture f(2);
  const TestStores one(f.Url());
  const TestStores other(f.Url());
  REQUIRE(MigrateAndWait(one.posts()).ok());
  f.database.Query(TestProfilesSql());
  Answers<void> puts;
  Answers<void> poison;
  Answers<FoundProfile> finds;
  constexpr int kEach = 300;
  for (int i = 0; i < kEach; ++i) {
    const TestStores& stores = i % 2 == 0 ? one : other;
    PostRow row = TestRow(std::to_string(i));
    const bool spoilt = i % 50 == 0;
    if (spoilt) row.trigger_type = std::string(101, 'x');
    stores.posts()->Put(row, Soon(), spoilt ? poison.Callback() : puts.Callback());
    stores.profiles()->Find(208, Soon(), finds.Callback());
  }
  for (const auto& found : finds.Wait(kEach)) {
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    CHECK(found->profile == TestProfiles().front());
  }
  for (const Status& answer : poison.Wait(kEach / 50)) {
    REQUIRE(!answer.ok());
    CHECK(answer.error().message.find("22001") != std::string::npos);
  }
  for (const Status& answer : puts.Wait(kEach - kEach / 50)) {
    CHECK_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().message));
  }
  CHECK(f.database.Query("SELECT count(*) FROM post_records") ==
        std::to_string(kEach - kEach / 50));
  CHECK(f.database.Query("SELECT count(*) <= 2 FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                         "AND datname = current_database()") == "t");
}

}  // namespace
}  // namespace postgen
