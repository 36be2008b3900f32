// One attempt at a completion: one transfer with its reader and its limits. It knows nothing of
// retries; CompletionCall owns it, and may own several.
//
//   Attempt attempt(context, owner, std::move(permit), /*streams=*/true);
//   attempt.Start(body, deadline);      // then OnAttemptText ..., OnAttemptEnd on the owner
//   if (attempt.failure()) ... else use attempt.completion()
#ifndef POSTGEN_SRC_LLM_ATTEMPT_H_
#define POSTGEN_SRC_LLM_ATTEMPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "llm/call_context.h"
#include "llm/dispatcher.h"
#include "llm/transport/http_transport.h"
#include "llm/wire/provider_error.h"
#include "llm/wire/rate_headers.h"
#include "llm/wire/reply_reader.h"
#include "postgen/error.h"
#include "postgen/types.h"
#include "runtime/executor.h"
#include "version/early_stop.h"

namespace postgen {

class Attempt;

class AttemptOwner {
 public:
  // The request goes out over a connection that is up; once more after a stale one.
  virtual void OnAttemptSent(Attempt* attempt) = 0;
  // The first sign of a completion: text, or a thought that we do not see. Once.
  virtual void OnAttemptToken(Attempt* attempt) = 0;
  // Text as it arrives (a whole reply's at its end), borrowed for the call.
  virtual void OnAttemptText(Attempt* attempt, std::string_view text) = 0;
  // The last call, once, unless the attempt was cancelled; never from within Start. The attempt may
  // be destroyed in it.
  virtual void OnAttemptEnd(Attempt* attempt) = 0;

 protected:
  ~AttemptOwner() = default;
};

// How an attempt failed.
struct AttemptFailed {
  Error error;  // with status, request id and retry-after in its details
  // Of a reply with an error status, for repairing the request.
  std::optional<ProviderError> provider_error = {};
  std::optional<bool> should_retry = {};     // the server's own verdict
  std::optional<Duration> retry_after = {};  // the server's wish
  bool stale_connection = false;             // see AttemptFailure
  std::uint64_t broken_connection = 0;       // see AttemptFailure
};

// On the executor's thread.
class Attempt final : public HttpHandler {
 public:
  // All of them outlive the attempt. `streams`: the request asks for a stream.
  // The permit is given back when the attempt ends.
  Attempt(CallContext* context, AttemptOwner* owner, Permit permit, bool streams);
  ~Attempt() override;  // cancels
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Ends a stream at the end of the sentence that passes the word limit. Before Start.
  void StopEarly(std::int64_t max_words, std::string_view posting_type) {
    early_stop_.emplace(max_words, posting_type);
  }

  // Sends the request. Limits that fall behind `deadline` are left to the owner, who has to end the
  // attempt by then.
  void Start(std::string body, TimePoint deadline);
  // The owner has more time than it said.
  void Extend(TimePoint deadline);

  // Time is up: what has come decides. True: it was enough to end the attempt (OnAttemptEnd was
  // called, and it may be gone). False: the attempt is cancelled.
  bool EndEarly();

  // Holds the stream back, or lets it go on. Meanwhile the silence is ours and no limit counts.
  // No-ops where there is nothing to do.
  void Pause();
  void Resume();

  // Ends it at once and silently. No-op once ended.
  void Cancel();

  bool running() const { return transfer_ != 0; }
  // After OnAttemptEnd; absent: the completion is good.
  const std::optional<AttemptFailed>& failure() const { return failure_; }
  // As far as it has come.
  Completion& completion() { return reader_.completion(); }
  const Completion& completion() const { return reader_.completion(); }
  const std::string& request_id() const { return request_id_; }
  int http_status() const { return http_status_; }  // 0: no head has come
  const Route& route() const { return route_; }
  // When the first text of a stream came.
  std::optional<TimePoint> first_text_at() const;
  // Was something written that may be billed? Not if the provider refused it or never had it.
  bool MayHaveCost() const;

  void OnConnected() override;
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd(const HttpEnd& end) override;

 private:
  bool HasErrorStatus() const;
  void ReadErrorBody(std::string_view bytes);
  void OnToken();
  void OnText(std::string_view text);
  void HandOn(std::size_t end);

  void ConcludeReply();
  void ConcludeErrorReply();
  Error FromHost(Error error) const;
  void Fail(AttemptFailed failure);
  void HideSecrets();
  void End();
  void Close();
  void GivePermitBack(bool cancelled);
  Provider& provider() const { return *route_.provider; }

  TimePoint NextDue() const;
  void ArmTimer();
  void OnTimer();
  Error SilenceError() const;

  CallContext* const context_;
  AttemptOwner* const owner_;
  const Route route_;
  const bool streams_;

  Permit permit_;  // empty once given back
  ReplyReader reader_;
  TransferId transfer_ = 0;
  TimerId timer_ = 0;
  TimePoint timer_due_;
  TimePoint deadline_;
  TimePoint due_;                             // llm.attempt_timeout_ms
  TimePoint silence_due_ = TimePoint::max();  // llm.first_token_timeout_ms, then idle_timeout_ms
  std::optional<TimePoint> paused_at_;
  bool sent_ = false;
  bool has_token_ = false;
  std::optional<TimePoint> first_text_;
  std::optional<EarlyStop> early_stop_;
  std::size_t handed_on_ = 0;  // bytes of the text that the owner has had
  int http_status_ = 0;
  std::string error_body_;
  std::string request_id_;
  std::optional<Duration> retry_after_;
  std::optional<bool> should_retry_;
  LimitKind limit_ = LimitKind::kUnknown;  // of a 429
  std::optional<AttemptFailed> failure_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_ATTEMPT_H_
