#include "store/request_ledger.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "contract/request_ledger_contract.h"
#include "runtime/event_loop.h"
#include "store/sqlite_stores.h"
#include "support/scoped.h"

namespace postgen {
namespace {

TEST_CASE("requests in SQLite keep the contract of RequestLedger") {
  const testing::TempFolder folder;
  const std::string path = folder.File("posts.db");
  EventLoop loop{"test"};
  const auto open = [&] {
    return NewSqliteLedger(std::make_shared<SqliteDatabase>(path, SqliteUse::kStorePosts), &loop);
  };
  const std::unique_ptr<RequestLedger> one = open();
  const std::unique_ptr<RequestLedger> other = open();
  CheckRequestLedgerContract(one.get(), other.get(), [&](const std::string& sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    std::string told;
    const auto tell = [](void* out, int, char** values, char**) {
      *static_cast<std::string*>(out) = values[0];
      return 0;
    };
    CHECK(sqlite3_exec(database, sql.c_str(), tell, &told, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    return told;
  });
}

}  // namespace
}  // namespace postgen
