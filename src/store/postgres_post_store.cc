#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/postgres_calls.h"
#include "store/postgres_rows.h"
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

// What each of two migrations at the same time takes first.
constexpr std::string_view kMigrationLock = "SELECT pg_advisory_xact_lock(8097329157)";

// Of a table that has a primary key already, on something else.
constexpr std::string_view kTwoKeys = "42P16";

using Layout = PostgresRows::Layout;

// How to write, or why nothing can be written.
Result<Layout> Judge(const PostgresTable& table, const PostgresTarget& target) {
  const std::string where = "PostgreSQL " + target.shown + ": ";
  Result<PostColumns> columns = ChoosePostColumns(table.columns);
  if (!columns.ok()) {
    Error error = columns.error();
    error.message = where + error.message;
    return error;
  }
  ColumnNames unfilled = table.needed;
  for (const SqlColumn& column : ColumnsOf(*columns)) unfilled.erase(std::string(column.name));
  if (!unfilled.empty()) {
    return Error(Code::kStore,
                 where + "column post_records." + *unfilled.begin() +
                     " must be filled, and postgen has nothing for it; give it a default",
                 *unfilled.begin());
  }
  Result<PostLayout> layout = MakePostLayout(table, *columns);
  if (!layout.ok()) {
    layout.error().message = where + layout.error().message;
    return std::move(layout).error();
  }
  return std::make_shared<const PostLayout>(*std::move(layout));
}

// The operations, on the loop's thread.
class PostCalls final : public PostgresCalls {
 public:
  PostCalls(const std::shared_ptr<PostgresPool>& pool, EventLoop* loop)
      : PostgresCalls(pool, loop),
        rows_(std::make_shared<PostgresRows>(
            pool, loop, [this](const PostgresFailure& failure) { OnFailure(failure); })) {}

  void Check(TimePoint deadline, PostStore::DoneCallback done) {
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    if (check_failure_ && loop()->Now() < believe_failure_until_) return finish(*check_failure_);
    if (layout_) return Ping(std::move(finish));
    WithLayout([finish = std::move(finish)](const Result<Layout>& layout) {
      finish(layout.ok() ? Status() : Status(layout.error()));
    });
  }

  void Put(PostRow row, TimePoint deadline, PostStore::DoneCallback done) {
    if (Status status = CheckRow(row); !status.ok()) {
      done(std::move(status));
      return;
    }
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    if (layout_) return rows_->Put(std::move(row), layout_, deadline, std::move(finish));
    WithLayout([this, row = std::move(row), deadline,
                finish = std::move(finish)](const Result<Layout>& layout) {
      if (!layout.ok()) return finish(layout.error());
      rows_->Put(row, *layout, deadline, finish);
    });
  }

  void Get(std::string post_id, TimePoint deadline, PostStore::RowCallback done) {
    auto finish = Begin<std::optional<PostRow>>(deadline, std::move(done));
    if (!finish) return;
    WithLayout([this, post_id = std::move(post_id), deadline,
                finish = std::move(finish)](const Result<Layout>& layout) {
      if (!layout.ok()) return finish(layout.error());
      rows_->Get(post_id, *layout, deadline, finish);
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

 private:
  using LayoutCallback = std::function<void(const Result<Layout>&)>;
  using TableCallback = std::function<void(const Result<PostgresTable>&)>;

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
        MakeStatement("SELECT 1", {}), loop()->Now() + kCheckTimeout,
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
    believe_failure_until_ = loop()->Now() + kBelieveFailure;
  }

  // Tells what posts are written with, from memory if it is known; many ask, one looks.
  void WithLayout(LayoutCallback done) {
    if (layout_) {
      done(layout_);
    } else {
      waiting_.push_back(std::move(done));
      if (waiting_.size() == 1) Look();
    }
  }

  void Look() {
    const TimePoint deadline = loop()->Now() + kCheckTimeout;
    Describe(kPostTable, deadline, [this, deadline](const Result<PostgresTable>& table) {
      if (!table.ok()) return EndLook(table.error());
      const auto layout = Judge(*table, target());
      if (!layout.ok()) return EndLook(layout);
      if (table->read_only) return RefuseReadOnly(*layout, deadline);
      Rehearse(*layout, deadline);
    });
  }

  // Writes nothing, so that the server says itself that it is read-only: it passes, as a failover
  // does, and connections to a server that said so are not used again.
  void RefuseReadOnly(const Layout& layout, TimePoint deadline) {
    Run(
        MakeStatement(
            "INSERT INTO post_records (post_id) SELECT post_id FROM post_records WHERE false", {}),
        deadline, [this](const Error& error) { EndLook(error); },
        [this, layout, deadline](const PGresult* /*nothing*/) { Rehearse(layout, deadline); });
  }

  // Plans the insert without running it: whatever the server has against the table's types, its key
  // or our permissions is said before anything is paid for.
  void Rehearse(const Layout& layout, TimePoint deadline) {
    PostRow row;
    row.post_id = "00000000-0000-0000-0000-000000000000";
    row.session_id = 0;
    row.alternative_versions = row.topic_id = row.topic_title = row.topic_content = "";
    PostgresStatement insert = InsertStatement(row, *layout);
    insert.sql.insert(0, "EXPLAIN ");
    Run(
        std::move(insert), deadline, [this](const Error& error) { EndLook(error); },
        [this, layout](const PGresult* /*plan*/) { EndLook(layout); });
  }

  void EndLook(const Result<Layout>& layout) {
    layout_.reset();
    check_failure_.reset();
    if (layout.ok()) {
      layout_ = *layout;
    } else {
      Believe(layout.error());
    }
    for (const LayoutCallback& done : std::exchange(waiting_, {})) done(layout);
  }

  void OnFailure(const PostgresFailure& failure) override {
    // The schema is not what it was when we looked.
    if (failure.sqlstate.starts_with("42")) layout_.reset();
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
    if (changes.empty()) return ConfirmComplete(finish);
    PostgresTransaction script = {MakeStatement(std::string(kMigrationLock), {})};
    std::vector<std::string> lines;
    for (const SchemaChange& change : changes) {
      script.push_back(MakeStatement(change.sql, {}));
      lines.push_back(change.line);
    }
    RunAll(
        std::move(script), deadline,
        [this, changes, finish](const PostgresFailure& failure) {
          finish(DescribeRefusal(changes, failure));
        },
        [this, lines, finish](const std::vector<PostgresResult>& /*results*/) {
          layout_.reset();
          check_failure_.reset();
          finish(lines);
        });
  }

  // What the change that the server refused would have needed.
  Error DescribeRefusal(const std::vector<SchemaChange>& changes,
                        const PostgresFailure& failure) const {
    Error error = failure.error;
    if (!failure.refused || *failure.refused == 0) return error;  // the lock comes first
    const std::string& obstacle = changes[*failure.refused - 1].obstacle;
    const bool rows_in_the_way = failure.sqlstate.starts_with("23") || failure.sqlstate == kTwoKeys;
    if (rows_in_the_way && !obstacle.empty()) {
      error.message = "PostgreSQL " + target().shown + ": " + obstacle;
    }
    return error;
  }

  // Nothing that we could add is missing: is anything else?
  void ConfirmComplete(const PostStore::MigrateCallback& finish) {
    layout_.reset();
    WithLayout([finish](const Result<Layout>& layout) {
      if (!layout.ok()) return finish(layout.error());
      finish(std::vector<std::string>());
    });
  }

  const std::shared_ptr<PostgresRows> rows_;

  Layout layout_;                       // a good look, remembered
  std::optional<Error> check_failure_;  // the last bad one
  TimePoint believe_failure_until_;
  std::vector<LayoutCallback> waiting_;           // for the look under way
  std::vector<PostStore::DoneCallback> pinging_;  // for the ping under way
};

class PostgresPostStore final : public PostStore {
 public:
  PostgresPostStore(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : calls_(std::move(pool), loop) {}

  void Check(TimePoint deadline, DoneCallback done) override {
    calls_.Post([deadline, done = std::move(done)](PostCalls* posts) mutable {
      posts->Check(deadline, std::move(done));
    });
  }

  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    calls_.Post([row = std::move(row), deadline, done = std::move(done)](PostCalls* posts) mutable {
      posts->Put(std::move(row), deadline, std::move(done));
    });
  }

  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    calls_.Post(
        [post_id = std::move(post_id), deadline, done = std::move(done)](PostCalls* posts) mutable {
          posts->Get(std::move(post_id), deadline, std::move(done));
        });
  }

  void Migrate(TimePoint deadline, MigrateCallback done) override {
    calls_.Post([deadline, done = std::move(done)](PostCalls* posts) mutable {
      posts->Migrate(deadline, std::move(done));
    });
  }

 private:
  PostedCalls<PostCalls> calls_;
};

}  // namespace

std::unique_ptr<PostStore> NewPostgresPostStore(std::shared_ptr<PostgresPool> pool,
                                                EventLoop* loop) {
  return std::make_unique<PostgresPostStore>(std::move(pool), loop);
}

}  // namespace postgen
