// NewOpenAiClient: the built-in client beside a reactor of its own.
#include <utility>

#include "llm/clients.h"
#include "postgen/json.h"
#include "runtime/event_loop.h"

namespace postgen {
namespace {

class StandaloneClient final : public LlmClient {
 public:
  StandaloneClient(std::unique_ptr<EventLoop> reactor, std::unique_ptr<LlmClient> client)
      : reactor_(std::move(reactor)), client_(std::move(client)) {}
  // Nothing may run on the reactor while the client goes.
  ~StandaloneClient() override { reactor_->Stop(); }

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    client_->Complete(std::move(request), std::move(cancel), std::move(sink));
  }
  std::string provider() const override { return client_->provider(); }
  void Check(TimePoint deadline, CheckCallback done) override {
    client_->Check(deadline, std::move(done));
  }
  void Prewarm(int connections) override { client_->Prewarm(connections); }

 private:
  const std::unique_ptr<EventLoop> reactor_;
  const std::unique_ptr<LlmClient> client_;
};

}  // namespace

Result<std::unique_ptr<LlmClient>> NewOpenAiClient(const LlmOptions& llm) {
  Options options;
  options.llm = llm;
  options.llm.provider = "openai";
  if (Status valid = ValidateOptions(&options); !valid.ok()) return valid.error();
  auto reactor = std::make_unique<EventLoop>("postgen-llm");
  if (const Status& running = reactor->status(); !running.ok()) return running.error();
  Result<std::unique_ptr<LlmClient>> client = NewOpenAiClient(options.llm, reactor.get());
  if (!client.ok()) return client.error();
  return std::unique_ptr<LlmClient>(
      std::make_unique<StandaloneClient>(std::move(reactor), *std::move(client)));
}

}  // namespace postgen
