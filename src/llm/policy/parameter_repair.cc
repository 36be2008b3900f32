#include "llm/policy/parameter_repair.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace postgen {
namespace {

constexpr int kBadRequest = 400;
constexpr int kUnprocessable = 422;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Codes of OpenAI; compatible servers say the same in prose.
bool IsParameterRefusal(const ProviderError& error) {
  static constexpr std::array<std::string_view, 3> kCodes = {
      "unsupported_parameter", "unsupported_value", "unknown_parameter"};
  if (std::find(kCodes.begin(), kCodes.end(), error.code) != kCodes.end()) return true;
  static constexpr std::array<std::string_view, 8> kPhrases = {
      "nsupported",    "not supported",    "not support", "nrecognized",
      "not permitted", "nknown parameter", "nexpected",   "not allowed"};
  return std::any_of(kPhrases.begin(), kPhrases.end(),
                     [&error](std::string_view phrase) { return Contains(error.message, phrase); });
}

// The provider names the parameter in `param`, or else somewhere in its message.
bool IsAbout(const ProviderError& error, std::string_view parameter) {
  return Contains(error.param.empty() ? error.message : error.param, parameter);
}

TokenField Other(TokenField field) {
  return field == TokenField::kMaxTokens ? TokenField::kMaxCompletionTokens
                                         : TokenField::kMaxTokens;
}

}  // namespace

std::optional<ModelParameters> RepairParameters(int http_status, const ProviderError& error,
                                                const ModelParameters& used,
                                                const ModelParameters& original) {
  if (http_status != kBadRequest && http_status != kUnprocessable) return std::nullopt;
  if (!IsParameterRefusal(error)) return std::nullopt;
  ModelParameters repaired = used;
  if (used.token_field == original.token_field &&
      IsAbout(error, TokenFieldName(used.token_field))) {
    repaired.token_field = Other(used.token_field);
  } else if (used.temperature && IsAbout(error, "temperature")) {
    repaired.temperature = false;
  } else if (used.stream_options && IsAbout(error, "stream_options")) {
    repaired.stream_options = false;
  } else if (used.system_role && IsAbout(error, "role") && Contains(error.message, "system")) {
    repaired.system_role = false;
  } else {
    return std::nullopt;
  }
  return repaired;
}

}  // namespace postgen
