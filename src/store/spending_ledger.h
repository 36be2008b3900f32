// What has been spent on each day, over processes and restarts: one sum a day and scope, to which
// amounts are added as long as a bound allows. Beside the posts in a table of our own, or in Redis
// (limits/redis_spending.h).
#ifndef POSTGEN_SRC_STORE_SPENDING_LEDGER_H_
#define POSTGEN_SRC_STORE_SPENDING_LEDGER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "postgen/types.h"
#include "store/schema.h"

namespace postgen {

inline constexpr std::string_view kSpendingTable = "postgen_spending";

// Days are UTC's, numbered from 1970-01-01, by the ledger's clock. Amounts are millionths of a USD.
struct SpendingEntry {
  static constexpr std::int64_t kToday = -1;
  static constexpr std::int64_t kUnbounded = -1;

  std::string scope;  // whose money it is
  std::int64_t day = kToday;
  std::int64_t amount = 0;          // less than 0: given back
  std::int64_t bound = kUnbounded;  // of the day's sum
  std::int64_t known_day = kToday;  // what was last heard, for a ledger that may forget
  std::int64_t known_spent = 0;
};

struct SpendingTotal {
  bool added = false;  // else the bound would be passed
  std::int64_t day = 0;
  std::int64_t spent = 0;
};

class SpendingLedger {
 public:
  using TotalCallback = std::function<void(Result<SpendingTotal>)>;

  SpendingLedger() = default;
  SpendingLedger(const SpendingLedger&) = delete;
  SpendingLedger& operator=(const SpendingLedger&) = delete;
  // By then every operation has called back.
  virtual ~SpendingLedger() = default;

  // Returns at once, is thread-safe, and calls back once by `deadline`, from any thread, possibly
  // before returning. Errors are kStore, transient while the ledger is away; then the amount may or
  // may not have been added.
  virtual void Add(SpendingEntry entry, TimePoint deadline, TotalCallback done) = 0;
};

// --- The statements; parameters are numbered from 1 in the order of the comments.

struct SpendingSql {
  std::string create;
  std::string add;   // scope, day, amount, bound -> day, spent, or no row
  std::string look;  // scope, day -> day, spent; always one row
};

SpendingSql MakeSpendingSql(SqlDialect dialect);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SPENDING_LEDGER_H_
