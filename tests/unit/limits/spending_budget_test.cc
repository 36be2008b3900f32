// The budget over a ledger that the test takes away and brings back.
#include "limits/spending_budget.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::hours;

// As a ledger is, over all the budgets of a test.
class FakeLedger final : public SpendingLedger {
 public:
  void Add(SpendingEntry entry, TimePoint, TotalCallback done) override {
    if (error) return done(*error);
    const std::int64_t day = entry.day == SpendingEntry::kToday ? today : entry.day;
    std::int64_t& sum = spent[day];
    const bool fits = entry.bound == SpendingEntry::kUnbounded || sum + entry.amount <= entry.bound;
    if (fits) sum += entry.amount;
    done(SpendingTotal{fits, day, sum});
  }
  void GoAway() {
    error = Error(Code::kStore, "away");
    error->details.transient = true;
  }

  std::int64_t today = 20000;
  std::map<std::int64_t, std::int64_t> spent;
  std::optional<Error> error;
};

struct Fixture {
  FakeLedger ledger;
  std::shared_ptr<ManualExecutor> executor = std::make_shared<ManualExecutor>();
  std::int64_t processes = 4;
  std::shared_ptr<SpendingBudget> budget = Make(1000);

  std::shared_ptr<SpendingBudget> Make(std::int64_t limit) {
    SpendingBudget::Parts parts;
    parts.ledger = &ledger;
    parts.scope = "key";
    parts.limit = limit;
    parts.processes = [this] { return processes; };
    parts.executor = executor;
    parts.wall_clock = [this] { return WallTime(hours(24) * ledger.today + hours(23)); };
    return std::make_shared<SpendingBudget>(std::move(parts));
  }
  Result<SpendingBudget::Reservation> Reserve(std::int64_t amount) {
    Result<SpendingBudget::Reservation> answer = Error(Code::kInternal, "no answer");
    budget->Reserve(amount, executor->Now() + hours(1), [&](auto result) { answer = result; });
    return answer;
  }
  std::int64_t SpentToday() { return ledger.spent[ledger.today]; }
};

TEST_CASE("what is reserved counts until it is settled, and what was not used can be spent again") {
  Fixture f;
  const auto first = f.Reserve(600);
  REQUIRE(first.ok());
  CHECK(f.SpentToday() == 600);
  const auto second = f.Reserve(600);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::kBudget);
  CHECK(second.error().details.field == "budget_usd_per_day");
  CHECK(second.error().message.find("0.000400 USD") != std::string::npos);
  f.budget->Settle(*first, 150);
  CHECK(f.SpentToday() == 150);
  CHECK(f.Reserve(850).ok());
  CHECK_FALSE(f.Reserve(1).ok());
  CHECK(f.budget->Look().spent == 1000);
  CHECK(f.budget->Look().refused == 2);
}

TEST_CASE("a post that did cost more than was reserved is paid by those that follow") {
  Fixture f;
  const auto first = f.Reserve(900);
  REQUIRE(first.ok());
  f.budget->Settle(*first, 1200);
  CHECK(f.SpentToday() == 1200);
  CHECK_FALSE(f.Reserve(1).ok());
}

TEST_CASE("the next day is another budget, and a post is paid by the day on which it began") {
  Fixture f;
  const auto yesterday = f.Reserve(1000);
  REQUIRE(yesterday.ok());
  ++f.ledger.today;
  CHECK(f.Reserve(1000).ok());
  f.budget->Settle(*yesterday, 10);
  CHECK(f.ledger.spent[20000] == 10);
  CHECK(f.SpentToday() == 1000);
  CHECK(f.budget->Look().spent == 1000);
}

TEST_CASE("while the ledger is away, a process spends its share of what was left") {
  Fixture f;
  const auto before = f.Reserve(200);
  REQUIRE(before.ok());
  f.ledger.GoAway();
  const auto one = f.Reserve(150);  // a quarter of 800
  REQUIRE(one.ok());
  CHECK(f.budget->Look().away);
  const auto over = f.Reserve(51);
  REQUIRE_FALSE(over.ok());
  CHECK(over.error().code == Code::kBudget);
  CHECK(over.error().message.find("share") != std::string::npos);
  // What was not used can be spent again here as well.
  f.budget->Settle(*one, 100);
  CHECK(f.Reserve(100).ok());
  CHECK_FALSE(f.Reserve(1).ok());
  CHECK(f.SpentToday() == 200);

  f.ledger.error.reset();
  CHECK(f.Reserve(10).ok());
  CHECK_FALSE(f.budget->Look().away);
  CHECK(f.SpentToday() == 410);  // told of what was spent meanwhile
}

TEST_CASE("a day that begins while the ledger is away has a share of its own") {
  Fixture f;
  REQUIRE(f.Reserve(1000).ok());
  f.ledger.GoAway();
  CHECK_FALSE(f.Reserve(1).ok());
  ++f.ledger.today;
  CHECK(f.Reserve(250).ok());
  CHECK_FALSE(f.Reserve(1).ok());
}

TEST_CASE("a process that has never heard of the ledger spends nothing") {
  Fixture f;
  f.ledger.GoAway();
  const auto answer = f.Reserve(1);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::kBudget);
}

TEST_CASE("a ledger that cannot be used says what to mend") {
  Fixture f;
  REQUIRE(f.Reserve(1).ok());
  f.ledger.error = Error(Code::kStore, "run: postgen migrate");
  const auto answer = f.Reserve(1);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::kStore);
}

TEST_CASE("what could not be told is told with the next answer") {
  Fixture f;
  const auto post = f.Reserve(500);
  REQUIRE(post.ok());
  f.ledger.GoAway();
  f.budget->Settle(*post, 100);
  CHECK(f.SpentToday() == 500);
  f.ledger.error.reset();
  f.budget->WaitSettled(f.executor->Now());
  CHECK(f.SpentToday() == 100);
}

}  // namespace
}  // namespace postgen
