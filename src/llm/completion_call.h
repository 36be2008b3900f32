// One completion from request to reply: attempts, retries, deadline, cancellation. A state machine
// on the executor's thread:
//
//      ┌──────────── another endpoint or model ───────────┐
//      ▼                                                  │
//   kQueued ──its turn (Dispatcher)──► kRunning ──failed──┴──► kWaiting ──its time──► kQueued
//      │                                  │                       │
//      └──────────────────────────────────┴───────► kEnded ◄──────┘   (on_done, exactly once)
#ifndef POSTGEN_SRC_LLM_COMPLETION_CALL_H_
#define POSTGEN_SRC_LLM_COMPLETION_CALL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "llm/attempt.h"
#include "llm/call_context.h"
#include "llm/dispatcher.h"
#include "llm/hedge_watch.h"
#include "llm/policy/retry.h"
#include "llm/policy/usage_estimate.h"
#include "llm/wire/model_family.h"
#include "postgen/cancel.h"
#include "postgen/llm_client.h"
#include "runtime/executor.h"

namespace postgen {

class CompletionCall final : public AttemptOwner,
                             public Dispatcher::Asker,
                             public std::enable_shared_from_this<CompletionCall> {
 public:
  // `on_end` is called once, before sink.on_done. `context` outlives the call.
  CompletionCall(CallContext* context, LlmRequest request, CancelToken cancel, LlmSink sink,
                 std::function<void(CompletionCall*)> on_end);

  // From here on the call ends by its deadline and hears its cancellation, also while queued. A
  // request that cannot be sent ends at once.
  void Begin();

  bool ended() const { return state_ == State::kEnded; }

  void OnTurn(Permit permit) override;
  void OnNoTurn(Error error) override;
  // The request's deadline, or later where others came to wait.
  TimePoint Due() const override;

  void OnAttemptSent(Attempt* attempt) override;
  void OnAttemptToken(Attempt* attempt) override;
  void OnAttemptText(Attempt* attempt, std::string_view text) override;
  void OnAttemptEnd(Attempt* attempt) override;

 private:
  enum class State { kQueued, kRunning, kWaiting, kEnded };

  std::optional<Error> CheckRequest() const;
  void Queue();
  std::unique_ptr<Attempt> NewAttempt(Permit permit);
  void StartSecondAttempt();
  void EndSecondAttempt();
  void Account(const Attempt& attempt);
  void AccountForLast(bool whole);
  bool Repair(const AttemptFailed& failed);
  // Leaves the endpoint or the model for another one. False: there is none, or no reason to.
  bool TryAnotherRoute(const AttemptFailed& failed);
  void RetryOrEnd(const AttemptFailed& failed);

  void TakeBackText();

  void ListenToFlow();

  void ArmTimer();
  void OnTimer();
  void OnDeadline();
  void OnCancel();
  void End(std::optional<Error> error);
  LlmReply TakeReply(std::optional<Error> error);

  CallContext* const context_;
  LlmRequest request_;  // its model is the one that is asked
  const CancelToken cancel_;
  const bool streams_;  // do we ask the provider for a stream?
  const bool listens_;  // does the caller take text as it arrives?

  LlmSink sink_;
  std::function<void(CompletionCall*)> on_end_;
  std::optional<CancelCallback<std::function<void()>>> on_cancel_;
  State state_ = State::kQueued;
  TimerId timer_ = 0;
  TimePoint retry_at_;

  std::unique_ptr<Attempt> attempt_;  // that runs, or the last one; null before the first
  std::unique_ptr<Attempt> second_;   // beside it, until one of them gives a token
  HedgeWatch watch_;
  ModelParameters parameters_;
  RetryHistory history_;
  std::optional<TimePoint> first_dispatch_;
  int attempts_ = 0;  // all of them, as reported
  int charged_ = 0;   // for the attempt that runs, from the retry budget
  int charged_for_second_ = 0;
  UsageSum spent_;  // by the attempts that are over
  bool next_counts_ = true;
  std::optional<ModelParameters> repaired_;  // for the attempt that is to come
  bool text_delivered_ = false;
  ErrorDetails last_details_;  // of the last failed attempt
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_COMPLETION_CALL_H_
