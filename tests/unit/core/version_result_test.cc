#include "core/version_result.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace postgen {
namespace {

VersionResult Planned() {
  VersionResult planned;
  planned.version_number = 2;
  planned.angle = "基本面觀察";
  planned.version_type = "analysis";
  return planned;
}

VersionRules Rules() {
  VersionRules rules;
  rules.max_words = 50;
  rules.posting_type = "analysis";
  rules.model = "gpt-4o-mini";
  rules.price = ModelPrice{1.0, 0.5, 2.0};
  return rules;
}

LlmReply GoodReply() {
  LlmReply reply;
  reply.text = "標題：量能回來了\n內容：台積電今天量能放大。短線先看季線。";
  reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
  reply.usage = {1000, 100, 400};
  reply.usage_kind = UsageKind::kExact;
  reply.attempts = 2;
  return reply;
}

TEST_CASE("a good reply: parsed, counted, priced") {
  const VersionResult version = MakeVersion(Planned(), GoodReply(), Rules());
  REQUIRE(version.ok());
  CHECK(version.version_number == 2);
  CHECK(version.angle == "基本面觀察");
  CHECK(version.title == "量能回來了");
  CHECK(version.content == "台積電今天量能放大。短線先看季線。");
  CHECK(version.words == 17);
  CHECK(version.within_limit);
  CHECK(version.source == Source::kLlm);
  CHECK(version.model == "gpt-4o-mini");
  // 600 plain and 400 cached input tokens, 100 output tokens.
  CHECK(*version.cost_usd == doctest::Approx((600 * 1.0 + 400 * 0.5 + 100 * 2.0) / 1e6));
}

TEST_CASE("a reply cut by the token limit is a failed version that keeps its text") {
  LlmReply reply = GoodReply();
  reply.finish_reason = {FinishReason::Kind::kLength, "length"};
  const VersionResult version = MakeVersion(Planned(), reply, Rules());
  REQUIRE(!version.ok());
  CHECK(version.error->code == Code::kTruncated);
  CHECK(version.error->details.attempts == 2);
  CHECK(version.content == "台積電今天量能放大。短線先看季線。");
  CHECK(version.cost_usd.has_value());  // it was paid all the same
}

TEST_CASE("a reply without a body is a failed version") {
  for (const char* text : {"", "   \n", "標題：只有標題"}) {
    CAPTURE(text);
    LlmReply reply = GoodReply();
    reply.text = text;
    const VersionResult version = MakeVersion(Planned(), reply, Rules());
    REQUIRE(!version.ok());
    CHECK(version.error->code == Code::kProtocol);
    CHECK(version.content.empty());
  }
}

TEST_CASE("text over the limit is never said to be within it") {
  LlmReply reply = GoodReply();
  reply.text = "標題：長\n內容：" + std::string();
  for (int i = 0; i < 60; ++i) reply.text += "漲";
  const VersionResult version = MakeVersion(Planned(), reply, Rules());
  REQUIRE(version.ok());
  CHECK(version.words == 60);
  CHECK(!version.within_limit);
}

TEST_CASE("the signature stands outside the word limit") {
  VersionRules rules = Rules();
  rules.signature = "－短線阿明";
  const VersionResult version = MakeVersion(Planned(), GoodReply(), rules);
  CHECK(version.content == "台積電今天量能放大。短線先看季線。\n\n－短線阿明");
  CHECK(version.words == 17);
}

TEST_CASE("cost: cached and template texts cost nothing, unknown usage or price is unknown") {
  LlmReply reply = GoodReply();
  reply.source = Source::kCache;
  CHECK(*MakeVersion(Planned(), reply, Rules()).cost_usd == 0.0);
  reply.source = Source::kLlm;
  reply.usage_kind = UsageKind::kUnknown;
  CHECK(!MakeVersion(Planned(), reply, Rules()).cost_usd.has_value());
  VersionRules rules = Rules();
  rules.price.reset();
  CHECK(!MakeVersion(Planned(), GoodReply(), rules).cost_usd.has_value());
}

TEST_CASE("the post's error is the most telling of its versions'") {
  const auto failed = [](int number, Code code) {
    VersionResult version;
    version.version_number = number;
    version.error = Error(code, std::string(CodeName(code)) + " happened");
    return version;
  };
  const std::vector<Code> order = {Code::kAuth,        Code::kQuota,       Code::kRefused,
                                   Code::kRateLimited, Code::kTimeoutIdle, Code::kUpstream};
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    const Error worst = WorstError({failed(1, order[i + 1]), failed(2, order[i])});
    CHECK(worst.code == order[i]);
    CHECK(worst.message ==
          "all 2 versions failed; version 2: " + std::string(CodeName(order[i])) + " happened");
  }
  CHECK(WorstError({failed(1, Code::kConnect)}).message == "connect happened");
}

}  // namespace
}  // namespace postgen
