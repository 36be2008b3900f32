#include "llm/policy/parameter_repair.h"

#include <optional>

#include <doctest/doctest.h>

namespace postgen {
namespace {

const ModelParameters kPlain = FamilyParameters("gpt-4o", TokenParam::kAuto);
const ModelParameters kReasoning = FamilyParameters("o3", TokenParam::kAuto);

TEST_CASE("refused parameters are swapped or left out") {
  struct {
    std::string_view name;
    ModelParameters used;
    ProviderError error;
    ModelParameters repaired;
  } const cases[] = {
      {"OpenAI, token field",
       kPlain,
       {"unsupported_parameter", "invalid_request_error", "max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead."},
       {.token_field = TokenField::kMaxCompletionTokens}},
      {"OpenAI, temperature",
       kPlain,
       {"unsupported_value", "invalid_request_error", "temperature", ""},
       {.temperature = false}},
      {"a server that knows only max_tokens",
       kReasoning,
       {"", "", "", "Unrecognized request argument supplied: max_completion_tokens"},
       {.token_field = TokenField::kMaxTokens,
        .reasoning_allowance_tokens = kReasoningAllowanceTokens,
        .temperature = false}},
      {"a validator",
       kPlain,
       {"", "", "",
        R"({"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted"}]})"},
       {.stream_options = false}},
      {"the system role",
       kPlain,
       {"unsupported_value", "", "messages[0].role",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model."},
       {.system_role = false}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto repaired = RepairParameters(400, c.error, c.used, c.used);
    REQUIRE(repaired.has_value());
    CHECK(*repaired == c.repaired);
    CHECK(RepairParameters(422, c.error, c.used, c.used) == repaired);
    // The same refusal again finds nothing left to repair.
    CHECK_FALSE(RepairParameters(400, c.error, *repaired, c.used).has_value());
  }
}

TEST_CASE("a token field is not swapped back and forth") {
  const ProviderError neither = {"unsupported_parameter", "", "",
                                 "max_tokens, max_completion_tokens"};
  const auto once = RepairParameters(400, neither, kPlain, kPlain);
  REQUIRE(once.has_value());
  CHECK_FALSE(RepairParameters(400, neither, *once, kPlain).has_value());
}

TEST_CASE("other refusals are left alone") {
  struct {
    int status;
    ProviderError error;
  } const cases[] = {
      {400, {"context_length_exceeded", "", "messages", "too long"}},
      {400, {"invalid_value", "", "max_tokens", "max_tokens is too large: 50000"}},
      {400, {"unsupported_parameter", "", "logprobs", ""}},
      {400, {}},
      {401, {"unsupported_parameter", "", "max_tokens", ""}},
      {500, {"unsupported_parameter", "", "max_tokens", ""}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.status);
    CAPTURE(c.error.code);
    CHECK_FALSE(RepairParameters(c.status, c.error, kPlain, kPlain).has_value());
  }
}

}  // namespace
}  // namespace postgen
