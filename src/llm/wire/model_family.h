// What a model takes as parameters. Families differ: reasoning models refuse `temperature` and
// `max_tokens`, and spend tokens on thinking before the first visible one.
#ifndef POSTGEN_SRC_LLM_WIRE_MODEL_FAMILY_H_
#define POSTGEN_SRC_LLM_WIRE_MODEL_FAMILY_H_

#include <cstdint>
#include <string_view>

#include "postgen/options.h"

namespace postgen {

// Hidden reasoning counts against the token cap. Without this allowance on top of the visible
// budget a reasoning model may stop at the cap with nothing written.
inline constexpr std::int64_t kReasoningAllowanceTokens = 2048;

enum class TokenField { kMaxTokens, kMaxCompletionTokens };

// "max_tokens" or "max_completion_tokens".
std::string_view TokenFieldName(TokenField field);

struct ModelParameters {
  TokenField token_field = TokenField::kMaxTokens;
  std::int64_t reasoning_allowance_tokens = 0;  // added to the visible budget
  bool temperature = true;                      // is it sent?
  bool stream_options = true;                   // is usage asked for in streams?
  bool system_role = true;                      // else `developer` stands for it

  friend bool operator==(const ModelParameters&, const ModelParameters&) = default;
};

// o1, o3, o4, gpt-5 and their variants ("o3-mini", "openai/gpt-5.1").
bool IsReasoningModel(std::string_view model);

// What to send to `model` until its server says otherwise (policy/parameter_repair.h). kAuto:
// reasoning models know only max_completion_tokens, and max_tokens is what every compatible server
// knows for the others.
ModelParameters FamilyParameters(std::string_view model, TokenParam token_param);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_MODEL_FAMILY_H_
