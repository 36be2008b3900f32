#include "store/sqlite_file.h"

#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "store/time_text.h"

namespace postgen {
namespace {

// In the header of every file that postgen made: "pgen".
constexpr std::int64_t kApplicationId = 0x7067656e;

// Of the tables of our files, in their headers (user_version). A later one may mean anything.
constexpr std::int64_t kFormat = 1;

// Locks held for longer are waited for by the caller, who leaves the thread to others meanwhile.
constexpr int kBusyTimeoutMs = 20;

// Larger files are not read through when they are opened; damage is then noticed when it is met.
constexpr std::uintmax_t kMaxCheckedBytes = std::uintmax_t{256} << 20U;

// Writes whose file it is, and of which format, into its header.
std::string MarkSql(std::int64_t application_id) {
  return "PRAGMA application_id = " + std::to_string(application_id) +
         "; PRAGMA user_version = " + std::to_string(kFormat) + "; ";
}

// Where it cannot be told, as if the file were large.
std::uintmax_t FileSize(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  return error ? kMaxCheckedBytes + 1 : size;
}

// The open connections of this process. Used under a ForkHold, so a child finds it unlocked.
class OpenConnections {
 public:
  void Add(sqlite3* connection) {
    const std::lock_guard<std::mutex> lock(mutex_);
    connections_.insert(connection);
  }

  // False: it is not open any more.
  bool Remove(sqlite3* connection) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return connections_.erase(connection) > 0;
  }

  // Those of the process that this one was forked from. SQLite, which knows no forks, would rely on
  // the locks that they have on their files and that no child inherits: others would then remove
  // the log that this process writes.
  void CloseInherited() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pid_ == getpid()) return;
    for (sqlite3* const connection : std::exchange(connections_, {})) {
      // The file's log stays as it is: it is the parent's.
      sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
      sqlite3_close_v2(connection);
    }
    pid_ = getpid();
  }

 private:
  std::mutex mutex_;
  std::set<sqlite3*> connections_;
  pid_t pid_ = getpid();
};

// Never destroyed, as generators may outlive static objects. REQUIRES: a ForkHold.
OpenConnections& AllConnections() {
  static OpenConnections& all = *new OpenConnections;
  return all;
}

}  // namespace

void SqliteFile::Closer::operator()(sqlite3* database) const {
  const ForkHold hold;
  if (AllConnections().Remove(database)) sqlite3_close_v2(database);
}

Result<std::unique_ptr<SqliteFile>> SqliteFile::Open(const std::string& path, SqliteUse use) {
  std::unique_ptr<SqliteFile> file(new SqliteFile(path));
  if (Status status = file->Connect(use); !status.ok()) return std::move(status).error();
  if (Status status = file->RefuseForeign(use); !status.ok()) return std::move(status).error();
  if (use == SqliteUse::kReadProfiles) return file;
  if (Status status = file->RefuseDamaged(); !status.ok()) return std::move(status).error();
  if (Status status = file->CreateMissingTables(); !status.ok()) return std::move(status).error();
  if (Status status = file->BecomeDurable(); !status.ok()) return std::move(status).error();
  return file;
}

Result<std::unique_ptr<SqliteFile>> SqliteFile::OpenOwn(const std::string& path,
                                                        std::int64_t application_id,
                                                        const std::string& create_sql) {
  std::unique_ptr<SqliteFile> file(new SqliteFile(path));
  if (Status status = file->Connect(SqliteUse::kStorePosts); !status.ok()) {
    return std::move(status).error();
  }
  if (Status status = file->RefuseDamaged(); !status.ok()) return std::move(status).error();
  const auto application = file->QueryInteger("PRAGMA application_id");
  if (!application.ok()) return application.error();
  const auto tables = file->QueryInteger("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.error();
  if (*tables != 0 && *application != application_id) return file->FailureOf(SQLITE_NOTADB);
  if (Status status = file->RefuseLater(); !status.ok()) return std::move(status).error();
  if (Status status = file->BecomeDurable(); !status.ok()) return std::move(status).error();
  if (*tables != 0) return file;
  Status created =
      file->Execute("BEGIN IMMEDIATE; " + MarkSql(application_id) + create_sql + "; COMMIT");
  if (!created.ok()) return std::move(created).error();
  return file;
}

// From here on the file is ours to write.
Status SqliteFile::BecomeDurable() {
  sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  return Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864");
}

bool SqliteFile::SaysDamaged(const Error& error) {
  return error.message.ends_with(sqlite3_errstr(SQLITE_CORRUPT)) ||
         error.message.ends_with(sqlite3_errstr(SQLITE_NOTADB));
}

bool SqliteFile::HasMoved() const {
  const ForkHold hold;
  int moved = 0;
  sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

Status SqliteFile::Connect(SqliteUse use) {
  const int mode = use == SqliteUse::kReadProfiles ? SQLITE_OPEN_READONLY
                                                   : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const ForkHold hold;
  if (ForkedUnderHold()) {
    return Error(
        Code::kStore,
        "SQLite cannot be used: this process was forked while its parent waited for a disk "
        "in it; fork again",
        "store.url");
  }
  AllConnections().CloseInherited();
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path_.c_str(), &database, mode | SQLITE_OPEN_NOMUTEX, nullptr);
  if (database != nullptr) AllConnections().Add(database);
  database_.reset(database);
  if (code != SQLITE_OK) return FailureOf(code);
  sqlite3_busy_timeout(database, kBusyTimeoutMs);
  // Until it is known whose file this is, closing it must not move its log into it.
  sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (use == SqliteUse::kStorePosts && sqlite3_db_readonly(database, "main") != 0) {
    return FailureOf(SQLITE_READONLY);
  }
  return {};
}

Status SqliteFile::RefuseForeign(SqliteUse use) {
  if (use == SqliteUse::kReadProfiles) return {};
  const auto application = QueryInteger("PRAGMA application_id");
  if (!application.ok()) return application.error();
  if (*application == kApplicationId) return RefuseLater();
  const auto posts = Columns(kPostTable);
  if (!posts.ok()) return posts.error();
  const auto profiles = Columns(kProfileTable);
  if (!profiles.ok()) return profiles.error();
  if (!posts->empty() || !profiles->empty()) return {};  // the app's own
  const auto tables = QueryInteger("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.error();
  if (*application == 0 && *tables == 0) return {};
  return Error(Code::kStore,
               "the SQLite file " + path_ + " belongs to another program; name another file",
               "store.url");
}

Status SqliteFile::RefuseLater() {
  const auto format = QueryInteger("PRAGMA user_version");
  if (!format.ok()) return format.error();
  if (*format <= kFormat) return {};
  return Error(
      Code::kStore,
      "the SQLite file " + path_ + " was written by a later version of postgen; use that version",
      "store.url");
}

Status SqliteFile::RefuseDamaged() {
  if (FileSize(path_) > kMaxCheckedBytes) return {};
  auto check = SqliteStatement::Prepare(this, "PRAGMA quick_check(1)");
  if (!check.ok()) return check.error();
  const auto row = check->Step();
  if (!row.ok()) return row.error();
  if (check->Column(0, SqlKind::kText) == SqlValue(std::string_view("ok"))) return {};
  return FailureOf(SQLITE_CORRUPT);
}

Status SqliteFile::CreateMissingTables() {
  const auto posts = Columns(kPostTable);
  if (!posts.ok()) return posts.error();
  const auto profiles = Columns(kProfileTable);
  if (!profiles.ok()) return profiles.error();
  if (!posts->empty() && !profiles->empty()) return {};
  std::string sql = "BEGIN IMMEDIATE;";
  if (posts->empty() && profiles->empty()) {
    sql += MarkSql(kApplicationId);
  }
  for (const SchemaChange& change : MissingTables(SqlDialect::kSqlite, *posts, *profiles)) {
    sql += change.sql + ';';
    created_.push_back(change.line);
  }
  sql += "COMMIT";
  Status status = Execute(sql);
  // A commit that failed leaves the transaction open; without one this is a harmless error.
  if (!status.ok()) (void)Execute("ROLLBACK");
  return status;
}

Status SqliteFile::Settle() {
  // The first column: it could not, as others use the file.
  const auto waits = QueryInteger("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!waits.ok()) return waits.error();
  return *waits == 0 ? Status() : Status(FailureOf(SQLITE_BUSY));
}

Status SqliteFile::Execute(const std::string& sql) {
  const ForkHold hold;
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return FailureOf(code);
  return {};
}

Result<ColumnNames> SqliteFile::Columns(std::string_view table) {
  auto statement = SqliteStatement::Prepare(this, "SELECT name FROM pragma_table_info(?)");
  if (!statement.ok()) return statement.error();
  const SqlValue name = table;
  if (Status bound = statement->Bind({&name, 1}); !bound.ok()) return bound.error();
  ColumnNames columns;
  while (true) {
    const auto row = statement->Step();
    if (!row.ok()) return row.error();
    if (!*row) return columns;
    columns.emplace(std::get<std::string_view>(statement->Column(0, SqlKind::kText)));
  }
}

Result<std::int64_t> SqliteFile::QueryInteger(const std::string& sql) {
  auto statement = SqliteStatement::Prepare(this, sql);
  if (!statement.ok()) return statement.error();
  const auto row = statement->Step();
  if (!row.ok()) return row.error();
  return std::get<std::int64_t>(statement->Column(0, SqlKind::kInteger));
}

Error SqliteFile::FailureOf(int code) const {
  // The low byte is the kind of error; SQLite's texts for these name no data.
  const int kind = code & 0xff;
  const bool locked = kind == SQLITE_BUSY || kind == SQLITE_LOCKED;
  Error error(locked ? Code::kBusy : Code::kStore,
              "the SQLite file " + path_ + " cannot be used: " + sqlite3_errstr(kind), "store.url");
  error.details.transient = locked || kind == SQLITE_FULL;
  return error;
}

Result<SqliteStatement> SqliteStatement::Prepare(SqliteFile* file, const std::string& sql) {
  const ForkHold hold;
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(file->database_.get(), sql.data(),
                                      static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return file->FailureOf(code);
  return SqliteStatement(file, statement);
}

Status SqliteStatement::Bind(std::span<const SqlValue> values) {
  sqlite3_stmt* const statement = statement_.get();
  // Repeats the error of the last Step, which was reported then.
  sqlite3_reset(statement);
  int code = SQLITE_OK;
  for (std::size_t i = 0; i < values.size() && code == SQLITE_OK; ++i) {
    const int parameter = static_cast<int>(i) + 1;
    const SqlValue& value = values[i];
    if (const auto* text = std::get_if<std::string_view>(&value)) {
      // Never a null pointer, which would bind NULL.
      const char* const data = text->empty() ? "" : text->data();
      code =
          sqlite3_bind_text64(statement, parameter, data, text->size(), SQLITE_STATIC, SQLITE_UTF8);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      code = sqlite3_bind_int64(statement, parameter, *integer);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      code = sqlite3_bind_int(statement, parameter, *flag ? 1 : 0);
    } else if (const auto* time = std::get_if<WallTime>(&value)) {
      const std::string formatted = FormatTime(*time);
      code = sqlite3_bind_text64(statement, parameter, formatted.data(), formatted.size(),
                                 SQLITE_TRANSIENT, SQLITE_UTF8);
    } else {
      code = sqlite3_bind_null(statement, parameter);
    }
  }
  if (code != SQLITE_OK) return file_->FailureOf(code);
  return {};
}

Result<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return file_->FailureOf(code);
}

SqlValue SqliteStatement::Column(int index, SqlKind kind) const {
  sqlite3_stmt* const statement = statement_.get();
  if (sqlite3_column_type(statement, index) == SQLITE_NULL) return std::monostate();
  if (kind == SqlKind::kInteger) {
    return static_cast<std::int64_t>(sqlite3_column_int64(statement, index));
  }
  if (kind == SqlKind::kBool) return sqlite3_column_int(statement, index) != 0;
  const auto* const data = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
  if (data == nullptr) return std::string_view();
  const std::string_view text(data,
                              static_cast<std::size_t>(sqlite3_column_bytes(statement, index)));
  if (kind == SqlKind::kText) return text;
  const std::optional<WallTime> time = ParseTime(text);
  return time ? SqlValue(*time) : SqlValue(std::monostate());
}

}  // namespace postgen
