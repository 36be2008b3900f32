// One completion from request to reply: attempts, limits, retries, cancellation. A state machine on
// the executor's thread:
//
//   kQueued ──Dispatch──► kRunning ──failed, retry──► kWaiting ──its time──► kRunning
//      │                     │                           │
//      └─────────────────────┴──────────► kEnded ◄───────┘   (on_done, exactly once)
#ifndef POSTGEN_SRC_LLM_COMPLETION_CALL_H_
#define POSTGEN_SRC_LLM_COMPLETION_CALL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "llm/parameter_memory.h"
#include "llm/policy/retry.h"
#include "llm/policy/retry_budget.h"
#include "llm/transport/http_transport.h"
#include "llm/wire/completion_parser.h"
#include "llm/wire/model_family.h"
#include "llm/wire/reply_reader.h"
#include "postgen/cancel.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "runtime/executor.h"
#include "runtime/random.h"

namespace postgen {

// What the options say about every call.
struct CallRules {
  std::string host;  // for messages
  StreamMode stream = StreamMode::kAuto;
  Duration first_token_timeout = {};
  Duration idle_timeout = {};
  Duration attempt_timeout = {};
  std::size_t max_reply_bytes = 0;
  RetryOptions retry;
};

// What the calls of one client share. Used on the executor's thread only.
struct CallContext {
  Executor* executor = nullptr;
  HttpTransport* transport = nullptr;
  CallRules rules;
  ParameterMemory parameters;
  RetryBudget budget;
  Rng rng;
  CompletionParser parser;
  std::function<WallTime()> wall_clock;
};

class CompletionCall final : public HttpHandler,
                             public std::enable_shared_from_this<CompletionCall> {
 public:
  // `on_end` is called once, before sink.on_done: the call needs its place no longer. `context`
  // outlives the call.
  CompletionCall(CallContext* context, LlmRequest request, CancelToken cancel, LlmSink sink,
                 std::function<void(CompletionCall*)> on_end);

  // From here on the call ends by its deadline and hears its cancellation, also while queued. A
  // request that cannot be sent ends at once.
  void Begin();
  // Its turn has come: sends the first attempt. REQUIRES: Begin() was called and !ended().
  void Dispatch();

  bool dispatched() const { return first_dispatch_.has_value(); }
  bool ended() const { return state_ == State::kEnded; }

  void OnConnected() override;
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd(const HttpEnd& end) override;

 private:
  enum class State { kQueued, kRunning, kWaiting, kEnded };

  // What is known of the attempt that runs, or of the last one.
  struct Attempt {
    TimePoint started;
    TimePoint due;  // llm.attempt_timeout_ms
    TimePoint silence_due =
        TimePoint::max();  // llm.first_token_timeout_ms, then llm.idle_timeout_ms
    std::optional<TimePoint> first_text;
    int http_status = 0;  // 0: no head yet
    std::string error_body;
    std::string request_id;
    std::optional<Duration> retry_after;
    std::optional<bool> should_retry;
  };

  std::optional<Error> CheckRequest() const;
  void StartAttempt(bool counts);
  void OnText(std::string_view text);
  void ReadErrorBody(std::string_view bytes);
  bool HasErrorStatus() const;

  // Ends of an attempt.
  void ConcludeReply();
  void ConcludeErrorReply();
  void FailAttempt(Error error, bool stale_connection = false);
  void DropTransfer();

  // Time.
  TimePoint NextDue() const;
  void ArmTimer();
  void OnTimer();
  void OnLimit(TimePoint now);
  Error SilenceError() const;

  void OnCancel();
  void End(std::optional<Error> error);
  LlmReply TakeReply(std::optional<Error> error);

  CallContext* const context_;
  const LlmRequest request_;
  const CancelToken cancel_;
  const bool listens_;  // does the caller take text as it arrives?
  const bool streams_;  // do we ask the provider for a stream?
  const ModelParameters family_;

  LlmSink sink_;
  std::function<void(CompletionCall*)> on_end_;
  std::optional<CancelCallback<std::function<void()>>> on_cancel_;
  State state_ = State::kQueued;
  TransferId transfer_ = 0;
  TimerId timer_ = 0;
  TimePoint timer_due_;
  TimePoint retry_at_;

  Attempt attempt_;
  ReplyReader reader_;
  ModelParameters parameters_;
  RetryHistory history_;
  std::optional<TimePoint> first_dispatch_;
  int attempts_ = 0;  // all of them, as reported
  int charged_ = 0;   // for the attempt that runs, from the retry budget
  bool next_is_free_ = false;
  bool text_delivered_ = false;
  ErrorDetails last_details_;  // of the last failed attempt
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_COMPLETION_CALL_H_
