// What a call has cost in tokens where the provider did not say: because it was cut off, by us.
#ifndef POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_
#define POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_

#include <string_view>

#include "postgen/llm_client.h"
#include "postgen/types.h"

namespace postgen {

// One token for a character that is not ASCII, a quarter for one that is, and some for the form of
// the messages. Chinese text has 0.93 (o200k) to 1.33 (cl100k) tokens a character, see
// docs/tokens.md. Thoughts that nobody has seen are not in it.
Usage EstimateUsage(const LlmRequest& request, std::string_view text);

// What the attempts of a call have cost together.
class UsageSum {
 public:
  void Add(const Usage& usage, UsageKind kind);
  const Usage& usage() const { return usage_; }
  // The least sure of what was added; exact if that is nothing.
  UsageKind kind() const { return kind_; }

 private:
  Usage usage_;
  UsageKind kind_ = UsageKind::kExact;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_POLICY_USAGE_ESTIMATE_H_
