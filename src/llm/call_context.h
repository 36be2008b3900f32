// What the calls of one client share.
#ifndef POSTGEN_SRC_LLM_CALL_CONTEXT_H_
#define POSTGEN_SRC_LLM_CALL_CONTEXT_H_

#include <cstddef>
#include <functional>

#include "llm/dispatcher.h"
#include "llm/policy/retry.h"
#include "llm/wire/completion_parser.h"
#include "postgen/options.h"
#include "postgen/types.h"
#include "runtime/executor.h"
#include "runtime/random.h"

namespace postgen {

// What the options say about every call.
struct CallRules {
  StreamMode stream = StreamMode::kAuto;
  Duration first_token_timeout = {};
  Duration idle_timeout = {};
  Duration attempt_timeout = {};
  std::size_t max_reply_bytes = 0;
  bool early_stop = false;
  bool hedge = false;
  RetryOptions retry;
};

// Used on the executor's thread only; outlives its calls.
struct CallContext {
  Executor* executor = nullptr;
  Dispatcher* dispatcher = nullptr;
  CallRules rules;
  Rng rng;
  CompletionParser parser;
  std::function<WallTime()> wall_clock;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_CALL_CONTEXT_H_
