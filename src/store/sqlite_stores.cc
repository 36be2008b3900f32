#include "store/sqlite_stores.h"

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "store/call_registry.h"

namespace postgen {
namespace {

// How long to leave a file alone that another process has locked.
constexpr auto kLockedPause = std::chrono::milliseconds(10);

template <typename T>
Result<T> Late() {
  Error error(Code::kStore,
              "the SQLite file stayed locked, or the store busy, until the deadline; close the "
              "program that holds it");
  error.details.transient = true;
  return error;
}

// The operations of one store on the executor's thread. What finds the file locked is tried again
// until its deadline, while the thread does other things.
class SqliteCalls : public std::enable_shared_from_this<SqliteCalls> {
 public:
  SqliteCalls(std::shared_ptr<SqliteDatabase> database, Executor* executor)
      : database_(std::move(database)),
        executor_(executor),
        calls_(std::make_shared<CallRegistry>(executor)) {}

  template <typename T>
  using Callback = std::function<void(Result<T>)>;
  template <typename T>
  using Operation = std::function<Result<T>(SqliteDatabase*)>;

  template <typename T>
  void Run(TimePoint deadline, Operation<T> operation, Callback<T> done) {
    auto finish = calls_->Begin<T>(deadline, Late<T>, std::move(done));
    if (finish) Try<T>(deadline, std::move(operation), std::move(finish));
  }

  // Rows that wait at the same moment share one transaction, and so one fsync.
  void Put(PostRow row, TimePoint deadline, PostStore::DoneCallback done) {
    if (Status status = CheckRow(row); !status.ok()) {
      done(std::move(status));
      return;
    }
    auto finish = calls_->Begin<void>(deadline, Late<void>, std::move(done));
    if (!finish) return;
    waiting_.push_back({std::move(row), deadline, std::move(finish)});
    if (waiting_.size() == 1) {
      executor_->Post([self = shared_from_this()] { self->WriteWaiting(); });
    }
  }

  // Writes what waits, then ends everything.
  void Close() {
    WriteWaiting();
    calls_->Close();
  }

 private:
  struct WaitingRow {
    PostRow row;
    TimePoint deadline;
    PostStore::DoneCallback finish;
  };

  template <typename T>
  void Try(TimePoint deadline, Operation<T> operation, Callback<T> finish) {
    Result<T> result = operation(database_.get());
    if (result.ok() || result.error().code != Code::kBusy) {
      finish(std::move(result));
      return;
    }
    const TimePoint next = executor_->Now() + kLockedPause;
    if (next >= deadline) return;  // the registry ends it
    executor_->RunAt(next, [weak = weak_from_this(), deadline, operation = std::move(operation),
                            finish = std::move(finish)]() mutable {
      if (const auto self = weak.lock()) {
        self->Try<T>(deadline, std::move(operation), std::move(finish));
      }
    });
  }

  void WriteWaiting() {
    const TimePoint now = executor_->Now();
    std::erase_if(waiting_, [&](const WaitingRow& row) { return row.deadline <= now; });
    if (waiting_.empty()) return;
    std::vector<const PostRow*> rows;
    rows.reserve(waiting_.size());
    for (const WaitingRow& waiting : waiting_) rows.push_back(&waiting.row);
    Result<std::vector<Status>> written = database_->Put(rows);
    if (!written.ok() && written.error().code == Code::kBusy) {
      executor_->RunAt(now + kLockedPause, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->WriteWaiting();
      });
      return;
    }
    // Callbacks may put more.
    const std::vector<WaitingRow> finished = std::exchange(waiting_, {});
    for (std::size_t i = 0; i < finished.size(); ++i) {
      finished[i].finish(written.ok() ? std::move((*written)[i]) : Status(written.error()));
    }
  }

  const std::shared_ptr<SqliteDatabase> database_;
  Executor* const executor_;
  const std::shared_ptr<CallRegistry> calls_;
  std::vector<WaitingRow> waiting_;  // in order; not empty: WriteWaiting will run
};

class SqlitePostStore final : public PostStore {
 public:
  SqlitePostStore(std::shared_ptr<SqliteDatabase> database, Executor* executor)
      : executor_(executor), calls_(std::make_shared<SqliteCalls>(std::move(database), executor)) {}

  ~SqlitePostStore() override {
    RunAndWait(executor_, [this] {
      calls_->Close();
      calls_.reset();  // the file, if it was the last, is closed on its thread
    });
  }

  void Check(TimePoint deadline, DoneCallback done) override {
    Post<void>(deadline, std::move(done), [](SqliteDatabase* database) -> Status {
      const auto columns = database->Check();
      return columns.ok() ? Status() : Status(columns.error());
    });
  }

  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    executor_->Post(
        [calls = calls_, row = std::move(row), deadline, done = std::move(done)]() mutable {
          calls->Put(std::move(row), deadline, std::move(done));
        });
  }

  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    Post<std::optional<PostRow>>(deadline, std::move(done),
                                 [post_id = std::move(post_id)](SqliteDatabase* database) {
                                   return database->Get(post_id);
                                 });
  }

  void Migrate(TimePoint deadline, MigrateCallback done) override {
    Post<std::vector<std::string>>(deadline, std::move(done),
                                   [](SqliteDatabase* database) { return database->Migrate(); });
  }

 private:
  template <typename T>
  void Post(TimePoint deadline, SqliteCalls::Callback<T> done,
            SqliteCalls::Operation<T> operation) {
    executor_->Post([calls = calls_, deadline, done = std::move(done),
                     operation = std::move(operation)]() mutable {
      calls->Run<T>(deadline, std::move(operation), std::move(done));
    });
  }

  Executor* const executor_;
  std::shared_ptr<SqliteCalls> calls_;
};

class SqliteProfileStore final : public ProfileStore {
 public:
  SqliteProfileStore(std::shared_ptr<SqliteDatabase> database, Executor* executor)
      : executor_(executor), calls_(std::make_shared<SqliteCalls>(std::move(database), executor)) {}

  ~SqliteProfileStore() override {
    RunAndWait(executor_, [this] {
      calls_->Close();
      calls_.reset();
    });
  }

  void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) override {
    executor_->Post([calls = calls_, kol_serial, deadline, done = std::move(done)]() mutable {
      calls->Run<FoundProfile>(
          deadline,
          [kol_serial](SqliteDatabase* database) { return database->FindProfile(kol_serial); },
          std::move(done));
    });
  }

 private:
  Executor* const executor_;
  std::shared_ptr<SqliteCalls> calls_;
};

class SqliteLedger final : public RequestLedger {
 public:
  SqliteLedger(std::shared_ptr<SqliteDatabase> database, Executor* executor)
      : executor_(executor), calls_(std::make_shared<SqliteCalls>(std::move(database), executor)) {}

  ~SqliteLedger() override {
    RunAndWait(executor_, [this] {
      calls_->Close();
      calls_.reset();
    });
  }

  void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) override {
    Post<ClaimAnswer>(
        deadline, std::move(done),
        [claim = std::move(claim)](SqliteDatabase* database) { return database->Claim(claim); });
  }
  void Finish(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Post<void>(deadline, std::move(done), [claim = std::move(claim)](SqliteDatabase* database) {
      return database->FinishClaim(claim);
    });
  }
  void Release(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Post<void>(deadline, std::move(done), [claim = std::move(claim)](SqliteDatabase* database) {
      return database->ReleaseClaim(claim);
    });
  }

 private:
  template <typename T>
  void Post(TimePoint deadline, SqliteCalls::Callback<T> done,
            SqliteCalls::Operation<T> operation) {
    executor_->Post([calls = calls_, deadline, done = std::move(done),
                     operation = std::move(operation)]() mutable {
      calls->Run<T>(deadline, std::move(operation), std::move(done));
    });
  }

  Executor* const executor_;
  std::shared_ptr<SqliteCalls> calls_;
};

class SqliteSpending final : public SpendingLedger {
 public:
  SqliteSpending(std::shared_ptr<SqliteDatabase> database, Executor* executor)
      : executor_(executor), calls_(std::make_shared<SqliteCalls>(std::move(database), executor)) {}

  ~SqliteSpending() override {
    RunAndWait(executor_, [this] {
      calls_->Close();
      calls_.reset();
    });
  }

  void Add(SpendingEntry entry, TimePoint deadline, TotalCallback done) override {
    executor_->Post([calls = calls_, entry = std::move(entry), deadline,
                     done = std::move(done)]() mutable {
      calls->Run<SpendingTotal>(
          deadline,
          [entry = std::move(entry)](SqliteDatabase* database) { return database->Spend(entry); },
          std::move(done));
    });
  }

 private:
  Executor* const executor_;
  std::shared_ptr<SqliteCalls> calls_;
};

}  // namespace

std::unique_ptr<SpendingLedger> NewSqliteSpending(std::shared_ptr<SqliteDatabase> database,
                                                  Executor* executor) {
  return std::make_unique<SqliteSpending>(std::move(database), executor);
}

std::unique_ptr<RequestLedger> NewSqliteLedger(std::shared_ptr<SqliteDatabase> database,
                                               Executor* executor) {
  return std::make_unique<SqliteLedger>(std::move(database), executor);
}

std::unique_ptr<PostStore> NewSqlitePostStore(std::shared_ptr<SqliteDatabase> database,
                                              Executor* executor) {
  return std::make_unique<SqlitePostStore>(std::move(database), executor);
}

std::unique_ptr<ProfileStore> NewSqliteProfileStore(std::shared_ptr<SqliteDatabase> database,
                                                    Executor* executor) {
  return std::make_unique<SqliteProfileStore>(std::move(database), executor);
}

}  // namespace postgen
