#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "faults.h"

using namespace emulator;

namespace {

std::string Error(std::string_view rule) {
  std::string error;
  CHECK_FALSE(ParseFaultRule(rule, &error));
  return error;
}

FaultPlan Plan(const std::vector<std::string>& specs) {
  std::vector<FaultRule> rules;
  for (const std::string& spec : specs) {
    std::string error;
    auto rule = ParseFaultRule(spec, &error);
    REQUIRE_MESSAGE(rule, error);
    rules.push_back(*rule);
  }
  FaultPlan plan;
  plan.SetRules(rules);
  return plan;
}

}  // namespace

TEST_CASE("rules are parsed, values and conditions kept apart") {
  std::string error;
  auto rule = ParseFaultRule("status=503:0.25", &error);
  REQUIRE(rule);
  CHECK(rule->fault.number == 503);
  CHECK(rule->when == FaultRule::When::kShare);
  CHECK(rule->share == 0.25);

  rule = ParseFaultRule("reset@25", &error);
  REQUIRE(rule);
  CHECK(rule->when == FaultRule::When::kEvery);
  CHECK(rule->count == 25);

  rule = ParseFaultRule("quota=organization_spend_limit_exceeded#3", &error);
  REQUIRE(rule);
  CHECK(rule->fault.text == "organization_spend_limit_exceeded");
  CHECK(rule->when == FaultRule::When::kFirst);

  rule = ParseFaultRule("redirect=http://127.0.0.1:8080/v1", &error);
  REQUIRE(rule);
  CHECK(rule->fault.text == "http://127.0.0.1:8080/v1");
  CHECK(rule->when == FaultRule::When::kAlways);

  rule = ParseFaultRule("retry-after=Wed, 21 Oct 2026 07:28:00 GMT#1", &error);
  REQUIRE(rule);
  CHECK(rule->fault.text == "Wed, 21 Oct 2026 07:28:00 GMT");
  CHECK(rule->count == 1);

  rule = ParseFaultRule("cut", &error);
  REQUIRE(rule);
  CHECK(FaultName(rule->fault) == "cut=3");
}

TEST_CASE("wrong rules name what is wrong") {
  CHECK(Error("nonsense").find("unknown fault 'nonsense'") == 0);
  CHECK(Error("status=99").find("200 to 599") != std::string::npos);
  CHECK(Error("status=abc").find("200 to 599") != std::string::npos);
  CHECK(Error("reset=1").find("takes no value") != std::string::npos);
  CHECK(Error("reset:1.5").find("from 0 to 1") != std::string::npos);
  CHECK(Error("reset@0").find("at least 1") != std::string::npos);
  CHECK(Error("redirect").find("needs a value") != std::string::npos);
  CHECK(Error("redirect=a\r\nb").find("one line") != std::string::npos);
}

TEST_CASE("every and first count the calls") {
  FaultPlan plan = Plan({"reset@3", "status=500#2"});
  std::string drawn;
  for (std::uint64_t i = 0; i < 6; ++i) {
    auto fault = plan.Draw(1, i);
    drawn += !fault ? '.' : fault->kind == FaultKind::kReset ? 'r' : 's';
  }
  CHECK(drawn == "ssr..r");
}

TEST_CASE("shares are drawn from the seed") {
  FaultPlan one = Plan({"reset:0.2"});
  FaultPlan two = Plan({"reset:0.2"});
  int hits = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    auto fault = one.Draw(9, i);
    CHECK(fault.has_value() == two.Draw(9, i).has_value());
    if (fault) ++hits;
  }
  CHECK(hits > 900);
  CHECK(hits < 1100);
}
