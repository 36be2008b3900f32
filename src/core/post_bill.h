// What the calls of one post cost, against what was reserved for them. Settled when the last who
// holds the bill lets go of it: a post that ended early leaves it to its cancelled calls.
#ifndef POSTGEN_SRC_CORE_POST_BILL_H_
#define POSTGEN_SRC_CORE_POST_BILL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "limits/spending_budget.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "runtime/mutex.h"

namespace postgen {

// The most that a call may cost at any of the models that may answer it, in USD: its prompt as it
// is estimated and a quarter more, and all the tokens that it may have. Absent: the price of one of
// them is not known.
std::optional<double> MostCost(const LlmRequest& request, const LlmOptions& options);

// The error for that.
Error UnknownPrice(const LlmRequest& request);

// Thread-safe.
class PostBill {
 public:
  // `most_a_call` in USD.
  PostBill(std::shared_ptr<SpendingBudget> budget, SpendingBudget::Reservation reservation,
           double most_a_call);
  ~PostBill();
  PostBill(const PostBill&) = delete;
  PostBill& operator=(const PostBill&) = delete;

  // A call has ended; absent: nobody knows what it did cost.
  void Add(std::optional<double> cost_usd);

 private:
  const std::shared_ptr<SpendingBudget> budget_;
  const SpendingBudget::Reservation reservation_;
  const double most_a_call_;
  Mutex mutex_;
  double spent_usd_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Millionths, rounded up.
std::int64_t MicroUsd(double usd);

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_POST_BILL_H_
