#include "llm/openai_client.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include <absl/container/flat_hash_set.h>

#include "llm/clients.h"
#include "llm/completion_call.h"
#include "llm/endpoint.h"
#include "llm/provider_check.h"
#include "runtime/random.h"

namespace postgen {
namespace {

CallRules MakeRules(const LlmOptions& options, std::string host) {
  CallRules rules;
  rules.host = std::move(host);
  rules.stream = options.stream;
  rules.first_token_timeout = std::chrono::milliseconds(options.first_token_timeout_ms);
  rules.idle_timeout = std::chrono::milliseconds(options.idle_timeout_ms);
  rules.attempt_timeout = std::chrono::milliseconds(options.attempt_timeout_ms);
  rules.max_reply_bytes = static_cast<std::size_t>(options.max_reply_bytes);
  rules.early_stop = options.early_stop;
  rules.hedge = options.hedge == HedgeMode::kAuto;
  rules.retry.max_attempts = options.max_attempts;
  return rules;
}

// Runs at most max_in_flight calls at once, the others in the order of their arrival. A call keeps
// its place while it waits to retry: a provider in trouble is not offered more calls meanwhile.
class OpenAiClient final : public LlmClient {
 public:
  OpenAiClient(const LlmOptions& options, OpenAiClientParts parts)
      : host_(parts.host),
        max_in_flight_(options.max_in_flight),
        transport_(std::move(parts.transport)),
        context_{parts.executor,
                 transport_.get(),
                 MakeRules(options, parts.host),
                 ParameterMemory(options.token_param),
                 RetryBudget(),
                 Rng(parts.seed),
                 CompletionParser(),
                 std::move(parts.wall_clock)} {}

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    auto call = std::make_shared<CompletionCall>(&context_, std::move(request), std::move(cancel),
                                                 std::move(sink),
                                                 [this](CompletionCall* ended) { OnEnded(ended); });
    context_.executor->Post([this, call = std::move(call)] { Admit(call); });
  }

  std::string provider() const override { return host_; }

  void Check(TimePoint deadline, CheckCallback done) override {
    context_.executor->Post([this, deadline, done = std::move(done)]() mutable {
      StartProviderCheck(&context_, deadline, std::move(done));
    });
  }

  void Prewarm(int connections) override {
    const auto count = static_cast<int>(std::min<std::int64_t>(connections, max_in_flight_));
    context_.executor->Post([this, count] { transport_->Prewarm(count); });
  }

 private:
  void Admit(const std::shared_ptr<CompletionCall>& call) {
    calls_.insert(call);
    call->Begin();
    if (call->ended()) return;
    queue_.push_back(call);
    DispatchQueued();
  }

  void DispatchQueued() {
    while (in_flight_ < max_in_flight_ && !queue_.empty()) {
      const std::shared_ptr<CompletionCall> call = std::move(queue_.front());
      queue_.pop_front();
      if (call->ended()) continue;  // cancelled or too late while it waited
      ++in_flight_;
      call->Dispatch();
    }
  }

  void OnEnded(CompletionCall* call) {
    if (call->dispatched()) {
      --in_flight_;
      DispatchQueued();
    }
    calls_.erase(call);
  }

  const std::string host_;
  const std::int64_t max_in_flight_;
  const std::unique_ptr<HttpTransport> transport_;

  // On the executor's thread only.
  CallContext context_;
  std::int64_t in_flight_ = 0;
  std::deque<std::shared_ptr<CompletionCall>> queue_;
  absl::flat_hash_set<std::shared_ptr<CompletionCall>> calls_;  // that have not ended
};

}  // namespace

std::unique_ptr<LlmClient> NewOpenAiClientOver(const LlmOptions& options, OpenAiClientParts parts) {
  return std::make_unique<OpenAiClient>(options, std::move(parts));
}

Result<std::unique_ptr<LlmClient>> NewOpenAiClient(const LlmOptions& options, EventLoop* loop) {
  Result<Endpoint> endpoint = MakeEndpoint(options);
  if (!endpoint.ok()) return std::move(endpoint).error();
  Result<std::unique_ptr<HttpTransport>> transport =
      NewCurlTransport(std::move(endpoint->http), loop);
  if (!transport.ok()) return std::move(transport).error();
  OpenAiClientParts parts;
  parts.host = std::move(endpoint->host);
  parts.executor = loop;
  parts.transport = *std::move(transport);
  parts.seed = RandomSeed();
  parts.wall_clock = [] { return std::chrono::system_clock::now(); };
  return NewOpenAiClientOver(options, std::move(parts));
}

}  // namespace postgen
