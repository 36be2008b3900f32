#include "llm/openai_client.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include <absl/container/flat_hash_set.h>

#include "llm/clients.h"
#include "llm/completion_call.h"
#include "llm/endpoint.h"
#include "llm/provider_check.h"
#include "runtime/random.h"

namespace postgen {
namespace {

CallRules MakeRules(const LlmOptions& options) {
  CallRules rules;
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

std::vector<std::unique_ptr<Provider>> MakeProviders(const LlmOptions& options,
                                                     OpenAiClientParts* parts) {
  std::vector<std::unique_ptr<Provider>> providers;
  for (OpenAiClientParts::Endpoint& endpoint : parts->endpoints) {
    providers.push_back(
        std::make_unique<Provider>(std::move(endpoint.host), std::move(endpoint.models),
                                   std::move(endpoint.transport), options, parts->executor->Now()));
  }
  return providers;
}

class OpenAiClient final : public LlmClient {
 public:
  OpenAiClient(const LlmOptions& options, OpenAiClientParts parts)
      : max_in_flight_(options.max_in_flight),
        dispatcher_(options, parts.executor, MakeProviders(options, &parts)),
        context_{parts.executor,  &dispatcher_,       MakeRules(options),
                 Rng(parts.seed), CompletionParser(), std::move(parts.wall_clock)} {
    if (parts.shared == nullptr) return;
    for (std::size_t i = 0; i < parts.endpoints.size(); ++i) {
      dispatcher_.Share(dispatcher_.providers()[i].get(), std::move(parts.endpoints[i].limit_scope),
                        parts.shared);
    }
  }

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    auto call = std::make_shared<CompletionCall>(
        &context_, std::move(request), std::move(cancel), std::move(sink),
        [this](CompletionCall* ended) { calls_.erase(ended); });
    context_.executor->Post([this, call = std::move(call)] {
      calls_.insert(call);
      call->Begin();
    });
  }

  std::string provider() const override { return dispatcher_.providers().front()->host; }

  void Check(TimePoint deadline, CheckCallback done) override {
    context_.executor->Post([this, deadline, done = std::move(done)]() mutable {
      CheckFrom(0, deadline, std::move(done));
    });
  }

  std::string MetricsJson() const override { return dispatcher_.MetricsJson(); }

  void Prewarm(int connections) override {
    const auto count = static_cast<int>(std::min<std::int64_t>(connections, max_in_flight_));
    context_.executor->Post(
        [this, count] { dispatcher_.providers().front()->transport->Prewarm(count); });
  }

 private:
  // All of them have to be fine, one after the other.
  void CheckFrom(std::size_t index, TimePoint deadline, CheckCallback done) {
    StartProviderCheck(&context_, dispatcher_.providers()[index].get(), deadline,
                       [this, index, deadline, done = std::move(done)](Status status) mutable {
                         const bool last = index + 1 == dispatcher_.providers().size();
                         if (!status.ok() || last) return done(std::move(status));
                         CheckFrom(index + 1, deadline, std::move(done));
                       });
  }

  const std::int64_t max_in_flight_;

  // On the executor's thread only.
  Dispatcher dispatcher_;
  CallContext context_;
  absl::flat_hash_set<std::shared_ptr<CompletionCall>> calls_;  // that have not ended
};

}  // namespace

std::unique_ptr<LlmClient> NewOpenAiClientOver(const LlmOptions& options, OpenAiClientParts parts) {
  return std::make_unique<OpenAiClient>(options, std::move(parts));
}

Result<std::unique_ptr<LlmClient>> NewOpenAiClient(const LlmOptions& options, EventLoop* loop,
                                                   SharedLimits* shared) {
  Result<std::vector<Endpoint>> endpoints = MakeEndpoints(options);
  if (!endpoints.ok()) return std::move(endpoints).error();
  OpenAiClientParts parts;
  for (Endpoint& endpoint : *endpoints) {
    Result<std::unique_ptr<HttpTransport>> transport =
        NewCurlTransport(std::move(endpoint.http), loop);
    if (!transport.ok()) return std::move(transport).error();
    parts.endpoints.push_back({std::move(endpoint.host), std::move(endpoint.models),
                               *std::move(transport), std::move(endpoint.limit_scope)});
  }
  parts.shared = shared;
  parts.executor = loop;
  parts.seed = RandomSeed();
  parts.wall_clock = [] { return std::chrono::system_clock::now(); };
  return NewOpenAiClientOver(options, std::move(parts));
}

}  // namespace postgen
