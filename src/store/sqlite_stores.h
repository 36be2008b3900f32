// Posts and profiles in one SQLite file.
#ifndef POSTGEN_SRC_STORE_SQLITE_STORES_H_
#define POSTGEN_SRC_STORE_SQLITE_STORES_H_

#include <memory>

#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "runtime/executor.h"
#include "store/request_ledger.h"
#include "store/spending_ledger.h"
#include "store/sqlite_database.h"

namespace postgen {

// Stores of one database share its open file, and must have the same executor, which outlives them.
std::unique_ptr<PostStore> NewSqlitePostStore(std::shared_ptr<SqliteDatabase> database,
                                              Executor* executor);
std::unique_ptr<ProfileStore> NewSqliteProfileStore(std::shared_ptr<SqliteDatabase> database,
                                                    Executor* executor);
std::unique_ptr<RequestLedger> NewSqliteLedger(std::shared_ptr<SqliteDatabase> database,
                                               Executor* executor);
std::unique_ptr<SpendingLedger> NewSqliteSpending(std::shared_ptr<SqliteDatabase> database,
                                                  Executor* executor);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SQLITE_STORES_H_
