#include "core/version_result.h"

#include <algorithm>
#include <utility>

#include "meter/prices.h"
#include "text/utf8.h"
#include "version/reply_text.h"
#include "version/word_limit.h"

namespace postgen {
namespace {

constexpr int kFirstBadStatus = 300;

// Nothing was written that could be billed: our client says so; for another one, the provider
// refused the one call, or never had it.
bool IsFree(const LlmReply& reply) {
  if (reply.ok()) return false;
  if (reply.usage_kind != UsageKind::kUnknown) return reply.usage == Usage{};
  if (reply.attempts > 1) return false;
  switch (reply.error->code) {
    case Code::kConnect:
    case Code::kDns:
    case Code::kTls:
    case Code::kTimeoutConnect: return true;
    default: break;
  }
  return reply.attempts == 0 || reply.error->details.http_status.value_or(0) >= kFirstBadStatus;
}

}  // namespace

std::optional<double> CostOf(const LlmReply& reply, const VersionRules& rules) {
  if (reply.source != Source::kLlm || IsFree(reply)) return 0.0;
  if (reply.usage_kind == UsageKind::kUnknown || !rules.price.has_value()) return std::nullopt;
  return Cost(*rules.price, reply.usage);
}

namespace {

Error CutError() {
  return {Code::kTruncated,
          "the reply was cut by the token limit; raise llm.max_tokens or lower max_words"};
}

Error EmptyError() {
  return {Code::kProtocol, "the reply has no text for the post's body; try again or another model"};
}

// Smaller is more telling.
int Rank(Code code) {
  switch (code) {
    case Code::kAuth: return 0;
    case Code::kQuota: return 1;
    case Code::kRefused: return 2;
    case Code::kRateLimited: return 3;
    case Code::kTimeoutConnect:
    case Code::kTimeoutFirstToken:
    case Code::kTimeoutIdle:
    case Code::kTimeoutAttempt: return 4;
    default: return 5;
  }
}

}  // namespace

VersionResult MakeVersion(const VersionResult& planned, LlmReply reply, const VersionRules& rules) {
  VersionResult version;
  version.version_number = planned.version_number;
  version.angle = planned.angle;
  version.version_type = planned.version_type;
  version.source = reply.source;
  version.model = reply.model.empty() ? rules.model : reply.model;
  version.finish_reason = std::move(reply.finish_reason);
  version.attempts = reply.attempts;
  version.ttft_ms = reply.ttft_ms;
  version.total_ms = reply.total_ms;
  version.usage = reply.usage;
  version.usage_kind = reply.usage_kind;
  version.cost_usd = CostOf(reply, rules);
  version.request_id = std::move(reply.request_id);
  version.error = std::move(reply.error);

  ReplyText text = ParseReply(reply.text);
  version.title = std::move(text.title);
  if (version.ok() && version.finish_reason.kind == FinishReason::Kind::kLength) {
    version.error = CutError();
  } else if (version.ok() && text.content.empty()) {
    version.error = EmptyError();
  }
  if (!version.ok()) {
    if (reply.text.empty()) version.source = Source::kNone;
    version.error->details.attempts = version.attempts;
    version.words = static_cast<std::int64_t>(CountCodePoints(text.content));
    version.content = std::move(text.content);
    return version;
  }

  LimitedText limited = HoldWordLimit(text.content, rules.max_words, rules.posting_type);
  version.words = limited.words;
  version.within_limit = limited.within_limit;
  version.content = std::move(limited.content);
  if (rules.signature.has_value() && !rules.signature->empty()) {
    version.content += "\n\n" + *rules.signature;
  }
  return version;
}

VersionResult MakeManualVersion(const PostRequest& request) {
  VersionResult version;
  version.version_number = 1;
  version.source = Source::kManual;
  version.title = request.title.value_or("");
  version.content = request.content.value_or("");
  version.words = static_cast<std::int64_t>(CountCodePoints(version.content));
  version.within_limit = version.words <= request.max_words;
  version.cost_usd = 0.0;
  return version;
}

Error WorstError(const std::vector<VersionResult>& versions) {
  const auto worst = std::min_element(versions.begin(), versions.end(),
                                      [](const VersionResult& a, const VersionResult& b) {
                                        return Rank(a.error->code) < Rank(b.error->code);
                                      });
  Error error = *worst->error;
  if (versions.size() > 1) {
    error.message = "all " + std::to_string(versions.size()) + " versions failed; version " +
                    std::to_string(worst->version_number) + ": " + error.message;
  }
  return error;
}

}  // namespace postgen
