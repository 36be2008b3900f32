#include "llm/attempt.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "llm/policy/failure_kind.h"
#include "llm/wire/retry_after.h"
#include "llm/wire/safe_word.h"

namespace postgen {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Of an error reply: enough to read any provider's error.
constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10U;

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

RateReadings FindRateReadings(const HttpHead& head, WallTime now) {
  return {.requests = ParseRateReading(head.Find("x-ratelimit-limit-requests"),
                                       head.Find("x-ratelimit-remaining-requests"),
                                       head.Find("x-ratelimit-reset-requests"), now),
          .tokens = ParseRateReading(head.Find("x-ratelimit-limit-tokens"),
                                     head.Find("x-ratelimit-remaining-tokens"),
                                     head.Find("x-ratelimit-reset-tokens"), now)};
}

std::string InMilliseconds(Duration duration) {
  return std::to_string(duration_cast<milliseconds>(duration).count()) + " ms";
}

}  // namespace

Attempt::Attempt(CallContext* context, AttemptOwner* owner, Permit permit, bool streams)
    : context_(context),
      owner_(owner),
      route_(*permit.route),
      streams_(streams),
      permit_(permit),
      reader_(&context->parser, context->rules.max_reply_bytes) {
  permit_.route = &route_;  // the asker's may be another attempt's
}

Attempt::~Attempt() { Cancel(); }

void Attempt::Start(std::string body, TimePoint deadline) {
  deadline_ = deadline;
  due_ = context_->executor->Now() + context_->rules.attempt_timeout;
  reader_.Begin(FormOfReply({}, streams_));
  transfer_ = provider().transport->Post(std::move(body), this);
  ArmTimer();
}

void Attempt::Extend(TimePoint deadline) {
  deadline_ = deadline;
  if (transfer_ != 0) ArmTimer();
}

void Attempt::Cancel() {
  Close();
  GivePermitBack(/*cancelled=*/true);
}

void Attempt::Close() {
  if (transfer_ != 0) provider().transport->Cancel(std::exchange(transfer_, 0));
  context_->executor->CancelTimer(std::exchange(timer_, 0));
}

void Attempt::GivePermitBack(bool cancelled) {
  if (permit_.route == nullptr) return;
  AttemptEnd end;
  if (failure_) {
    end.error = &failure_->error;
    end.connection = failure_->broken_connection;
  }
  end.cancelled = cancelled;
  end.limit = limit_;
  end.retry_after = retry_after_;
  const Completion& completion = reader_.completion();
  if (HasErrorStatus()) {
    end.used_tokens = 0;
  } else if (completion.usage_kind == UsageKind::kExact) {
    end.used_tokens = completion.usage.prompt_tokens + completion.usage.completion_tokens;
  }
  Permit permit = std::exchange(permit_, {});
  context_->dispatcher->End(&permit, end);
}

std::optional<TimePoint> Attempt::first_text_at() const {
  return reader_.form() == ReplyForm::kEventStream ? first_text_ : std::nullopt;
}

bool Attempt::MayHaveCost() const {
  if (HasErrorStatus()) return false;
  if (has_token_) return true;
  if (!sent_) return false;
  if (!failure_) return true;  // given up by us, while it may have been at work
  const Code code = failure_->error.code;
  return IsTimeout(code) || code == Code::kTruncated || code == Code::kTooLarge;
}

// --- The reply ----------------------------------------------------------------------------------

void Attempt::OnConnected() {
  sent_ = true;
  owner_->OnAttemptSent(this);
  if (!streams_) return;
  silence_due_ = context_->executor->Now() + context_->rules.first_token_timeout;
  ArmTimer();
}

void Attempt::OnHead(const HttpHead& head) {
  const RetryHeaders retry = FindRetryHeaders(head);
  http_status_ = head.status;
  request_id_ = RequestId(head);
  if (provider().transport->HoldsSecret(request_id_)) request_id_.clear();
  retry_after_ = ParseRetryAfter(retry, context_->wall_clock());
  should_retry_ = ParseShouldRetry(retry.should_retry);
  context_->dispatcher->OnHead(&permit_, FindRateReadings(head, context_->wall_clock()));
  if (HasErrorStatus()) return;
  const ReplyForm form = FormOfReply(head.Find("content-type"), streams_);
  reader_.Begin(form);
  // A whole body has no first token: the attempt's own limit is left.
  if (form == ReplyForm::kWholeBody) silence_due_ = TimePoint::max();
}

bool Attempt::HasErrorStatus() const {
  return http_status_ != 0 && (http_status_ < 200 || http_status_ > 299);
}

void Attempt::OnBody(std::string_view bytes) {
  if (HasErrorStatus()) return ReadErrorBody(bytes);
  const std::int64_t events_before = reader_.payload_events();
  reader_.Read(bytes, [this](std::string_view text) { OnText(text); });
  if (reader_.ended()) return ConcludeReply();
  // Comments and pings are signs of life, but not of progress.
  if (reader_.payload_events() == events_before || !reader_.has_token()) return;
  OnToken();
  silence_due_ = context_->executor->Now() + context_->rules.idle_timeout;
  ArmTimer();
}

void Attempt::OnToken() {
  if (!std::exchange(has_token_, true)) owner_->OnAttemptToken(this);
}

void Attempt::OnText(std::string_view text) {
  OnToken();
  if (!first_text_) first_text_ = context_->executor->Now();
  const Completion& completion = reader_.completion();
  const bool may_stop = early_stop_ && reader_.form() == ReplyForm::kEventStream &&
                        completion.finish_reason.kind == FinishReason::Kind::kNone;
  if (!may_stop) return HandOn(completion.text.size());
  early_stop_->Push(text);
  HandOn(early_stop_->ready());
  if (early_stop_->enough()) reader_.EndHere(early_stop_->ready());
}

void Attempt::HandOn(std::size_t end) {
  if (end <= handed_on_) return;
  const std::string_view text = reader_.completion().text;
  const std::size_t begin = std::exchange(handed_on_, end);
  owner_->OnAttemptText(this, text.substr(begin, end - begin));
}

void Attempt::Pause() {
  if (transfer_ == 0 || paused_at_) return;
  paused_at_ = context_->executor->Now();
  provider().transport->SetPaused(transfer_, true);
}

void Attempt::Resume() {
  if (transfer_ == 0 || !paused_at_) return;
  const TimePoint now = context_->executor->Now();
  due_ += now - *paused_at_;
  silence_due_ = now + context_->rules.idle_timeout;
  paused_at_.reset();
  ArmTimer();
  provider().transport->SetPaused(transfer_, false);  // what it held back may be the end
}

void Attempt::ReadErrorBody(std::string_view bytes) {
  const std::size_t room = kMaxErrorBody - error_body_.size();
  error_body_.append(bytes.substr(0, room));
  if (error_body_.size() == kMaxErrorBody) ConcludeErrorReply();
}

void Attempt::OnEnd(const HttpEnd& end) {
  transfer_ = 0;
  if (HasErrorStatus()) return ConcludeErrorReply();
  if (!end.error) {
    reader_.EndOfBody([this](std::string_view text) { OnText(text); });
    return ConcludeReply();
  }
  if (reader_.EndEarly()) return ConcludeReply();
  const bool lost_idle_connection =
      end.reused_connection && end.error->code == Code::kConnect && http_status_ == 0;
  Fail({.error = *end.error,
        .stale_connection = lost_idle_connection,
        .broken_connection = end.connection});
}

// --- The end ------------------------------------------------------------------------------------

// The reply has been read to its end, for good or ill.
void Attempt::ConcludeReply() {
  if (reader_.error()) return Fail({.error = FromHost(*reader_.error())});
  HandOn(reader_.completion().text.size());
  // What is left of the body is read for a moment, so that the connection can be used again; more
  // tokens than were wanted are not waited for, and not paid.
  const bool stopped_early =
      reader_.completion().finish_reason.kind == FinishReason::Kind::kEarlyStop;
  if (transfer_ != 0 && !stopped_early) provider().transport->Finish(std::exchange(transfer_, 0));
  End();
}

void Attempt::ConcludeErrorReply() {
  ProviderError provider_error = context_->parser.ParseError(error_body_);
  Error error = FromHost(ToError(http_status_, provider_error));
  limit_ = LimitOf(provider_error);
  if (error.code == Code::kRateLimited && !retry_after_) {
    retry_after_ = FindTryAgain(provider_error.message);
  }
  Fail({.error = std::move(error), .provider_error = std::move(provider_error)});
}

// With several endpoints, "the provider" alone does not say which.
Error Attempt::FromHost(Error error) const {
  error.message = provider().host + ": " + error.message;
  return error;
}

void Attempt::Fail(AttemptFailed failure) {
  Error& error = failure.error;
  if (http_status_ != 0) error.details.http_status = http_status_;
  error.details.request_id = request_id_;
  if (retry_after_) {
    error.details.retry_after_ms = duration_cast<milliseconds>(*retry_after_).count();
  }
  failure.should_retry = should_retry_;
  failure.retry_after = retry_after_;
  failure_ = std::move(failure);
  End();
}

// What a provider calls things is shown, its model, finish reason and code: not if it is our key.
void Attempt::HideSecrets() {
  const HttpTransport& transport = *provider().transport;
  Completion& completion = reader_.completion();
  if (transport.HoldsSecret(completion.model)) completion.model.clear();
  if (transport.HoldsSecret(completion.finish_reason.text)) {
    completion.finish_reason.text = "other";
  }
  if (!failure_ || !transport.HoldsSecret(failure_->error.message)) return;
  failure_->error.message = provider().host + ": an error that repeats the key";
  failure_->error.details.provider_code.clear();
}

void Attempt::End() {
  HideSecrets();
  Close();  // first: others may be sent from within
  GivePermitBack(/*cancelled=*/false);
  owner_->OnAttemptEnd(this);
}

bool Attempt::EndEarly() {
  if (transfer_ != 0) provider().transport->Cancel(std::exchange(transfer_, 0));
  if (HasErrorStatus()) {
    ConcludeErrorReply();
    return true;
  }
  if (reader_.EndEarly()) {
    ConcludeReply();
    return true;
  }
  return false;
}

// --- Limits -------------------------------------------------------------------------------------

TimePoint Attempt::NextDue() const {
  if (paused_at_) return TimePoint::max();
  const TimePoint due = std::min(due_, silence_due_);
  return due < deadline_ ? due : TimePoint::max();
}

// One timer serves all limits. It is moved only when something is due earlier; when it comes too
// early it looks again, so that a token that moves a limit away costs nothing.
void Attempt::ArmTimer() {
  const TimePoint due = NextDue();
  if (due == TimePoint::max() || (timer_ != 0 && timer_due_ <= due)) return;
  context_->executor->CancelTimer(timer_);
  timer_due_ = due;
  timer_ = context_->executor->RunAt(due, [this] { OnTimer(); });
}

void Attempt::OnTimer() {
  timer_ = 0;
  const TimePoint now = context_->executor->Now();
  if (now < NextDue()) return ArmTimer();
  if (EndEarly()) return;
  if (now >= silence_due_) return Fail({.error = SilenceError()});
  const CallRules& rules = context_->rules;
  Fail({.error = Error(Code::kTimeoutAttempt,
                       provider().host + " did not complete its reply within " +
                           InMilliseconds(rules.attempt_timeout) + " (llm.attempt_timeout_ms)",
                       provider().host)});
}

Error Attempt::SilenceError() const {
  const CallRules& rules = context_->rules;
  if (reader_.has_token()) {
    return Error(Code::kTimeoutIdle,
                 provider().host + " fell silent in the middle of its reply for " +
                     InMilliseconds(rules.idle_timeout) + " (llm.idle_timeout_ms)",
                 provider().host);
  }
  return Error(Code::kTimeoutFirstToken,
               provider().host + " gave no token within " +
                   InMilliseconds(rules.first_token_timeout) + " (llm.first_token_timeout_ms)",
               provider().host);
}

}  // namespace postgen
