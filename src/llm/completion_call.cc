#include "llm/completion_call.h"

#include <algorithm>
#include <utility>

#include "llm/policy/parameter_repair.h"
#include "llm/wire/provider_error.h"
#include "llm/wire/request_body.h"
#include "llm/wire/retry_after.h"
#include "llm/wire/safe_word.h"
#include "text/utf8.h"

namespace postgen {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Of an error reply: enough to read any provider's error.
constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10U;

double MillisecondsBetween(TimePoint from, TimePoint to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::string RequestId(const HttpHead& head) {
  for (const std::string_view name : {"x-request-id", "apim-request-id", "x-generation-id"}) {
    if (std::string id = SafeWord(head.Find(name)); !id.empty()) return id;
  }
  return {};
}

RetryHeaders FindRetryHeaders(const HttpHead& head) {
  return {.retry_after_ms = head.Find("retry-after-ms"),
          .x_ms_retry_after_ms = head.Find("x-ms-retry-after-ms"),
          .retry_after = head.Find("retry-after"),
          .should_retry = head.Find("x-should-retry"),
          .date = head.Find("date")};
}

std::string InMilliseconds(Duration duration) {
  return std::to_string(duration_cast<milliseconds>(duration).count()) + " ms";
}

}  // namespace

CompletionCall::CompletionCall(CallContext* context, LlmRequest request, CancelToken cancel,
                               LlmSink sink, std::function<void(CompletionCall*)> on_end)
    : context_(context),
      request_(std::move(request)),
      cancel_(std::move(cancel)),
      listens_(request_.stream && sink.on_text != nullptr),
      streams_(context->rules.stream == StreamMode::kAlways ||
               (context->rules.stream == StreamMode::kAuto && request_.stream)),
      family_(context->parameters.Family(request_.model)),
      sink_(std::move(sink)),
      on_end_(std::move(on_end)),
      reader_(&context->parser, context->rules.max_reply_bytes) {}

void CompletionCall::Begin() {
  if (std::optional<Error> error = CheckRequest()) return End(std::move(error));
  // The caller may cancel at any moment, from any thread, also when the call is gone.
  on_cancel_.emplace(cancel_, [weak = weak_from_this(), executor = context_->executor] {
    executor->Post([weak] {
      if (const auto call = weak.lock()) call->OnCancel();
    });
  });
  ArmTimer();
}

std::optional<Error> CompletionCall::CheckRequest() const {
  if (request_.model.empty()) return Error(Code::kInvalidRequest, "model is empty", "model");
  if (request_.messages.empty()) {
    return Error(Code::kInvalidRequest, "there are no messages to send", "messages");
  }
  for (std::size_t i = 0; i < request_.messages.size(); ++i) {
    const std::optional<std::size_t> bad = FindInvalidUtf8(request_.messages[i].content);
    if (!bad) continue;
    return Error(Code::kInvalidRequest,
                 "messages[" + std::to_string(i) + "] is not UTF-8 at byte " + std::to_string(*bad),
                 "messages");
  }
  return std::nullopt;
}

void CompletionCall::Dispatch() {
  // What a call before this one learned while this one waited counts too.
  parameters_ = context_->parameters.Find(request_.model);
  StartAttempt(/*counts=*/true);
}

void CompletionCall::StartAttempt(bool counts) {
  const TimePoint now = context_->executor->Now();
  if (!first_dispatch_) first_dispatch_ = now;
  state_ = State::kRunning;
  attempt_ = {};
  attempt_.started = now;
  attempt_.due = now + context_->rules.attempt_timeout;
  reader_.Begin(FormOfReply({}, streams_));
  ++attempts_;
  if (counts) ++history_.attempts;
  transfer_ = context_->transport->Post(WriteRequestBody(request_, parameters_, streams_), this);
  ArmTimer();
}

void CompletionCall::OnConnected() {
  if (!streams_) return;
  attempt_.silence_due = context_->executor->Now() + context_->rules.first_token_timeout;
  ArmTimer();
}

void CompletionCall::OnHead(const HttpHead& head) {
  const RetryHeaders retry = FindRetryHeaders(head);
  attempt_.http_status = head.status;
  attempt_.request_id = RequestId(head);
  attempt_.retry_after = ParseRetryAfter(retry, context_->wall_clock());
  attempt_.should_retry = ParseShouldRetry(retry.should_retry);
  if (HasErrorStatus()) return;
  const ReplyForm form = FormOfReply(head.Find("content-type"), streams_);
  reader_.Begin(form);
  // A whole body has no first token: the attempt's own limit is left.
  if (form == ReplyForm::kWholeBody) attempt_.silence_due = TimePoint::max();
}

bool CompletionCall::HasErrorStatus() const {
  return attempt_.http_status != 0 && (attempt_.http_status < 200 || attempt_.http_status > 299);
}

void CompletionCall::OnBody(std::string_view bytes) {
  if (HasErrorStatus()) return ReadErrorBody(bytes);
  const std::int64_t events_before = reader_.payload_events();
  reader_.Read(bytes, [this](std::string_view text) { OnText(text); });
  if (reader_.ended()) return ConcludeReply();
  // Comments and pings are signs of life, but not of progress.
  if (reader_.payload_events() == events_before || !reader_.has_token()) return;
  attempt_.silence_due = context_->executor->Now() + context_->rules.idle_timeout;
  ArmTimer();
}

void CompletionCall::OnText(std::string_view text) {
  if (!attempt_.first_text) attempt_.first_text = context_->executor->Now();
  if (!listens_) return;
  text_delivered_ = true;
  sink_.on_text(text);
}

void CompletionCall::ReadErrorBody(std::string_view bytes) {
  const std::size_t room = kMaxErrorBody - attempt_.error_body.size();
  attempt_.error_body.append(bytes.substr(0, room));
  if (attempt_.error_body.size() == kMaxErrorBody) ConcludeErrorReply();
}

void CompletionCall::OnEnd(const HttpEnd& end) {
  transfer_ = 0;
  if (HasErrorStatus()) return ConcludeErrorReply();
  if (!end.error) {
    reader_.EndOfBody([this](std::string_view text) { OnText(text); });
    return ConcludeReply();
  }
  if (reader_.EndEarly()) return ConcludeReply();
  const bool lost_idle_connection =
      end.reused_connection && end.error->code == Code::kConnect && attempt_.http_status == 0;
  FailAttempt(*end.error, lost_idle_connection);
}

// The reply has been read to its end, for good or ill.
void CompletionCall::ConcludeReply() {
  if (reader_.error()) {
    DropTransfer();
    return FailAttempt(*reader_.error());
  }
  if (transfer_ != 0) context_->transport->Finish(std::exchange(transfer_, 0));
  context_->budget.OnSuccess(charged_);
  End(std::nullopt);
}

void CompletionCall::ConcludeErrorReply() {
  DropTransfer();
  const ProviderError provider_error = context_->parser.ParseError(attempt_.error_body);
  const std::optional<ModelParameters> repaired =
      RepairParameters(attempt_.http_status, provider_error, parameters_, family_);
  if (repaired) {
    parameters_ = *repaired;
    context_->parameters.Learn(request_.model, *repaired);
    return StartAttempt(/*counts=*/false);
  }
  FailAttempt(ToError(attempt_.http_status, provider_error));
}

void CompletionCall::FailAttempt(Error error, bool stale_connection) {
  if (attempt_.http_status != 0) error.details.http_status = attempt_.http_status;
  error.details.request_id = attempt_.request_id;
  if (attempt_.retry_after) {
    error.details.retry_after_ms = duration_cast<milliseconds>(*attempt_.retry_after).count();
  }
  last_details_ = error.details;

  AttemptFailure failure;
  failure.code = error.code;
  failure.should_retry = attempt_.should_retry;
  // A model that ran into its cap runs into it again, and is paid again.
  const FinishReason::Kind finish = reader_.completion().finish_reason.kind;
  if (finish == FinishReason::Kind::kLength) failure.should_retry = false;
  failure.retry_after = attempt_.retry_after;
  failure.stale_connection = stale_connection;
  failure.text_delivered = text_delivered_;
  if (error.code == Code::kDns) ++history_.dns_failures;

  const std::optional<RetryDecision> retry =
      DecideRetry(failure, history_, context_->rules.retry, context_->executor->Now(),
                  request_.deadline, &context_->budget, &context_->rng);
  if (!retry) return End(std::move(error));
  state_ = State::kWaiting;
  retry_at_ = retry->at;
  charged_ = retry->charged;
  next_is_free_ = retry->free;
  history_.used_free_retry = history_.used_free_retry || retry->free;
  ArmTimer();
}

void CompletionCall::DropTransfer() {
  if (transfer_ != 0) context_->transport->Cancel(std::exchange(transfer_, 0));
}

TimePoint CompletionCall::NextDue() const {
  switch (state_) {
    case State::kQueued: return request_.deadline;
    case State::kWaiting: return std::min(request_.deadline, retry_at_);
    case State::kRunning: return std::min({request_.deadline, attempt_.due, attempt_.silence_due});
    case State::kEnded: break;
  }
  return TimePoint::max();
}

// One timer serves all limits. It is moved only when something is due earlier; when it comes too
// early it looks again, so that a token that moves a limit away costs nothing.
void CompletionCall::ArmTimer() {
  const TimePoint due = NextDue();
  if (due == TimePoint::max() || (timer_ != 0 && timer_due_ <= due)) return;
  context_->executor->CancelTimer(timer_);
  timer_due_ = due;
  timer_ = context_->executor->RunAt(due, [this] { OnTimer(); });
}

void CompletionCall::OnTimer() {
  timer_ = 0;
  const TimePoint now = context_->executor->Now();
  if (now < NextDue()) return ArmTimer();
  if (state_ == State::kWaiting && now < request_.deadline) {
    return StartAttempt(/*counts=*/!next_is_free_);
  }
  OnLimit(now);
}

void CompletionCall::OnLimit(TimePoint now) {
  DropTransfer();
  if (state_ == State::kRunning && HasErrorStatus()) return ConcludeErrorReply();
  if (state_ == State::kRunning && reader_.EndEarly()) return ConcludeReply();
  if (now >= request_.deadline) {
    const std::string_view when = state_ == State::kQueued
                                      ? "while its call waited for a place (llm.max_in_flight)"
                                      : "before its call was complete";
    Error error(Code::kDeadline, "the deadline passed " + std::string(when));
    error.details = last_details_;
    return End(std::move(error));
  }
  if (now >= attempt_.silence_due) return FailAttempt(SilenceError());
  const CallRules& rules = context_->rules;
  FailAttempt(Error(Code::kTimeoutAttempt,
                    rules.host + " did not complete its reply within " +
                        InMilliseconds(rules.attempt_timeout) + " (llm.attempt_timeout_ms)",
                    rules.host));
}

Error CompletionCall::SilenceError() const {
  const CallRules& rules = context_->rules;
  if (reader_.has_token()) {
    return Error(Code::kTimeoutIdle,
                 rules.host + " fell silent in the middle of its reply for " +
                     InMilliseconds(rules.idle_timeout) + " (llm.idle_timeout_ms)",
                 rules.host);
  }
  return Error(Code::kTimeoutFirstToken,
               rules.host + " gave no token within " + InMilliseconds(rules.first_token_timeout) +
                   " (llm.first_token_timeout_ms)",
               rules.host);
}

void CompletionCall::OnCancel() {
  if (ended()) return;
  DropTransfer();
  Error error(Code::kCancelled, "the caller cancelled");
  error.details = last_details_;
  End(std::move(error));
}

void CompletionCall::End(std::optional<Error> error) {
  state_ = State::kEnded;
  context_->executor->CancelTimer(std::exchange(timer_, 0));
  on_cancel_.reset();
  const LlmSink sink = std::exchange(sink_, {});
  const auto self = shared_from_this();  // on_end_ lets go of this call
  on_end_(this);
  sink.on_done(TakeReply(std::move(error)));
}

LlmReply CompletionCall::TakeReply(std::optional<Error> error) {
  LlmReply reply;
  reply.error = std::move(error);
  if (reply.error) reply.error->details.attempts = attempts_;
  Completion& completion = reader_.completion();
  reply.text = std::move(completion.text);
  reply.finish_reason = std::move(completion.finish_reason);
  reply.model = std::move(completion.model);
  reply.usage = completion.usage;
  reply.usage_kind = completion.usage_kind;
  reply.request_id = attempt_.request_id;
  reply.attempts = attempts_;
  if (first_dispatch_) {
    reply.total_ms = MillisecondsBetween(*first_dispatch_, context_->executor->Now());
  }
  if (attempt_.first_text && reader_.form() == ReplyForm::kEventStream) {
    reply.ttft_ms = MillisecondsBetween(attempt_.started, *attempt_.first_text);
  }
  return reply;
}

}  // namespace postgen
