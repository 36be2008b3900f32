// The LLM client: turns messages into one completion. Built-in ones are an OpenAI-compatible client
// over libcurl and the template writer (both made by PostGenerator::Create from the options, the
// former also by NewOpenAiClient); implement this interface to bring your own.
//
//   class EchoClient final : public postgen::LlmClient {
//    public:
//     void Complete(postgen::LlmRequest request, postgen::CancelToken, postgen::LlmSink sink)
//         override {
//       postgen::LlmReply reply;
//       reply.text = request.messages.back().content;
//       reply.finish_reason = {postgen::FinishReason::Kind::kStop, "stop"};
//       sink.on_done(std::move(reply));
//     }
//     std::string provider() const override { return "echo"; }
//   };
#ifndef POSTGEN_LLM_CLIENT_H_
#define POSTGEN_LLM_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/cancel.h"
#include "postgen/export.h"
#include "postgen/flow.h"
#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

struct LlmRequest {
  std::string model;
  std::vector<Message> messages;
  std::int64_t max_tokens =
      0;  // visible tokens; the client adds a reasoning allowance where needed
  std::optional<double> temperature;      // absent: the provider's default
  bool stream = false;                    // deliver text through LlmSink::on_text as it arrives
  TimePoint deadline = TimePoint::max();  // retries included; `flow` may give more time
  std::shared_ptr<Flow> flow;             // of those who wait; may be null (flow.h)
  // What the request is for. Writers that answer without a model (template) use it; the built-in
  // client uses max_words and posting_type for llm.early_stop, and nothing else of it.
  std::string posting_type;
  std::string angle;
  int version_number = 0;
  std::string stock_code;
  std::string stock_name;
  std::int64_t max_words = 0;  // 0: no limit
};

// How a completion ended. `error` says why it is no good; every other field is whatever was known
// by then, so that usage, attempts and partial text survive a failure.
struct LlmReply {
  std::optional<Error> error;
  std::string text;
  FinishReason finish_reason;
  std::string model;        // as the provider reports it; empty: as asked
  std::string asked_model;  // where another one than LlmRequest::model had to stand in; else empty
  std::string provider;     // host that answered last; empty: LlmClient::provider()
  Usage usage;
  UsageKind usage_kind = UsageKind::kUnknown;
  std::string request_id;
  int attempts = 0;
  std::optional<double> ttft_ms;
  double total_ms = 0;
  Source source = Source::kLlm;  // kTemplate from a writer without a model

  bool ok() const { return !error.has_value(); }
};

// Where a completion goes. Functions may be called from any thread, one at a time, and must not
// block.
struct LlmSink {
  // Text as it arrives, in order; borrowed for the call. May be empty: then nobody listens. Without
  // LlmRequest::stream it is called where text comes piece by piece anyway. Not called after
  // on_done. A client that retries does so only before the first on_text, unless there is on_reset.
  std::function<void(std::string_view)> on_text;
  // All text so far is void: the reply broke off and is asked for once more. Empty: a reply that
  // breaks off after its first text is failed.
  std::function<void()> on_reset;
  // The end, exactly once, also after cancellation (Code::kCancelled) and at the deadline
  // (Code::kDeadline).
  std::function<void(LlmReply)> on_done;
};

class LlmClient {
 public:
  LlmClient() = default;
  LlmClient(const LlmClient&) = delete;
  LlmClient& operator=(const LlmClient&) = delete;
  // By then every Complete() has ended. The generator cancels what is open and waits before
  // destroying.
  virtual ~LlmClient() = default;

  // Starts one completion and returns at once; never throws, never fails except through
  // sink.on_done, which may be called before Complete returns. Thread-safe.
  virtual void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) = 0;

  // For PostResult::provider: the endpoint's host, "template", or a name of your own.
  virtual std::string provider() const = 0;

  using CheckCallback = std::function<void(Status)>;

  // Asks the provider, at no cost, whether it would serve us: reachable, key accepted. Calls back
  // exactly once by `deadline`, from any thread, possibly before returning. Thread-safe.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): overrides keep `done`
  virtual void Check(TimePoint deadline, CheckCallback done) {
    (void)deadline;
    done({});
  }

  // What PostGenerator::MetricsJson() shows as `llm`: a JSON object, or nothing. Thread-safe.
  virtual std::string MetricsJson() const { return {}; }

  // Opens connections ahead of the first call, where that means anything. Returns at once.
  virtual void Prewarm(int connections) { (void)connections; }
};

// The OpenAI-compatible client by itself, with a reactor thread of its own: to ask for completions
// without posts, or to wrap it and hand the wrapper to PostGenerator::Create. Sinks are called on
// that thread, which must not destroy the client. `provider` is not read. Opens no connection;
// fails with Code::kInvalidConfig naming the option, or Code::kNomem where the system has no thread
// or descriptor left. Not for use after fork(). Thread-safe.
POSTGEN_EXPORT Result<std::unique_ptr<LlmClient>> NewOpenAiClient(const LlmOptions& options);

}  // namespace postgen

#endif  // POSTGEN_LLM_CLIENT_H_
