// What is asked of a SQLite file, one blocking call each. Used on the store thread only.
#ifndef POSTGEN_SRC_STORE_SQLITE_DATABASE_H_
#define POSTGEN_SRC_STORE_SQLITE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgen/profile_store.h"
#include "store/request_ledger.h"
#include "store/spending_ledger.h"
#include "store/sqlite_file.h"

namespace postgen {

// Errors are kStore; kBusy where another process holds the file's lock: nothing was done, try
// again.
class SqliteDatabase {
 public:
  SqliteDatabase(std::string path, SqliteUse use) : path_(std::move(path)), use_(use) {}

  // Opens the file, unless it is open, and tells what posts are written with.
  Result<PostColumns> Check();

  // Writes rows in one transaction; one status for each row, in order: a row that is refused does
  // not keep the others from being stored. An error: none was written.
  Result<std::vector<Status>> Put(const std::vector<const PostRow*>& rows);

  Result<std::optional<PostRow>> Get(const std::string& post_id);
  Result<FoundProfile> FindProfile(std::int64_t kol_serial);
  Result<std::vector<std::string>> Migrate();

  // The operations of RequestLedger, whose table is made when it is first needed.
  Result<ClaimAnswer> Claim(const RequestClaim& claim);
  Status FinishClaim(const RequestClaim& claim);
  Status ReleaseClaim(const RequestClaim& claim);
  // As SpendingLedger::Add().
  Result<SpendingTotal> Spend(const SpendingEntry& entry);

 private:
  Status EnsureOpen();
  Status EnsureTable(const std::string& create);
  Status ChangeClaim(const std::string& sql, const RequestClaim& claim);
  Status PutRow(const PostRow& row, PostColumns columns, SqliteStatement* insert);
  Status Commit();
  Result<std::optional<PostRow>> Read(const std::string& post_id, PostColumns columns);

  const std::string path_;
  const SqliteUse use_;
  const LedgerSql ledger_ = MakeLedgerSql(SqlDialect::kSqlite);
  const SpendingSql spending_ = MakeSpendingSql(SqlDialect::kSqlite);
  std::unique_ptr<SqliteFile> file_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SQLITE_DATABASE_H_
