// A reply becomes a version: title and body, word limit, cost, and the reasons why it may be no
// good.
#ifndef POSTGEN_SRC_CORE_VERSION_RESULT_H_
#define POSTGEN_SRC_CORE_VERSION_RESULT_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

// What a version must keep to, and what it was asked of.
struct VersionRules {
  std::int64_t max_words = 0;
  std::string posting_type;
  std::string model;  // asked for; reported where the provider names none
  std::optional<std::string> signature;
  std::optional<ModelPrice> price;  // of `model`
};

// Of one call, hedges and a stream that was cut short included; absent where the usage or the price
// is not known.
std::optional<double> CostOf(const LlmReply& reply, const VersionRules& rules);

// What `reply` makes of `planned`, of which number, angle and type are kept. Replies that are cut
// by the token limit or lack a body are failed versions, with what was received kept in `content`.
VersionResult MakeVersion(const VersionResult& planned, LlmReply reply, const VersionRules& rules);

// The version that the caller wrote himself: stored as it is.
VersionResult MakeManualVersion(const PostRequest& request);

// The error of a post whose versions all failed: the most telling of theirs, in the order auth,
// quota, refused, rate_limited, timeouts, others. REQUIRES: at least one version, none of them
// ok().
Error WorstError(const std::vector<VersionResult>& versions);

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_VERSION_RESULT_H_
