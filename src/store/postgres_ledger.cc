#include <string>
#include <utility>

#include "store/postgres_calls.h"
#include "store/postgres_stores.h"

namespace postgen {
namespace {

std::string_view View(const std::string& text) { return text; }

std::string Text(const PGresult* result, int column) {
  return std::string(std::get<std::string_view>(ReadValue(result, 0, column, SqlKind::kText)));
}

class LedgerCalls final : public PostgresCalls {
 public:
  using PostgresCalls::PostgresCalls;

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

  void Finish(const RequestClaim& claim, TimePoint deadline, RequestLedger::DoneCallback done) {
    Change(sql_.finish, claim, deadline, std::move(done));
  }

  void Release(const RequestClaim& claim, TimePoint deadline, RequestLedger::DoneCallback done) {
    Change(sql_.release, claim, deadline, std::move(done));
  }

 private:
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

  void Change(const std::string& sql, const RequestClaim& claim, TimePoint deadline,
              RequestLedger::DoneCallback done) {
    auto finish = Begin<void>(deadline, std::move(done));
    if (!finish) return;
    const SqlValue values[] = {View(claim.tenant), View(claim.key), View(claim.owner)};
    Run(MakeStatement(sql, values), deadline, finish,
        [finish](const PGresult* /*result*/) { finish({}); });
  }

  const LedgerSql sql_ = MakeLedgerSql(SqlDialect::kPostgres);
};

class PostgresLedger final : public RequestLedger {
 public:
  PostgresLedger(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : calls_(std::move(pool), loop) {}

  void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) override {
    calls_.Post(
        [claim = std::move(claim), deadline, done = std::move(done)](LedgerCalls* ledger) mutable {
          ledger->Claim(claim, deadline, std::move(done));
        });
  }
  void Finish(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    calls_.Post(
        [claim = std::move(claim), deadline, done = std::move(done)](LedgerCalls* ledger) mutable {
          ledger->Finish(claim, deadline, std::move(done));
        });
  }
  void Release(RequestClaim claim, TimePoint deadline, DoneCallback done) override {
    calls_.Post(
        [claim = std::move(claim), deadline, done = std::move(done)](LedgerCalls* ledger) mutable {
          ledger->Release(claim, deadline, std::move(done));
        });
  }

 private:
  PostedCalls<LedgerCalls> calls_;
};

}  // namespace

std::unique_ptr<RequestLedger> NewPostgresLedger(std::shared_ptr<PostgresPool> pool,
                                                 EventLoop* loop) {
  return std::make_unique<PostgresLedger>(std::move(pool), loop);
}

}  // namespace postgen
