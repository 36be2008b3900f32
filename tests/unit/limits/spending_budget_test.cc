// The budget over a ledger that the test takes away and brings back.
#include "limits/spending_budget.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/manual_executor.h"
#include "support/notification.h"

namespace postgen {
namespace {

using std::chrono::hours;

// As a ledger is, over all the budgets of a test.
class FakeLedger final : public SpendingLedger {
 public:
  void Add(SpendingEntry entry, TimePoint, TotalCallback done) override {
    if (on_add) on_add();
    if (hold) return held.push_back([this, entry, done] { Answer(entry, done); });
    Answer(entry, done);
  }
  void GoAway() {
    error = Error(Code::kStore, "host:6379/0: Redis said READONLY");
    error->details.transient = true;
    loses_answers = false;
  }
  // Adds up, but nobody hears of it.
  void LoseAnswers() {
    GoAway();
    loses_answers = true;
  }

  std::int64_t today = 20000;
  std::map<std::int64_t, std::int64_t> spent;
  std::optional<Error> error;
  bool loses_answers = false;
  bool hold = false;
  std::vector<std::function<void()>> held;
  std::function<void()> on_add;

 private:
  void Answer(const SpendingEntry& entry, const TotalCallback& done) {
    if (error && !loses_answers) return done(*error);
    const std::int64_t day = entry.day == SpendingEntry::kToday ? today : entry.day;
    std::int64_t& sum = spent[day];
    const bool fits = entry.bound == SpendingEntry::kUnbounded || sum + entry.amount <= entry.bound;
    if (fits) sum += entry.amount;
    if (error) return done(*error);
    done(SpendingTotal{fits, day, sum});
  }
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
  CHECK(over.error().message.find("Redis said READONLY") != std::string::npos);
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

TEST_CASE("a post of an earlier share gives nothing back to a later one") {
  Fixture f;
  f.processes = 1;
  CHECK(f.Reserve(0).ok());
  f.ledger.GoAway();
  const auto earlier = f.Reserve(600);
  REQUIRE(earlier.ok());
  f.ledger.error.reset();
  CHECK(f.Reserve(0).ok());  // the ledger hears of the 600
  f.ledger.GoAway();
  CHECK(f.Reserve(100).ok());
  f.budget->Settle(*earlier, 0);
  CHECK_FALSE(f.Reserve(301).ok());
  CHECK(f.Reserve(300).ok());
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
  CHECK(answer.error().message.find("Redis said READONLY;") != std::string::npos);
}

TEST_CASE("a ledger that cannot be used says what to mend") {
  Fixture f;
  REQUIRE(f.Reserve(1).ok());
  f.ledger.error = Error(Code::kStore, "run: postgen migrate");
  const auto answer = f.Reserve(1);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::kStore);
}

TEST_CASE("a charge that could not be told is told with the next answer") {
  Fixture f;
  const auto post = f.Reserve(500);
  REQUIRE(post.ok());
  f.ledger.GoAway();
  f.budget->Settle(*post, 700);
  CHECK(f.SpentToday() == 500);
  f.ledger.error.reset();
  SUBCASE("at the end") { f.budget->WaitSettled(f.executor->Now()); }
  SUBCASE("of a post") { CHECK(f.Reserve(0).ok()); }
  SUBCASE("of a look") {
    bool ok = false;
    f.budget->Refresh(f.executor->Now(), [&](const Status& status) { ok = status.ok(); });
    CHECK(ok);
  }
  CHECK(f.SpentToday() == 700);
}

TEST_CASE("what is given back counts once at the most, where the ledger's answer is lost") {
  Fixture f;
  const auto first = f.Reserve(400);
  REQUIRE(first.ok());
  REQUIRE(f.Reserve(600).ok());  // by a post that did cost as much
  f.ledger.LoseAnswers();
  f.budget->Settle(*first, 100);
  CHECK(f.SpentToday() == 700);
  f.ledger.error.reset();
  CHECK_FALSE(f.Reserve(301).ok());
  CHECK(f.Reserve(300).ok());
  CHECK(f.SpentToday() == 1000);
}

TEST_CASE("a charge whose answer is lost may count twice") {
  Fixture f;
  const auto post = f.Reserve(100);
  REQUIRE(post.ok());
  f.ledger.LoseAnswers();
  f.budget->Settle(*post, 150);
  f.ledger.error.reset();
  CHECK(f.Reserve(0).ok());
  CHECK(f.SpentToday() == 200);
}

TEST_CASE("while the ledger is known to be away, what is given back waits for it") {
  Fixture f;
  const auto post = f.Reserve(500);
  REQUIRE(post.ok());
  f.ledger.GoAway();
  CHECK(f.Reserve(0).ok());
  f.budget->Settle(*post, 100);
  f.ledger.error.reset();
  CHECK(f.Reserve(0).ok());
  CHECK(f.SpentToday() == 100);
}

TEST_CASE("each settlement asks whether the ledger is back") {
  Fixture f;
  CHECK(f.Reserve(0).ok());
  f.ledger.GoAway();
  const auto post = f.Reserve(200);
  REQUIRE(post.ok());
  f.ledger.error.reset();
  f.budget->Settle(*post, 100);
  CHECK_FALSE(f.budget->Look().away);
  CHECK(f.SpentToday() == 100);
}

TEST_CASE("a share made anew is without what the ledger has yet to hear of") {
  Fixture f;
  f.processes = 1;
  CHECK(f.Reserve(0).ok());
  f.ledger.GoAway();
  REQUIRE(f.Reserve(600).ok());
  // Back for one answer.
  f.ledger.error.reset();
  f.ledger.hold = true;
  f.budget->Refresh(f.executor->Now(), [](const Status&) {});
  const auto look = std::exchange(f.ledger.held, {});
  REQUIRE(look.size() == 1);
  look[0]();
  CHECK_FALSE(f.budget->Look().away);
  const auto told = std::exchange(f.ledger.held, {});
  REQUIRE(told.size() == 1);
  f.ledger.hold = false;
  f.ledger.GoAway();
  SUBCASE("as it could not be told") {
    told[0]();
    CHECK_FALSE(f.Reserve(401).ok());
    CHECK(f.Reserve(400).ok());
  }
  SUBCASE("as it is on its way") {
    CHECK_FALSE(f.Reserve(401).ok());
    CHECK(f.Reserve(300).ok());
    told[0]();
    CHECK_FALSE(f.Reserve(101).ok());
    CHECK(f.Reserve(100).ok());
  }
}

TEST_CASE("a share is without what other posts have asked the ledger for") {
  Fixture f;
  f.processes = 1;
  CHECK(f.Reserve(0).ok());
  f.ledger.hold = true;
  std::optional<bool> first;
  std::optional<bool> second;
  f.budget->Reserve(600, f.executor->Now(), [&](const auto& answer) { first = answer.ok(); });
  f.budget->Reserve(400, f.executor->Now(), [&](const auto& answer) { second = answer.ok(); });
  const auto asked = std::exchange(f.ledger.held, {});
  f.ledger.hold = false;
  f.ledger.GoAway();
  SUBCASE("that it adds") {
    CHECK_FALSE(f.Reserve(1).ok());
    f.ledger.error.reset();
    asked[0]();
    asked[1]();
  }
  SUBCASE("which they then have of the share") {
    asked[0]();
    asked[1]();
  }
  CHECK(first == true);
  CHECK(second == true);
  CHECK_FALSE(f.Reserve(1).ok());
}

TEST_CASE("the end waits for no reservation that was refused") {
  Fixture f;
  const auto post = f.Reserve(100);
  REQUIRE(post.ok());
  f.ledger.GoAway();
  f.budget->Settle(*post, 200);  // the end tells it, by which the test knows that it began
  f.ledger.error = Error(Code::kStore, "run: postgen migrate");
  f.ledger.hold = true;
  bool refused = false;
  f.budget->Reserve(1, f.executor->Now(), [&](const auto& answer) { refused = !answer.ok(); });
  const auto asked = std::exchange(f.ledger.held, {});
  REQUIRE(asked.size() == 1);
  f.ledger.hold = false;
  testing::Notification began;
  f.ledger.on_add = [&] { began.Notify(); };
  const TimePoint limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  std::thread end([&] { f.budget->WaitSettled(limit); });
  began.Wait();
  asked[0]();
  end.join();
  CHECK(refused);
  CHECK(std::chrono::steady_clock::now() < limit);
}

}  // namespace
}  // namespace postgen
