#include "llm/wire/model_family.h"

namespace postgen {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "o3" and "o3-mini", but not "o365" or "omni".
bool IsOSeries(std::string_view name) {
  if (name.size() < 2 || name[0] != 'o' || !IsDigit(name[1])) return false;
  return name.size() == 2 || name[2] == '-';
}

TokenField ChooseTokenField(TokenParam param, bool reasoning) {
  switch (param) {
    case TokenParam::kMaxTokens: return TokenField::kMaxTokens;
    case TokenParam::kMaxCompletionTokens: return TokenField::kMaxCompletionTokens;
    case TokenParam::kAuto: break;
  }
  return reasoning ? TokenField::kMaxCompletionTokens : TokenField::kMaxTokens;
}

}  // namespace

std::string_view TokenFieldName(TokenField field) {
  return field == TokenField::kMaxTokens ? "max_tokens" : "max_completion_tokens";
}

bool IsReasoningModel(std::string_view model) {
  const std::string_view name = model.substr(model.rfind('/') + 1);  // npos + 1 == 0: all of it
  return IsOSeries(name) || name.substr(0, 5) == "gpt-5";
}

ModelParameters FamilyParameters(std::string_view model, TokenParam token_param) {
  const bool reasoning = IsReasoningModel(model);
  ModelParameters parameters;
  parameters.token_field = ChooseTokenField(token_param, reasoning);
  parameters.reasoning_allowance_tokens = reasoning ? kReasoningAllowanceTokens : 0;
  parameters.temperature = !reasoning;
  return parameters;
}

}  // namespace postgen
