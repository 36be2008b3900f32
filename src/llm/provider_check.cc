#include "llm/provider_check.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "llm/wire/provider_error.h"

namespace postgen {
namespace {

constexpr std::size_t kMaxBody = std::size_t{64} << 10U;

// The answers of one provider, step by step.
class ProviderCheck final : public HttpHandler, public std::enable_shared_from_this<ProviderCheck> {
 public:
  ProviderCheck(CallContext* context, Provider* provider, LlmClient::CheckCallback done)
      : context_(context), provider_(provider), done_(std::move(done)) {}

  void Start(TimePoint deadline) {
    transfer_ = provider_->transport->Get(/*with_headers=*/true, this);
    // The timer keeps this object until the check has ended.
    timer_ = context_->executor->RunAt(deadline, [self = shared_from_this()] {
      self->provider_->transport->Cancel(self->transfer_);
      self->timer_ = 0;
      self->done_(Error(Code::kDeadline, self->provider_->host + " did not answer in time",
                        self->provider_->host));
    });
  }

  void OnHead(const HttpHead& head) override { http_status_ = head.status; }

  void OnBody(std::string_view bytes) override {
    body_.append(bytes.substr(0, kMaxBody - body_.size()));
  }

  void OnEnd(const HttpEnd& end) override {
    const bool listed = http_status_ >= 200 && http_status_ < 300;
    switch (step_) {
      case Step::kModels:
        if (end.error && http_status_ == 0) return Finish(*end.error);
        return Ask(listed ? Step::kModelsWithoutKey : Step::kCompletion);
      case Step::kModelsWithoutKey:
        if (http_status_ == 401 || http_status_ == 403) return Finish({});
        return Ask(Step::kCompletion);
      case Step::kCompletion:
        return Finish(end.error && http_status_ == 0 ? Status(*end.error) : Verdict());
    }
  }

 private:
  enum class Step { kModels, kModelsWithoutKey, kCompletion };

  void Ask(Step step) {
    step_ = step;
    http_status_ = 0;
    body_.clear();
    transfer_ = step == Step::kCompletion ? provider_->transport->Post("{}", this)
                                          : provider_->transport->Get(/*with_headers=*/false, this);
  }

  void Finish(Status status) {
    const auto self = shared_from_this();
    context_->executor->CancelTimer(timer_);
    done_(std::move(status));
  }

  Status Verdict() const {
    if (http_status_ >= 200 && http_status_ < 300) return {};
    Error error = ToError(http_status_, context_->parser.ParseError(body_));
    if (provider_->transport->HoldsSecret(error.message)) error = ToError(http_status_, {});
    const bool wrong_place =
        http_status_ < 400 || http_status_ == 404 || http_status_ == 405 || http_status_ == 410;
    if (wrong_place) {
      error.message = provider_->host +
                      " has no chat completions there; check llm.base_url (HTTP " +
                      std::to_string(http_status_) + ")";
      return error;
    }
    // The empty request was refused, or delayed: the key was not.
    if (error.code == Code::kRefused || error.code == Code::kRateLimited) return {};
    return error;
  }

  CallContext* const context_;
  Provider* const provider_;
  const LlmClient::CheckCallback done_;
  Step step_ = Step::kModels;
  TransferId transfer_ = 0;
  TimerId timer_ = 0;
  int http_status_ = 0;
  std::string body_;
};

}  // namespace

void StartProviderCheck(CallContext* context, Provider* provider, TimePoint deadline,
                        LlmClient::CheckCallback done) {
  std::make_shared<ProviderCheck>(context, provider, std::move(done))->Start(deadline);
}

}  // namespace postgen
