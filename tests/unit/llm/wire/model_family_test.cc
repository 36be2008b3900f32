#include "llm/wire/model_family.h"

#include <string_view>

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("reasoning models are known by name") {
  for (const std::string_view model :
       {"o1", "o1-mini", "o3", "o3-mini-2025-01-31", "o4-mini", "gpt-5", "gpt-5-nano", "gpt-5.1",
        "openai/o3-mini", "azure/openai/gpt-5"}) {
    CAPTURE(model);
    CHECK(IsReasoningModel(model));
  }
  for (const std::string_view model : {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-3.5-turbo", "o365",
                                       "omni", "o", "", "llama-o1", "o1/llama", "my-gpt-5"}) {
    CAPTURE(model);
    CHECK_FALSE(IsReasoningModel(model));
  }
}

TEST_CASE("parameters by family") {
  const ModelParameters plain = FamilyParameters("gpt-4o-mini", TokenParam::kAuto);
  CHECK(plain.token_field == TokenField::kMaxTokens);
  CHECK(plain.temperature);
  CHECK(plain.reasoning_allowance_tokens == 0);

  const ModelParameters reasoning = FamilyParameters("o3-mini", TokenParam::kAuto);
  CHECK(reasoning.token_field == TokenField::kMaxCompletionTokens);
  CHECK_FALSE(reasoning.temperature);
  CHECK(reasoning.reasoning_allowance_tokens == kReasoningAllowanceTokens);
}

TEST_CASE("the option decides the token field for every model") {
  CHECK(FamilyParameters("o3", TokenParam::kMaxTokens).token_field == TokenField::kMaxTokens);
  CHECK(FamilyParameters("gpt-4o", TokenParam::kMaxCompletionTokens).token_field ==
        TokenField::kMaxCompletionTokens);
}

}  // namespace
}  // namespace postgen
