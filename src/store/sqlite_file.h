// Thin ownership over SQLite: opening a file with the checks that keep other people's files whole,
// and statements. Not thread-safe; used on the store thread.
//
// SQLite keeps locks for the whole process, and lists of what the process has locked in files. So
// whatever enters it holds forks back (ForkHold), as whoever uses this does from the begin to the
// end of a transaction: a child then finds SQLite at rest.
#ifndef POSTGEN_SRC_STORE_SQLITE_FILE_H_
#define POSTGEN_SRC_STORE_SQLITE_FILE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sqlite3.h>

#include "postgen/error.h"
#include "runtime/fork_hold.h"
#include "store/schema.h"

namespace postgen {

enum class SqliteUse {
  kReadProfiles,  // nothing is created or changed
  kStorePosts,    // the file and its tables are created where they are missing
};

// One open file. Errors are kStore and name the file; a file locked by another process is kBusy,
// which callers try again.
class SqliteFile {
 public:
  // Refuses, and leaves as they are, files that are no database, are damaged, belong to another
  // program or are of a later version of ours.
  static Result<std::unique_ptr<SqliteFile>> Open(const std::string& path, SqliteUse use);

  // Opens or creates a file of ours whose one user is this process: `create_sql` is run in a new
  // one. Code::kStore where it is damaged, of another application_id or of a later version; it is
  // then left as it is.
  static Result<std::unique_ptr<SqliteFile>> OpenOwn(const std::string& path,
                                                     std::int64_t application_id,
                                                     const std::string& create_sql);

  // Does an error of this class say that the file's bytes are not those of a database of ours?
  static bool SaysDamaged(const Error& error);

  // Moves the log into the file, all synced anew: after a failed write nobody knows what of the log
  // ever came to the disk.
  Status Settle();

  // Runs statements that return nothing.
  Status Execute(const std::string& sql);
  // Empty: there is no such table.
  Result<ColumnNames> Columns(std::string_view table);
  // What opening created, a line for each.
  const std::vector<std::string>& created() const { return created_; }
  bool InTransaction() const { return sqlite3_get_autocommit(database_.get()) == 0; }
  // The file was removed or replaced while it was open: what is written to it is lost.
  bool HasMoved() const;
  // Rows that the last INSERT wrote.
  int changes() const { return sqlite3_changes(database_.get()); }

 private:
  friend class SqliteStatement;
  struct Closer {
    void operator()(sqlite3* database) const;
  };

  explicit SqliteFile(std::string path) : path_(std::move(path)) {}
  Status Connect(SqliteUse use);
  Status RefuseForeign(SqliteUse use);
  Status RefuseDamaged();
  Status RefuseLater();
  Status BecomeDurable();
  Status CreateMissingTables();
  Result<std::int64_t> QueryInteger(const std::string& sql);
  Error FailureOf(int code) const;

  const std::string path_;
  std::unique_ptr<sqlite3, Closer> database_;
  std::vector<std::string> created_;
};

// One prepared statement. REQUIRES: its file outlives it.
class SqliteStatement {
 public:
  static Result<SqliteStatement> Prepare(SqliteFile* file, const std::string& sql);

  // Starts over with these values for the statement's parameters, which are borrowed until the next
  // Bind.
  Status Bind(std::span<const SqlValue> values);
  // True: there is a row to read.
  Result<bool> Step();
  // Of the current row; texts are borrowed until the next Step or Bind.
  SqlValue Column(int index, SqlKind kind) const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  SqliteStatement(SqliteFile* file, sqlite3_stmt* statement) : file_(file), statement_(statement) {}

  ForkHold hold_;  // a statement that is not at its end reads, or writes
  SqliteFile* file_;
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SQLITE_FILE_H_
