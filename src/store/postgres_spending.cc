#include <cstdint>
#include <utility>

#include "store/postgres_calls.h"
#include "store/postgres_stores.h"
#include "store/spending_ledger.h"

namespace postgen {
namespace {

std::int64_t Integer(const PGresult* result, int column) {
  return std::get<std::int64_t>(ReadValue(result, 0, column, SqlKind::kInteger));
}

class SpendingCalls final : public PostgresCalls {
 public:
  using PostgresCalls::PostgresCalls;

  void Add(const SpendingEntry& entry, TimePoint deadline, SpendingLedger::TotalCallback done) {
    auto finish = Begin<SpendingTotal>(deadline, std::move(done));
    if (!finish) return;
    const SqlValue values[] = {std::string_view(entry.scope), entry.day, entry.amount, entry.bound};
    Run(
        MakeStatement(sql_.add, values), deadline, finish,
        [this, entry, deadline, finish](const PGresult* result) {
          if (PQntuples(result) == 0) return Look(entry, deadline, finish);
          finish(SpendingTotal{true, Integer(result, 0), Integer(result, 1)});
        },
        PostgresRepeat::kHarmful);
  }

 private:
  void Look(const SpendingEntry& entry, TimePoint deadline,
            const SpendingLedger::TotalCallback& finish) {
    const SqlValue values[] = {std::string_view(entry.scope), entry.day};
    Run(MakeStatement(sql_.look, values), deadline, finish, [finish](const PGresult* result) {
      finish(SpendingTotal{false, Integer(result, 0), Integer(result, 1)});
    });
  }

  const SpendingSql sql_ = MakeSpendingSql(SqlDialect::kPostgres);
};

class PostgresSpending final : public SpendingLedger {
 public:
  PostgresSpending(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : calls_(std::move(pool), loop) {}

  void Add(SpendingEntry entry, TimePoint deadline, TotalCallback done) override {
    calls_.Post([entry = std::move(entry), deadline,
                 done = std::move(done)](SpendingCalls* spending) mutable {
      spending->Add(entry, deadline, std::move(done));
    });
  }

 private:
  PostedCalls<SpendingCalls> calls_;
};

}  // namespace

std::unique_ptr<SpendingLedger> NewPostgresSpending(std::shared_ptr<PostgresPool> pool,
                                                    EventLoop* loop) {
  return std::make_unique<PostgresSpending>(std::move(pool), loop);
}

}  // namespace postgen
