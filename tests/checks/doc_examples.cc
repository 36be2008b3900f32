// The examples of the public headers, word for word: doc_examples.py checks that each is here, and
// the compiler checks the rest. Only compiled, never run.
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgen/postgen.h"

namespace {

std::string key;
postgen::Result<postgen::PostResult> Fail(postgen::Error error) { return error; }
void RetryLater(std::optional<std::int64_t> after_ms) { static_cast<void>(after_ms); }
void Handle(const std::vector<postgen::QueuedEvent>& events) { static_cast<void>(events); }
void Use(const std::string& value) { static_cast<void>(value); }

// llm_client.h
class EchoClient final : public postgen::LlmClient {
 public:
  void Complete(postgen::LlmRequest request, postgen::CancelToken, postgen::LlmSink sink) override {
    postgen::LlmReply reply;
    reply.text = request.messages.back().content;
    reply.finish_reason = {postgen::FinishReason::Kind::kStop, "stop"};
    sink.on_done(std::move(reply));
  }
  std::string provider() const override { return "echo"; }
};

}  // namespace

void Cancel(postgen::LlmClient* client, const postgen::LlmRequest& request,
            const postgen::LlmSink& sink) {
  // cancel.h
  postgen::CancelSource source;
  client->Complete(request, source.get_token(), sink);
  source.request_stop();  // from any thread; the sink then hears Code::kCancelled exactly once
}

void Errors(postgen::PostGenerator* generator, const postgen::PostRequest& request) {
  // error.h
  postgen::Result<postgen::PostResult> post = generator->Generate(request);
  if (!post.ok()) {
    // The message never contains a key, a password or a prompt.
    std::cerr << post.error().message << '\n';
    if (post.error().code == postgen::Code::kRateLimited) {
      RetryLater(post.error().details.retry_after_ms);
    }
  }
}

void Events(postgen::PostGenerator* generator, const postgen::PostRequest& request) {
  // event_queue.h
  postgen::EventQueue queue;
  auto call = generator->Start(request, queue.NewObserver(/*all_events=*/true));
  std::vector<postgen::QueuedEvent> events;
  while (queue.Next(std::chrono::seconds(1), 64, &events) > 0) Handle(events);
}

postgen::Result<postgen::PostResult> Generate() {
  // generator.h
  postgen::Options options;
  options.llm.api_key = key;
  options.store.url = "sqlite:posts.db";
  auto generator = postgen::PostGenerator::Create(options);  // a Result<unique_ptr<...>>
  if (!generator.ok()) return Fail(generator.error());

  postgen::PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  postgen::Result<postgen::PostResult> post = (*generator)->Generate(request);
  return post;
}

std::string Json(const postgen::PostResult* post) {
  // json.h
  auto request = postgen::ParseRequest(R"({"stock_code": "2330", "kol_serial": "KOL-208"})");
  std::string reply = postgen::ResultToJson(*post);
  return reply;
}

void Cache(const postgen::CacheKey& key, const std::string& value) {
  // response_cache.h
  auto cache = postgen::NewMemoryCache(64 << 20);
  cache->Put(key, value, std::chrono::hours(1));
  cache->Get(key, [](const std::shared_ptr<const std::string>& hit) {
    if (hit) Use(*hit);
  });
}

std::unique_ptr<postgen::LlmClient> Echo() { return std::make_unique<EchoClient>(); }
