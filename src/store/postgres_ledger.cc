#include <cstdint>
#include <string>
#include <utility>

#include "store/postgres_calls.h"
#include "store/postgres_stores.h"
#include "store/postgres_values.h"

namespace postgen {
namespace {

std::string_view View(const std::string& text) { return text; }

std::string Text(const PGresult* result, int column) {
  return std::string(std::get<std::string_view>(ReadValue(result, 0, column, SqlKind::kText)));
}

std::int64_t Integer(const PGresult* result, int column) {
  return std::get<std::int64_t>(ReadValue(result, 0, column, SqlKind::kInteger));
}

void Look(PostgresCalls* calls, const std::string& sql, const RequestClaim& claim,
          TimePoint deadline, const RequestLedger::ClaimCallback& finish) {
  const SqlValue values[] = {View(claim.tenant), View(claim.key)};
  calls->Run(MakeStatement(sql, values), deadline, finish, [claim, finish](const PGresult* result) {
    // Released in between: it is free at the next look.
    if (PQntuples(result) == 0) {
      return finish(ClaimAnswer{ClaimAnswer::State::kRunning, claim.post_id});
    }
    finish(JudgeClaim(claim, Text(result, 0), Text(result, 1), Text(result, 2)));
  });
}

// The thread's part of a ledger, quiet and gone when the ledger is.
class OnLoop {
 public:
  OnLoop(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), calls_(std::make_shared<PostgresCalls>(std::move(pool), loop)) {}
  ~OnLoop() {
    RunAndWait(loop_, [this] {
      calls_->Close();
      calls_.reset();
    });
  }
  OnLoop(const OnLoop&) = delete;
  OnLoop& operator=(const OnLoop&) = delete;

  // Runs work(calls, finish) there.
  template <typename T, typename Work>
  void Post(TimePoint deadline, CallRegistry::Callback<T> done, Work work) {
    loop_->Post(
        [calls = calls_, deadline, done = std::move(done), work = std::move(work)]() mutable {
          if (auto finish = calls->Begin<T>(deadline, std::move(done))) work(calls.get(), finish);
        });
  }

 private:
  EventLoop* const loop_;
  std::shared_ptr<PostgresCalls> calls_;
};

class PostgresLedger final : public RequestLedger {
 public:
  PostgresLedger(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : on_loop_(std::move(pool), loop) {}

  void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) override {
    on_loop_.Post<ClaimAnswer>(
        deadline, std::move(done),
        [claim = std::move(claim), deadline](PostgresCalls* calls, const ClaimCallback& finish) {
          const LedgerSql& sql = Sql();
          const SqlValue values[] = {View(claim.tenant), View(claim.key), View(claim.request_hash),
                                     View(claim.post_id), View(claim.owner)};
          calls->Run(MakeStatement(sql.claim, values), deadline, finish,
                     [calls, claim, deadline, finish, &sql](const PGresult* result) {
                       if (PQntuples(result) == 0) {
                         return Look(calls, sql.look, claim, deadline, finish);
                       }
                       finish(ClaimAnswer{.post_id = Text(result, 0)});
                     });
        });
  }
  void Finish(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Change(Sql().finish, std::move(claim), deadline, std::move(done));
  }
  void Release(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Change(Sql().release, std::move(claim), deadline, std::move(done));
  }

 private:
  static const LedgerSql& Sql() {
    static const LedgerSql sql = MakeLedgerSql(SqlDialect::kPostgres);
    return sql;
  }

  void Change(const std::string& sql, RequestClaim claim, TimePoint deadline, DoneCallback done) {
    on_loop_.Post<void>(
        deadline, std::move(done),
        [&sql, claim = std::move(claim), deadline](PostgresCalls* calls,
                                                   const DoneCallback& finish) {
          const SqlValue values[] = {View(claim.tenant), View(claim.key), View(claim.owner)};
          calls->Run(MakeStatement(sql, values), deadline, finish,
                     [finish](const PGresult* /*result*/) { finish({}); });
        });
  }

  OnLoop on_loop_;
};

class PostgresSpending final : public SpendingLedger {
 public:
  PostgresSpending(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : on_loop_(std::move(pool), loop) {}

  void Add(SpendingEntry entry, TimePoint deadline, TotalCallback done) override {
    on_loop_.Post<SpendingTotal>(
        deadline, std::move(done),
        [entry = std::move(entry), deadline](PostgresCalls* calls, const TotalCallback& finish) {
          const SpendingSql& sql = Sql();
          const SqlValue values[] = {View(entry.scope), entry.day, entry.amount, entry.bound};
          calls->Run(MakeStatement(sql.add, values), deadline, finish,
                     [calls, entry, deadline, finish, &sql](const PGresult* result) {
                       if (PQntuples(result) == 1) {
                         return finish(SpendingTotal{true, Integer(result, 0), Integer(result, 1)});
                       }
                       const SqlValue where[] = {View(entry.scope), entry.day};
                       calls->Run(
                           MakeStatement(sql.look, where), deadline, finish,
                           [finish](const PGresult* spent) {
                             finish(SpendingTotal{false, Integer(spent, 0), Integer(spent, 1)});
                           });
                     });
        });
  }

 private:
  static const SpendingSql& Sql() {
    static const SpendingSql sql = MakeSpendingSql(SqlDialect::kPostgres);
    return sql;
  }

  OnLoop on_loop_;
};

}  // namespace

std::unique_ptr<RequestLedger> NewPostgresLedger(std::shared_ptr<PostgresPool> pool,
                                                 EventLoop* loop) {
  return std::make_unique<PostgresLedger>(std::move(pool), loop);
}

std::unique_ptr<SpendingLedger> NewPostgresSpending(std::shared_ptr<PostgresPool> pool,
                                                    EventLoop* loop) {
  return std::make_unique<PostgresSpending>(std::move(pool), loop);
}

}  // namespace postgen
