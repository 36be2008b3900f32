#include "store/spending_ledger.h"

#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "runtime/event_loop.h"
#include "store/sqlite_stores.h"
#include "support/scoped.h"

namespace postgen {
namespace {

SpendingTotal Add(SpendingLedger* ledger, const SpendingEntry& entry) {
  const auto total = Await<SpendingTotal>([&](SpendingLedger::TotalCallback done) {
    ledger->Add(entry, std::chrono::steady_clock::now() + std::chrono::seconds(20),
                std::move(done));
  });
  REQUIRE(total.ok());
  return *total;
}

TEST_CASE("SQLite adds up what is spent, over processes and restarts") {
  const testing::TempFolder folder;
  EventLoop loop("test");
  const auto open = [&] {
    return NewSqliteSpending(
        std::make_shared<SqliteDatabase>(folder.File("posts.db"), SqliteUse::kStorePosts), &loop);
  };
  auto one = open();
  auto other = open();
  const SpendingTotal first = Add(one.get(), {.scope = "key", .amount = 600, .bound = 1000});
  CHECK(first.added);
  CHECK(first.spent == 600);
  CHECK(first.day > 20000);
  const SpendingTotal refused = Add(other.get(), {.scope = "key", .amount = 401, .bound = 1000});
  CHECK_FALSE(refused.added);
  CHECK(refused.day == first.day);
  CHECK(refused.spent == 600);
  CHECK(Add(other.get(), {.scope = "key", .amount = 400, .bound = 1000}).added);
  // Another key, and another day, have their own; what is more than all is refused at once.
  CHECK(Add(one.get(), {.scope = "other", .amount = 1000, .bound = 1000}).added);
  CHECK_FALSE(Add(one.get(), {.scope = "third", .amount = 1001, .bound = 1000}).added);
  CHECK(Add(one.get(), {.scope = "key", .day = first.day - 1, .amount = 7}).spent == 7);
  one.reset();
  other.reset();
  CHECK(Add(open().get(), {.scope = "key", .amount = -100}).spent == 900);
  CHECK(Add(open().get(), {.scope = "key", .amount = 500}).spent == 1400);  // unbounded
}

}  // namespace
}  // namespace postgen
