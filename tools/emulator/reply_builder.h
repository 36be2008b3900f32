// Turns answers into reply scripts: JSON bodies, server-sent events, and what faults make of them.
#ifndef POSTGEN_EMULATOR_REPLY_BUILDER_H_
#define POSTGEN_EMULATOR_REPLY_BUILDER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "api_error.h"
#include "completion.h"
#include "faults.h"
#include "http_message.h"
#include "latency.h"
#include "reply_script.h"
#include "settings.h"

namespace emulator {

struct ReplyOptions {
  HeaderList headers;
  bool keep_alive = true;
  bool http10 = false;  // no chunked bodies
  bool include_usage = false;
  UsageStyle usage_style = UsageStyle::kFinalChunk;
  std::int64_t tokens_per_chunk = 1;
  std::optional<Fault> fault;
};

ReplyScript JsonReply(int status, std::string body, bool keep_alive);
ReplyScript ErrorReply(const ApiError& error, bool keep_alive, const HeaderList& headers = {},
                       Duration due = {});

// The completion in one JSON body, due when the last token is.
ReplyScript WholeReply(const Completion& completion, const GenerationPace& pace,
                       const ReplyOptions& options);

// The completion as events, each due with its last token.
ReplyScript StreamReply(const Completion& completion, const GenerationPace& pace,
                        const ReplyOptions& options);

// The reply of a fault that takes the place of the completion.
struct InsteadOfCompletion {
  int status;  // for the ledger; 0 when nothing is sent
  ReplyScript script;
};

// Nothing for other faults.
std::optional<InsteadOfCompletion> InsteadReply(const Fault& fault, bool keep_alive, bool stream,
                                                const HeaderList& headers, Duration due);

// Tokens that a choice has brought after so many deltas: the first delta has one.
std::int64_t TokensInDeltas(std::int64_t deltas, std::int64_t tokens_per_chunk);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_REPLY_BUILDER_H_
