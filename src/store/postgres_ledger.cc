#include <span>
#include <string>
#include <utility>

#include "store/call_registry.h"
#include "store/postgres_stores.h"
#include "store/postgres_values.h"

namespace postgen {
namespace {

class Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  Ledger(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : pool_(std::move(pool)), calls_(std::make_shared<CallRegistry>(loop)) {}

  void Claim(const RequestClaim& claim, TimePoint deadline, RequestLedger::ClaimCallback done) {
    auto finish = Begin<ClaimAnswer>(deadline, std::move(done));
    if (!finish) return;
    const SqlValue values[] = {View(claim.tenant), View(claim.key), View(claim.request_hash),
                               View(claim.post_id), View(claim.owner)};
    Run(MakeStatement(sql_.claim, values), deadline, finish,
        [this, claim, deadline, finish](const PGresult* result) {
          if (PQntuples(result) == 0) return Look(claim, deadline, finish);
          finish(ClaimAnswer{.post_id = Text(result, 0)});
        });
  }

  void Change(const std::string& sql, const RequestClaim& claim, TimePoint deadline,
              RequestLedger::DoneCallback done) {
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    const SqlValue values[] = {View(claim.tenant), View(claim.key), View(claim.owner)};
    Run(MakeStatement(sql, values), deadline, finish,
        [finish](const PGresult* /*result*/) { finish({}); });
  }

  void Close() { calls_->Close(); }
  const LedgerSql& sql() const { return sql_; }

 private:
  static std::string_view View(const std::string& text) { return text; }
  static std::string Text(const PGresult* result, int column) {
    return std::string(std::get<std::string_view>(ReadValue(result, 0, column, SqlKind::kText)));
  }

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

  void Run(PostgresStatement statement, TimePoint deadline, std::function<void(Error)> finish,
           std::function<void(const PGresult*)> on_result) {
    pool_->Run(std::move(statement), deadline,
               [weak = weak_from_this(), finish = std::move(finish),
                on_result = std::move(on_result)](const PostgresReply& reply) {
                 if (weak.expired()) return;
                 if (const auto* failure = std::get_if<PostgresFailure>(&reply)) {
                   finish(failure->error);
                 } else {
                   on_result(std::get<PostgresResult>(reply).get());
                 }
               });
  }

  void Look(const RequestClaim& claim, TimePoint deadline,
            const RequestLedger::ClaimCallback& finish) {
    const SqlValue values[] = {View(claim.tenant), View(claim.key)};
    Run(MakeStatement(sql_.look, values), deadline, finish,
        [claim, finish](const PGresult* result) {
          // Released in between: it is free at the next look.
          if (PQntuples(result) == 0) {
            return finish(ClaimAnswer{ClaimAnswer::State::kRunning, claim.post_id});
          }
          finish(JudgeClaim(claim, Text(result, 0), Text(result, 1), Text(result, 2)));
        });
  }

  const LedgerSql sql_ = MakeLedgerSql(SqlDialect::kPostgres);
  const std::shared_ptr<PostgresPool> pool_;
  const std::shared_ptr<CallRegistry> calls_;
};

class PostgresLedger final : public RequestLedger {
 public:
  PostgresLedger(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), ledger_(std::make_shared<Ledger>(std::move(pool), loop)) {}

  ~PostgresLedger() override {
    RunAndWait(loop_, [this] {
      ledger_->Close();
      ledger_.reset();
    });
  }

  void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) override {
    loop_->Post(
        [ledger = ledger_, claim = std::move(claim), deadline, done = std::move(done)]() mutable {
          ledger->Claim(claim, deadline, std::move(done));
        });
  }
  void Finish(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Change(ledger_->sql().finish, std::move(claim), deadline, std::move(done));
  }
  void Release(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    Change(ledger_->sql().release, std::move(claim), deadline, std::move(done));
  }

 private:
  void Change(const std::string& sql, RequestClaim claim, TimePoint deadline, DoneCallback done) {
    loop_->Post([ledger = ledger_, sql, claim = std::move(claim), deadline,
                 done = std::move(done)]() mutable {
      ledger->Change(sql, claim, deadline, std::move(done));
    });
  }

  EventLoop* const loop_;
  std::shared_ptr<Ledger> ledger_;
};

}  // namespace

std::unique_ptr<RequestLedger> NewPostgresLedger(std::shared_ptr<PostgresPool> pool,
                                                 EventLoop* loop) {
  return std::make_unique<PostgresLedger>(std::move(pool), loop);
}

}  // namespace postgen
