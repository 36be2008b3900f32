// What posts may cost in a UTC day. What a post may cost at the most is reserved before its first
// call and settled when it is known what it did cost.
//
// While the ledger is away, this process spends its share of what was left when it last heard of it
// (by the number of processes that there were), and tells the ledger when that is back. One that
// has never heard of it spends nothing.
//
// The ledger may have added what it did not answer for. So a charge is told again, and may count
// twice; what would be given back is not, and may be lost.
#ifndef POSTGEN_SRC_LIMITS_SPENDING_BUDGET_H_
#define POSTGEN_SRC_LIMITS_SPENDING_BUDGET_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "postgen/types.h"
#include "runtime/executor.h"
#include "runtime/mutex.h"
#include "store/spending_ledger.h"

namespace postgen {

// Thread-safe. Must be owned by a shared_ptr.
class SpendingBudget : public std::enable_shared_from_this<SpendingBudget> {
 public:
  // How long the ledger may take to add up.
  static constexpr std::chrono::milliseconds kLedgerLimit{5000};

  struct Parts {
    SpendingLedger* ledger = nullptr;  // outlives the last answer
    std::string scope;
    std::int64_t limit = 0;  // millionths of a USD, as all amounts here
    // That spend from the same ledger, this one included, as last known.
    std::function<std::int64_t()> processes;
    std::shared_ptr<Executor> executor;    // its clock
    std::function<WallTime()> wall_clock;  // for the day, while the ledger is away
  };

  struct Reservation {
    std::int64_t day = 0;
    std::int64_t amount = 0;
    // Of which share, where the ledger has not heard of it; 0: it has.
    std::int64_t share = 0;
  };
  using ReserveCallback = std::function<void(Result<Reservation>)>;

  explicit SpendingBudget(Parts parts) : parts_(std::move(parts)) {}

  // Calls back once, from any thread, possibly before returning: kBudget where `amount` is more
  // than is left; the ledger's error where it cannot be used at all.
  void Reserve(std::int64_t amount, TimePoint deadline, ReserveCallback done);
  // It did cost so much. Each reservation once.
  void Settle(const Reservation& reservation, std::int64_t spent);
  // Until all reservations are settled and the ledger has heard, or `limit` has come.
  void WaitSettled(TimePoint limit);

  // "0.001500 USD"
  static std::string Usd(std::int64_t micro);

  // For people.
  struct View {
    std::int64_t limit = 0;
    std::int64_t spent = 0;  // today, as last heard, with what this process has added since
    bool known = false;      // was it ever heard?
    bool away = false;
    std::int64_t refused = 0;  // posts
  };
  View Look() const;
  // Asks the ledger, for the next Look(): the error if it does not answer.
  void Refresh(TimePoint deadline, std::function<void(Status)> done);

 private:
  std::int64_t Today() const;
  SpendingEntry Entry(std::int64_t day, std::int64_t amount) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTotal(const SpendingTotal& total) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeShare(std::int64_t today) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `away`: the ledger's error.
  Result<Reservation> ReserveOnShare(std::int64_t amount, const Error& away)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `share`: of whose share `left` is; empty: of all.
  Error Exceeded(std::int64_t amount, std::int64_t left, const std::string& share)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellOwed();
  // One less is open. After what follows from it has begun, so that nobody takes all for settled.
  void Ended();

  const Parts parts_;

  mutable Mutex mutex_;
  CondVar settled_;
  std::int64_t day_ ABSL_GUARDED_BY(mutex_) = 0;  // of `spent_`; 0: never heard
  std::int64_t spent_ ABSL_GUARDED_BY(mutex_) = 0;
  bool away_ ABSL_GUARDED_BY(mutex_) = false;
  // Each time that the ledger is away, and each day of that, has a share of its own.
  std::int64_t share_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t share_day_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t share_left_ ABSL_GUARDED_BY(mutex_) = 0;  // for all, less what is `on_way_`
  std::int64_t share_processes_ ABSL_GUARDED_BY(mutex_) = 1;
  std::int64_t share_spent_ ABSL_GUARDED_BY(mutex_) = 0;
  // By day: the ledger has yet to hear of it.
  std::map<std::int64_t, std::int64_t> owed_ ABSL_GUARDED_BY(mutex_);
  std::int64_t on_way_ ABSL_GUARDED_BY(mutex_) = 0;  // charges that the ledger has yet to answer
  std::int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;    // reservations, and amounts on their way
  std::int64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LIMITS_SPENDING_BUDGET_H_
