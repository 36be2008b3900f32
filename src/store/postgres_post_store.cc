#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/call_registry.h"
#include "store/postgres_stores.h"
#include "store/postgres_table.h"
#include "store/schema.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A look at the server may outlive the deadlines of those who wait for it.
constexpr auto kCheckTimeout = seconds(10);

// For so long Check() believes a bad look, so that a crowd of posts does not ask again one by one.
constexpr auto kBelieveFailure = milliseconds(500);

// Rows that wait at the same moment are written by one statement, in one transaction, and so with
// one flush of the server's log: at most so many by one, and so many statements at once. A larger
// statement takes the server longer to plan than it saves.
constexpr std::size_t kMaxBatch = 64;
constexpr std::size_t kBatchesAtOnce = 4;

// What each of two migrations at the same time takes first.
constexpr std::string_view kMigrationLock = "SELECT pg_advisory_xact_lock(8097329157)";

std::string InsertSql(PostColumns columns, std::size_t rows = 1) {
  const std::size_t width = ColumnsOf(columns).size();
  std::string sql = "INSERT INTO post_records (" + ColumnList(columns) + ") VALUES ";
  for (std::size_t row = 0; row < rows; ++row) {
    if (row > 0) sql += ", ";
    sql += '(' + ParameterList(width, row * width + 1) + ')';
  }
  return sql + " ON CONFLICT (post_id) DO NOTHING RETURNING post_id";
}

// Casts, so that a column's exact type does not matter.
std::string SelectSql(PostColumns columns) {
  std::string list;
  for (const SqlColumn& column : ColumnsOf(columns)) {
    if (!list.empty()) list += ", ";
    list += column.name;
    switch (column.kind) {
      case SqlKind::kText: list += "::text"; break;
      case SqlKind::kInteger: list += "::bigint"; break;
      case SqlKind::kBool: list += "::boolean"; break;
      case SqlKind::kTime: list += "::timestamp"; break;
    }
  }
  return "SELECT " + list + " FROM post_records WHERE post_id = $1";
}

PostRow ReadRow(const PGresult* result, PostColumns columns) {
  std::vector<SqlValue> values;
  for (const SqlColumn& column : ColumnsOf(columns)) {
    values.push_back(ReadValue(result, 0, static_cast<int>(values.size()), column.kind));
  }
  return RowFromValues(values, columns);
}

// The columns to write, or why none can be written.
Result<PostColumns> Judge(const PostgresTable& table, const PostgresTarget& target) {
  const std::string where = "PostgreSQL " + target.shown + ": ";
  Result<PostColumns> columns = ChoosePostColumns(table.columns);
  if (!columns.ok()) {
    columns.error().message = where + columns.error().message;
    return columns;
  }
  if (table.read_only) {
    return Error(Code::kStore, where + "the database is read-only; is it a standby?", target.shown);
  }
  ColumnNames unfilled = table.needed;
  for (const SqlColumn& column : ColumnsOf(*columns)) unfilled.erase(std::string(column.name));
  if (!unfilled.empty()) {
    return Error(Code::kStore,
                 where + "column post_records." + *unfilled.begin() +
                     " must be filled, and postgen has nothing for it; give it a default",
                 *unfilled.begin());
  }
  return columns;
}

// The operations, on the loop's thread.
class PostgresPosts : public std::enable_shared_from_this<PostgresPosts> {
 public:
  PostgresPosts(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), pool_(std::move(pool)), calls_(std::make_shared<CallRegistry>(loop)) {}

  void Check(TimePoint deadline, PostStore::DoneCallback done) {
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    if (check_failure_ && loop_->Now() < believe_failure_until_) return finish(*check_failure_);
    if (columns_) return Ping(std::move(finish));
    WithColumns([finish = std::move(finish)](const Result<PostColumns>& columns) {
      finish(columns.ok() ? Status() : Status(columns.error()));
    });
  }

  void Put(PostRow row, TimePoint deadline, PostStore::DoneCallback done) {
    if (Status status = CheckRow(row); !status.ok()) {
      done(std::move(status));
      return;
    }
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    WithColumns([this, row = std::move(row), deadline,
                 finish = std::move(finish)](const Result<PostColumns>& columns) {
      if (!columns.ok()) return finish(columns.error());
      waiting_rows_.push_back({row, *columns, deadline, finish});
      WriteSoon();
    });
  }

  void Get(std::string post_id, TimePoint deadline, PostStore::RowCallback done) {
    auto finish = Begin<std::optional<PostRow>>(deadline, std::move(done));
    if (!finish) return;
    WithColumns([this, post_id = std::move(post_id), deadline,
                 finish = std::move(finish)](const Result<PostColumns>& columns) {
      if (columns.ok()) {
        Select(post_id, *columns, deadline, finish);
      } else {
        finish(columns.error());
      }
    });
  }

  void Migrate(TimePoint deadline, PostStore::MigrateCallback done) {
    auto finish = Begin<std::vector<std::string>>(deadline, std::move(done));
    if (!finish) return;
    Describe(kPostTable, deadline, [this, deadline, finish](const Result<PostgresTable>& posts) {
      if (!posts.ok()) return finish(posts.error());
      DescribeProfilesAndApply(posts->columns, deadline, finish);
    });
  }

  void Close() { calls_->Close(); }

 private:
  using ColumnsCallback = std::function<void(const Result<PostColumns>&)>;
  using TableCallback = std::function<void(const Result<PostgresTable>&)>;

  template <typename T>
  CallRegistry::Callback<T> Begin(TimePoint deadline, CallRegistry::Callback<T> done) {
    const std::string& shown = pool_->target().shown;
    return calls_->Begin<T>(
        deadline,
        [shown]() -> Result<T> {
          Error error(Code::kStore, "PostgreSQL " + shown + ": no answer before the deadline",
                      shown);
          error.details.transient = true;
          return error;
        },
        std::move(done));
  }

  // Runs a statement; `on_result` hears of success only, `finish` of failure. Neither is called
  // once this is gone: the pool, which others may share, is not to keep it alive.
  void Run(PostgresStatement statement, TimePoint deadline, std::function<void(Error)> finish,
           std::function<void(const PGresult*)> on_result) {
    pool_->Run(std::move(statement), deadline,
               [weak = weak_from_this(), finish = std::move(finish),
                on_result = std::move(on_result)](const PostgresReply& reply) {
                 const auto self = weak.lock();
                 if (!self) return;
                 if (const auto* failure = std::get_if<PostgresFailure>(&reply)) {
                   self->ForgetColumnsAfter(*failure);
                   finish(failure->error);
                 } else {
                   on_result(std::get<PostgresResult>(reply).get());
                 }
               });
  }

  void Describe(std::string_view table, TimePoint deadline, const TableCallback& done) {
    Run(DescribeTable(table), deadline, done,
        [done](const PGresult* result) { done(ReadTable(result)); });
  }

  // Does the server still answer? A post must not be paid for that has nowhere to go. Many ask, one
  // looks.
  void Ping(PostStore::DoneCallback done) {
    pinging_.push_back(std::move(done));
    if (pinging_.size() > 1) return;
    Run(
        MakeStatement("SELECT 1", {}), loop_->Now() + kCheckTimeout,
        [this](const Error& error) { EndPing(error); },
        [this](const PGresult* /*one*/) { EndPing({}); });
  }

  void EndPing(const Status& status) {
    check_failure_.reset();
    if (!status.ok()) Believe(status.error());
    for (const PostStore::DoneCallback& done : std::exchange(pinging_, {})) done(status);
  }

  void Believe(const Error& failure) {
    check_failure_ = failure;
    believe_failure_until_ = loop_->Now() + kBelieveFailure;
  }

  // Tells what posts are written with, from memory if it is known; many ask, one looks.
  void WithColumns(ColumnsCallback done) {
    if (columns_) {
      done(*columns_);
    } else {
      waiting_.push_back(std::move(done));
      if (waiting_.size() == 1) Look();
    }
  }

  void Look() {
    const TimePoint deadline = loop_->Now() + kCheckTimeout;
    Describe(kPostTable, deadline, [this, deadline](const Result<PostgresTable>& table) {
      if (!table.ok()) return EndLook(table.error());
      const auto columns = Judge(*table, pool_->target());
      if (!columns.ok()) return EndLook(columns);
      Rehearse(*columns, deadline);
    });
  }

  // Plans the insert without running it: whatever the server has against the table's types, its key
  // or our permissions is said before anything is paid for.
  void Rehearse(PostColumns columns, TimePoint deadline) {
    PostRow row;
    row.session_id = 0;
    row.alternative_versions = row.topic_id = row.topic_title = row.topic_content = "";
    Run(
        MakeStatement("EXPLAIN " + InsertSql(columns), RowValues(row, columns)), deadline,
        [this](const Error& error) { EndLook(error); },
        [this, columns](const PGresult* /*plan*/) { EndLook(columns); });
  }

  void EndLook(const Result<PostColumns>& columns) {
    columns_.reset();
    check_failure_.reset();
    if (columns.ok()) {
      columns_ = *columns;
    } else {
      Believe(columns.error());
    }
    for (const ColumnsCallback& done : std::exchange(waiting_, {})) done(columns);
  }

  // The schema is not what it was when we looked.
  void ForgetColumnsAfter(const PostgresFailure& failure) {
    if (failure.sqlstate.starts_with("42")) columns_.reset();
  }

  struct WaitingRow {
    PostRow row;
    PostColumns columns;
    TimePoint deadline;
    PostStore::DoneCallback finish;
  };
  using Batch = std::vector<WaitingRow>;

  // After what else comes at this moment.
  void WriteSoon() {
    if (std::exchange(write_posted_, true)) return;
    loop_->Post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->WriteWaiting();
    });
  }

  void WriteWaiting() {
    write_posted_ = false;
    while (!waiting_rows_.empty() && batches_ < kBatchesAtOnce) {
      const std::size_t size = std::min(waiting_rows_.size(), kMaxBatch);
      const auto end = waiting_rows_.begin() + static_cast<std::ptrdiff_t>(size);
      auto batch = std::make_shared<Batch>(std::make_move_iterator(waiting_rows_.begin()),
                                           std::make_move_iterator(end));
      waiting_rows_.erase(waiting_rows_.begin(), end);
      ++batches_;
      InsertBatch(batch);
    }
  }

  void InsertBatch(const std::shared_ptr<Batch>& batch) {
    const PostColumns columns = batch->front().columns;
    std::vector<SqlValue> values;
    TimePoint deadline = TimePoint::min();
    for (const WaitingRow& waiting : *batch) {
      const std::vector<SqlValue> row = RowValues(waiting.row, columns);
      values.insert(values.end(), row.begin(), row.end());
      deadline = std::max(deadline, waiting.deadline);  // each has its own timer, too
    }
    Run(
        MakeStatement(InsertSql(columns, batch->size()), values), deadline,
        [this, batch](const Error& error) { OnBatchFailed(*batch, error); },
        [this, batch](const PGresult* result) { OnBatchWritten(*batch, result); });
  }

  void EndBatch() {
    --batches_;
    WriteWaiting();
  }

  void OnBatchWritten(const Batch& batch, const PGresult* result) {
    std::unordered_set<std::string> written;
    for (int row = 0; row < PQntuples(result); ++row) {
      written.emplace(std::get<std::string_view>(ReadValue(result, row, 0, SqlKind::kText)));
    }
    for (const WaitingRow& waiting : batch) {
      // The first of two with one id was written; the second is compared.
      if (written.erase(waiting.row.post_id) > 0) {
        waiting.finish({});
      } else {
        Compare(waiting.row, waiting.columns, waiting.deadline, waiting.finish);
      }
    }
    EndBatch();
  }

  // One row that the server refuses fails the whole statement: then each goes alone.
  void OnBatchFailed(const Batch& batch, const Error& error) {
    for (const WaitingRow& waiting : batch) {
      if (batch.size() == 1 || error.details.transient) {
        waiting.finish(error);
      } else {
        Insert(waiting.row, waiting.columns, waiting.deadline, waiting.finish);
      }
    }
    EndBatch();
  }

  void Insert(const PostRow& row, PostColumns columns, TimePoint deadline,
              const PostStore::DoneCallback& finish) {
    Run(MakeStatement(InsertSql(columns), RowValues(row, columns)), deadline, finish,
        [this, row, columns, deadline, finish](const PGresult* result) {
          if (PQntuples(result) == 1) return finish({});
          Compare(row, columns, deadline, finish);
        });
  }

  // The post was there already: is it this one, written by an attempt whose answer was lost?
  void Compare(const PostRow& row, PostColumns columns, TimePoint deadline,
               const PostStore::DoneCallback& finish) {
    Select(row.post_id, columns, deadline,
           [row, columns, finish](const Result<std::optional<PostRow>>& stored) {
             if (!stored.ok()) return finish(stored.error());
             if (*stored && SameContent(**stored, row, columns)) return finish({});
             finish(Error(Code::kConflict, "another post is stored under this post_id", "post_id"));
           });
  }

  void Select(const std::string& post_id, PostColumns columns, TimePoint deadline,
              const PostStore::RowCallback& finish) {
    const SqlValue parameter = std::string_view(post_id);
    Run(MakeStatement(SelectSql(columns), {&parameter, 1}), deadline, finish,
        [columns, finish](const PGresult* result) {
          if (PQntuples(result) == 0) return finish(std::optional<PostRow>());
          finish(std::optional(ReadRow(result, columns)));
        });
  }

  void DescribeProfilesAndApply(const ColumnNames& posts, TimePoint deadline,
                                const PostStore::MigrateCallback& finish) {
    Describe(kProfileTable, deadline,
             [this, posts, deadline, finish](const Result<PostgresTable>& profiles) {
               if (!profiles.ok()) return finish(profiles.error());
               DescribeRequestsAndApply(
                   MissingSchema(SqlDialect::kPostgres, posts, profiles->columns), deadline,
                   finish);
             });
  }

  // The tables of our own.
  void DescribeRequestsAndApply(std::vector<SchemaChange> changes, TimePoint deadline,
                                const PostStore::MigrateCallback& finish) {
    Describe(kRequestTable, deadline,
             [this, changes = std::move(changes), deadline,
              finish](const Result<PostgresTable>& requests) mutable {
               if (!requests.ok()) return finish(requests.error());
               if (requests->columns.empty()) {
                 changes.push_back({MakeLedgerSql(SqlDialect::kPostgres).create,
                                    "created table " + std::string(kRequestTable)});
               }
               DescribeSpendingAndApply(std::move(changes), deadline, finish);
             });
  }

  void DescribeSpendingAndApply(std::vector<SchemaChange> changes, TimePoint deadline,
                                const PostStore::MigrateCallback& finish) {
    Describe(kSpendingTable, deadline,
             [this, changes = std::move(changes), deadline,
              finish](const Result<PostgresTable>& spending) mutable {
               if (!spending.ok()) return finish(spending.error());
               if (spending->columns.empty()) {
                 changes.push_back({MakeSpendingSql(SqlDialect::kPostgres).create,
                                    "created table " + std::string(kSpendingTable)});
               }
               Apply(changes, deadline, finish);
             });
  }

  void Apply(const std::vector<SchemaChange>& changes, TimePoint deadline,
             const PostStore::MigrateCallback& finish) {
    if (changes.empty()) return finish(std::vector<std::string>());
    PostgresStatement script;
    script.is_script = true;
    script.sql = kMigrationLock;
    std::vector<std::string> lines;
    for (const SchemaChange& change : changes) {
      script.sql += "; " + change.sql;
      lines.push_back(change.line);
    }
    Run(std::move(script), deadline, finish, [this, lines, finish](const PGresult* /*result*/) {
      columns_.reset();
      check_failure_.reset();
      finish(lines);
    });
  }

  EventLoop* const loop_;
  const std::shared_ptr<PostgresPool> pool_;
  const std::shared_ptr<CallRegistry> calls_;

  std::optional<PostColumns> columns_;  // a good look, remembered
  std::optional<Error> check_failure_;  // the last bad one
  TimePoint believe_failure_until_;
  Batch waiting_rows_;
  std::size_t batches_ = 0;  // being written
  bool write_posted_ = false;
  std::vector<ColumnsCallback> waiting_;          // for the look under way
  std::vector<PostStore::DoneCallback> pinging_;  // for the ping under way
};

class PostgresPostStore final : public PostStore {
 public:
  PostgresPostStore(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), posts_(std::make_shared<PostgresPosts>(std::move(pool), loop)) {}

  ~PostgresPostStore() override {
    RunAndWait(loop_, [this] {
      posts_->Close();
      posts_.reset();
    });
  }

  void Check(TimePoint deadline, DoneCallback done) override {
    loop_->Post([posts = posts_, deadline, done = std::move(done)]() mutable {
      posts->Check(deadline, std::move(done));
    });
  }

  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    loop_->Post([posts = posts_, row = std::move(row), deadline, done = std::move(done)]() mutable {
      posts->Put(std::move(row), deadline, std::move(done));
    });
  }

  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    loop_->Post(
        [posts = posts_, post_id = std::move(post_id), deadline, done = std::move(done)]() mutable {
          posts->Get(std::move(post_id), deadline, std::move(done));
        });
  }

  void Migrate(TimePoint deadline, MigrateCallback done) override {
    loop_->Post([posts = posts_, deadline, done = std::move(done)]() mutable {
      posts->Migrate(deadline, std::move(done));
    });
  }

 private:
  EventLoop* const loop_;
  std::shared_ptr<PostgresPosts> posts_;
};

}  // namespace

std::unique_ptr<PostStore> NewPostgresPostStore(std::shared_ptr<PostgresPool> pool,
                                                EventLoop* loop) {
  return std::make_unique<PostgresPostStore>(std::move(pool), loop);
}

}  // namespace postgen
