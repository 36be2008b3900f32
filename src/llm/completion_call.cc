#include "llm/completion_call.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "llm/policy/parameter_repair.h"
#include "llm/policy/token_estimate.h"
#include "llm/policy/usage_estimate.h"
#include "llm/wire/request_body.h"
#include "text/utf8.h"

namespace postgen {
namespace {

constexpr int kFirstBadStatus = 300;
constexpr int kNotFound = 404;

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Does a stream from the provider help? A post's text may be ended early, and a late first token be
// told from a long text; others take whole replies, which cost less to read.
bool AsksForStream(const CallRules& rules, const LlmRequest& request) {
  switch (rules.stream) {
    case StreamMode::kAlways: return true;
    case StreamMode::kNever: return false;
    case StreamMode::kAuto: break;
  }
  return request.stream || (request.max_words > 0 && (rules.early_stop || rules.hedge));
}

}  // namespace

CompletionCall::CompletionCall(CallContext* context, LlmRequest request, CancelToken cancel,
                               LlmSink sink, std::function<void(CompletionCall*)> on_end)
    : context_(context),
      request_(std::move(request)),
      cancel_(std::move(cancel)),
      streams_(AsksForStream(context->rules, request_)),
      listens_((request_.stream || streams_) && sink.on_text != nullptr),
      sink_(std::move(sink)),
      on_end_(std::move(on_end)),
      watch_(context->executor, [this] { StartSecondAttempt(); }) {}

void CompletionCall::Begin() {
  if (std::optional<Error> error = CheckRequest()) return End(std::move(error));
  // The caller may cancel at any moment, from any thread, also when the call is gone.
  on_cancel_.emplace(cancel_, [weak = weak_from_this(), executor = context_->executor] {
    executor->Post([weak] {
      if (const auto call = weak.lock()) call->OnCancel();
    });
  });
  ListenToFlow();
  routes = context_->dispatcher->RoutesFor(request_.model);
  closed.assign(routes.size(), false);
  tokens = EstimateTokens(request_);
  Queue();
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

// --- Attempts -----------------------------------------------------------------------------------

void CompletionCall::Queue() {
  tried.assign(routes.size(), false);
  state_ = State::kQueued;
  ArmTimer();
  context_->dispatcher->Ask(this);
}

void CompletionCall::OnNoTurn(Error error) {
  error.details.request_id = last_details_.request_id;
  End(std::move(error));
}

void CompletionCall::OnTurn(Permit permit) {
  // Its turn came in the same instant, or the loop is late.
  if (context_->executor->Now() >= Due()) {
    AttemptEnd unsent;
    unsent.cancelled = true;
    unsent.used_tokens = 0;
    context_->dispatcher->End(&permit, unsent);
    return OnDeadline();
  }
  const Route& route = *permit.route;
  request_.model = route.model;
  // What a call before this one learned while this one waited counts too.
  parameters_ = repaired_ ? *std::exchange(repaired_, std::nullopt)
                          : route.provider->parameters.Find(route.model);
  if (!first_dispatch_) first_dispatch_ = context_->executor->Now();
  state_ = State::kRunning;
  if (std::exchange(next_counts_, true)) ++history_.attempts;
  attempt_ = NewAttempt(permit);
  attempt_->Start(WriteRequestBody(request_, parameters_, streams_), Due());
}

std::unique_ptr<Attempt> CompletionCall::NewAttempt(Permit permit) {
  ++attempts_;
  auto attempt = std::make_unique<Attempt>(context_, this, permit, streams_);
  if (context_->rules.early_stop && request_.max_words > 0) {
    attempt->StopEarly(request_.max_words, request_.posting_type);
  }
  return attempt;
}

// --- The race for the first token ---------------------------------------------------------------

void CompletionCall::OnAttemptSent(Attempt* attempt) {
  if (attempt != attempt_.get() || !streams_ || !context_->rules.hedge) return;
  const Route& route = attempt->route();
  watch_.OnSent(&route.provider->hedging[route.model]);
}

void CompletionCall::StartSecondAttempt() {
  if (attempt_->http_status() >= kFirstBadStatus) return;
  const Route& route = attempt_->route();
  RetryBudget& budget = route.provider->budget;
  if (budget.tokens() < RetryBudget::kRetryCost || !watch_.MayHedge()) return;
  std::optional<Permit> permit = context_->dispatcher->TakeSpare(route, tokens);
  if (!permit) return;
  watch_.OnHedge();
  budget.Take(RetryBudget::kRetryCost);
  charged_for_second_ = RetryBudget::kRetryCost;
  second_ = NewAttempt(*permit);
  second_->Start(WriteRequestBody(request_, parameters_, streams_), Due());
}

// The first to give a token is the one that goes on.
void CompletionCall::OnAttemptToken(Attempt* attempt) {
  const bool of_second = attempt == second_.get();
  watch_.OnToken(of_second);
  if (second_ == nullptr) return;
  if (of_second) {
    std::swap(attempt_, second_);
    charged_ += std::exchange(charged_for_second_, 0);  // it was worth it
  }
  EndSecondAttempt();
}

// The one that is left behind, or has failed.
void CompletionCall::EndSecondAttempt() {
  if (second_ == nullptr) return;
  Account(*second_);
  second_.reset();
}

// Puts an attempt that is over, or given up, on the bill: what the provider told, and else what may
// be billed without anybody saying so.
void CompletionCall::Account(const Attempt& attempt) {
  const Completion& completion = attempt.completion();
  if (completion.usage_kind == UsageKind::kExact) {
    spent_.Add(completion.usage, UsageKind::kExact);
  } else if (attempt.MayHaveCost()) {
    spent_.Add(EstimateUsage(request_, completion.text), UsageKind::kEstimated);
  }
}

// Failed ones are on the bill already.
void CompletionCall::AccountForLast(bool whole) {
  if (attempt_ == nullptr || attempt_->failure()) return;
  const Completion& completion = attempt_->completion();
  const bool told = completion.usage_kind == UsageKind::kExact;
  if (whole && !told && completion.finish_reason.kind != FinishReason::Kind::kEarlyStop) {
    return spent_.Add({}, UsageKind::kUnknown);  // a provider that does not tell
  }
  Account(*attempt_);
}

// --- Replies ------------------------------------------------------------------------------------

void CompletionCall::OnAttemptText(Attempt* attempt, std::string_view text) {
  if (!listens_) return;
  text_delivered_ = true;
  sink_.on_text(text);
  if (request_.flow != nullptr && request_.flow->paused()) attempt->Pause();
}

// A listener may be ready for more at any moment, on any thread, also when the call is gone.
void CompletionCall::ListenToFlow() {
  if (!listens_ || request_.flow == nullptr) return;
  request_.flow->SetOnResume([weak = weak_from_this(), executor = context_->executor] {
    executor->Post([weak] {
      const auto call = weak.lock();
      if (call == nullptr || call->attempt_ == nullptr || call->request_.flow->paused()) return;
      call->attempt_->Resume();
    });
  });
}

TimePoint CompletionCall::Due() const {
  return request_.flow == nullptr ? request_.deadline
                                  : std::max(request_.deadline, request_.flow->deadline());
}

void CompletionCall::OnAttemptEnd(Attempt* attempt) {
  const Route& route = attempt->route();
  if (streams_ && context_->rules.hedge) {
    const Code code = attempt->failure() ? attempt->failure()->error.code : Code::kOk;
    route.provider->hedging[route.model].OnAttemptEnd(code);
  }
  if (!attempt->failure()) {
    route.provider->budget.OnSuccess(charged_);
    return End(std::nullopt);
  }
  const AttemptFailed failed = *attempt->failure();
  if (second_ != nullptr) {  // the other one goes on alone
    if (attempt == attempt_.get()) {
      watch_.OnLost();
      std::swap(attempt_, second_);
      charged_ += std::exchange(charged_for_second_, 0);
    }
    return EndSecondAttempt();
  }
  watch_.OnLost();
  Account(*attempt);
  if (!Repair(failed) && !TryAnotherRoute(failed)) RetryOrEnd(failed);
}

// Sends the request once more without what the model refused. False: it refused something else, or
// it is too late.
bool CompletionCall::Repair(const AttemptFailed& failed) {
  if (!failed.provider_error) return false;
  ParameterMemory& memory = attempt_->route().provider->parameters;
  const std::optional<ModelParameters> repaired =
      RepairParameters(failed.error.details.http_status.value_or(0), *failed.provider_error,
                       parameters_, memory.Family(request_.model));
  if (!repaired) return false;
  memory.Learn(request_.model, *repaired);
  if (context_->executor->Now() >= Due()) return false;
  repaired_ = repaired;
  next_counts_ = false;
  Queue();
  return true;
}

bool CompletionCall::TryAnotherRoute(const AttemptFailed& failed) {
  const Error& error = failed.error;
  const Route used = attempt_->route();
  const bool no_key = error.code == Code::kAuth || error.code == Code::kQuota;
  const bool no_model =
      error.code == Code::kRefused && error.details.http_status.value_or(0) == kNotFound;
  // This call does not come back to what will not serve it.
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const bool same = routes[i].provider == used.provider;
    if (same && (no_key || (no_model && routes[i].model == used.model))) closed[i] = true;
  }
  const bool elsewhere =
      no_model || error.code == Code::kRateLimited || SpeaksAgainstEndpoint(error);
  const bool bound = text_delivered_ && sink_.on_reset == nullptr;
  if (!elsewhere || bound || !context_->dispatcher->HasAnotherRoute(*this)) return false;
  TakeBackText();
  last_details_ = error.details;
  next_counts_ = false;
  charged_ = 0;
  state_ = State::kQueued;
  ArmTimer();
  context_->dispatcher->Ask(this);
  return true;
}

void CompletionCall::RetryOrEnd(const AttemptFailed& failed) {
  last_details_ = failed.error.details;
  AttemptFailure failure;
  failure.code = failed.error.code;
  failure.should_retry = failed.should_retry;
  // A model that ran into its cap runs into it again, and is paid again.
  const FinishReason::Kind finish = attempt_->completion().finish_reason.kind;
  if (finish == FinishReason::Kind::kLength) failure.should_retry = false;
  failure.retry_after = failed.retry_after;
  failure.stale_connection = failed.stale_connection;
  failure.broken_connection = failed.broken_connection;
  failure.text_delivered = text_delivered_ && sink_.on_reset == nullptr;
  if (failure.code == Code::kDns) ++history_.dns_failures;

  const std::optional<RetryDecision> retry =
      DecideRetry(failure, history_, context_->rules.retry, context_->executor->Now(), Due(),
                  &attempt_->route().provider->budget, &context_->rng);
  if (!retry) return End(failed.error);
  state_ = State::kWaiting;
  retry_at_ = retry->at;
  charged_ = retry->charged;
  next_counts_ = !retry->free;
  history_.used_free_retry = history_.used_free_retry || retry->free;
  TakeBackText();
  ArmTimer();
}

// Another attempt will write the text anew.
void CompletionCall::TakeBackText() {
  if (std::exchange(text_delivered_, false)) sink_.on_reset();
}

// --- Time and cancellation ----------------------------------------------------------------------

// For the deadline and, before it, the next retry. An attempt sees to its own limits.
void CompletionCall::ArmTimer() {
  const TimePoint due = state_ == State::kWaiting ? std::min(Due(), retry_at_) : Due();
  context_->executor->CancelTimer(std::exchange(timer_, 0));
  if (due == TimePoint::max()) return;
  timer_ = context_->executor->RunAt(due, [this] { OnTimer(); });
}

void CompletionCall::OnTimer() {
  timer_ = 0;
  const TimePoint now = context_->executor->Now();
  if (now >= Due()) return OnDeadline();
  if (state_ == State::kWaiting && now >= retry_at_) return Queue();
  // There is more time by now.
  for (const auto* attempt : {&attempt_, &second_}) {
    if (*attempt != nullptr) (*attempt)->Extend(Due());
  }
  ArmTimer();
}

void CompletionCall::OnDeadline() {
  EndSecondAttempt();  // it has given nothing
  if (state_ == State::kRunning && attempt_->EndEarly()) return;
  const std::string_view when =
      state_ == State::kQueued
          ? "while its call waited for its turn (llm.max_in_flight, rate limits)"
          : "before its call was complete";
  Error error(Code::kDeadline, "the deadline passed " + std::string(when));
  error.details = last_details_;
  End(std::move(error));
}

void CompletionCall::OnCancel() {
  if (ended()) return;
  EndSecondAttempt();
  if (attempt_ != nullptr) attempt_->Cancel();
  Error error(Code::kCancelled, "the caller cancelled");
  error.details = last_details_;
  End(std::move(error));
}

void CompletionCall::End(std::optional<Error> error) {
  state_ = State::kEnded;
  context_->dispatcher->Withdraw(this);
  if (attempt_ != nullptr) attempt_->Cancel();
  context_->executor->CancelTimer(std::exchange(timer_, 0));
  watch_.Stop();
  on_cancel_.reset();
  if (request_.flow != nullptr) request_.flow->SetOnResume(nullptr);
  const LlmSink sink = std::exchange(sink_, {});
  const auto self = shared_from_this();  // on_end_ lets go of this call
  on_end_(this);
  sink.on_done(TakeReply(std::move(error)));
}

LlmReply CompletionCall::TakeReply(std::optional<Error> error) {
  LlmReply reply;
  reply.error = std::move(error);
  if (reply.error) reply.error->details.attempts = attempts_;
  reply.attempts = attempts_;
  AccountForLast(/*whole=*/reply.ok());
  reply.usage = spent_.usage();
  reply.usage_kind = spent_.kind();
  if (attempt_ == nullptr) return reply;
  Completion& completion = attempt_->completion();
  reply.text = std::move(completion.text);
  reply.finish_reason = std::move(completion.finish_reason);
  reply.model = std::move(completion.model);
  reply.request_id = attempt_->request_id();
  const Route& route = attempt_->route();
  if (route.model != routes.front().model) reply.asked_model = route.model;
  reply.provider = route.provider->host;
  reply.total_ms = Milliseconds(context_->executor->Now() - *first_dispatch_);
  if (const std::optional<TimePoint> first_text = attempt_->first_text_at()) {
    reply.ttft_ms = Milliseconds(*first_text - *first_dispatch_);
  }
  return reply;
}

}  // namespace postgen
