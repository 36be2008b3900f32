#include "contract/request_ledger_contract.h"

#include <chrono>
#include <set>
#include <utility>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"

namespace postgen {
namespace {

using State = ClaimAnswer::State;

ClaimAnswer Claim(RequestLedger* ledger, const RequestClaim& claim) {
  auto answer = ClaimAndWait(ledger, claim);
  REQUIRE_MESSAGE(answer.ok(), answer.error().message);
  return *answer;
}

void CheckRace(RequestLedger* one, RequestLedger* other) {
  constexpr int kCallers = 32;
  Answers<ClaimAnswer> answers;
  for (int i = 0; i < kCallers; ++i) {
    RequestLedger* const ledger = i % 2 == 0 ? one : other;
    ledger->Claim(TestClaim(std::to_string(i)), Soon(), answers.Callback());
  }
  int ours = 0;
  std::set<std::string> post_ids;
  for (const auto& answer : answers.Wait(kCallers)) {
    REQUIRE_MESSAGE(answer.ok(), answer.error().message);
    if (answer->state == State::kOurs) ++ours;
    post_ids.insert(answer->post_id);
  }
  CHECK(ours == 1);
  CHECK(post_ids.size() == 1);
}

}  // namespace

RequestClaim TestClaim(const std::string& owner, const std::string& hash) {
  return {.tenant = "t",
          .key = "k",
          .request_hash = hash,
          .post_id = "post-of-" + owner,
          .owner = owner};
}

Result<ClaimAnswer> ClaimAndWait(RequestLedger* ledger, const RequestClaim& claim) {
  return Await<ClaimAnswer>([&](auto done) { ledger->Claim(claim, Soon(), std::move(done)); });
}

Status FinishAndWait(RequestLedger* ledger, const RequestClaim& claim) {
  return Await<void>([&](auto done) { ledger->Finish(claim, Soon(), std::move(done)); });
}

Status ReleaseAndWait(RequestLedger* ledger, const RequestClaim& claim) {
  return Await<void>([&](auto done) { ledger->Release(claim, Soon(), std::move(done)); });
}

void CheckRequestLedgerContract(RequestLedger* one, RequestLedger* other,
                                const std::function<std::string(const std::string& sql)>& query) {
  SUBCASE("a key is taken once, and told to the others with the owner's post id") {
    const ClaimAnswer first = Claim(one, TestClaim("a"));
    CHECK(first.state == State::kOurs);
    CHECK(first.post_id == "post-of-a");
    const ClaimAnswer second = Claim(other, TestClaim("b"));
    CHECK(second.state == State::kRunning);
    CHECK(second.post_id == "post-of-a");
    CHECK(Claim(one, TestClaim("a")).state == State::kOurs);  // renewed
    CHECK(Claim(other, TestClaim("b", "else")).state == State::kConflict);

    RequestClaim elsewhere = TestClaim("b");
    elsewhere.tenant = "another";
    CHECK(Claim(other, elsewhere).state == State::kOurs);
  }

  SUBCASE("a finished key tells its post; a released one is free; nobody else may do either") {
    Claim(one, TestClaim("a"));
    CHECK(ReleaseAndWait(other, TestClaim("b")).ok());
    CHECK(Claim(other, TestClaim("b")).state == State::kRunning);
    CHECK(ReleaseAndWait(one, TestClaim("a")).ok());
    const ClaimAnswer next = Claim(other, TestClaim("b"));
    CHECK(next.state == State::kOurs);
    CHECK(next.post_id == "post-of-b");
    CHECK(FinishAndWait(other, TestClaim("b")).ok());
    CHECK(Claim(one, TestClaim("a")).state == State::kDone);
    CHECK(Claim(one, TestClaim("a", "else")).state == State::kConflict);
  }

  SUBCASE("a lease that ended is taken over under the same post id; an expired key is free") {
    Claim(one, TestClaim("a"));
    query("UPDATE postgen_requests SET lease_until_ms = 0");
    CHECK(Claim(other, TestClaim("b", "else")).state == State::kConflict);
    const ClaimAnswer taken = Claim(other, TestClaim("b"));
    CHECK(taken.state == State::kOurs);
    CHECK(taken.post_id == "post-of-a");
    CHECK(Claim(one, TestClaim("a")).state == State::kRunning);

    query("UPDATE postgen_requests SET state = 'done', expires_at_ms = 0");
    const ClaimAnswer anew = Claim(one, TestClaim("c", "else"));
    CHECK(anew.state == State::kOurs);
    CHECK(anew.post_id == "post-of-c");
  }

  SUBCASE("expired keys are deleted with the end of some posts") {
    // It is the turn of those whose owner's name begins so.
    const RequestClaim cleaner = TestClaim("00");
    Claim(one, cleaner);
    for (const std::string key : {"old", "older", "living"}) {
      RequestClaim claim = TestClaim("a");
      claim.key = key;
      Claim(other, claim);
    }
    query("UPDATE postgen_requests SET expires_at_ms = 0 WHERE request_key LIKE 'old%'");
    RequestClaim finished = TestClaim("a");
    finished.key = "living";
    CHECK(FinishAndWait(other, finished).ok());
    CHECK(query("SELECT count(*) FROM postgen_requests") == "4");
    CHECK(FinishAndWait(one, cleaner).ok());
    CHECK(query("SELECT count(*) FROM postgen_requests WHERE state = 'done'") == "2");
    CHECK(query("SELECT count(*) FROM postgen_requests") == "2");
    CHECK(Claim(other, finished).state == State::kDone);
  }

  SUBCASE("of many who ask at once one has it") { CheckRace(one, other); }
}

}  // namespace postgen
