// postgen's client from C++: LlmClient, as NewOpenAiClient makes it. At concurrency 1 the calling
// thread waits for each reply, as a program that makes one call does; otherwise the next call
// starts where the last one ended, on the client's own thread.
#include <postgen/llm_client.h>
#include <postgen/version.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Turns;
using bench::Workload;

struct Place {
  TimePoint start;
  std::int64_t deltas = 0;
};

class PostgenLoop {
 public:
  PostgenLoop(const Workload& workload, Recorder* recorder, postgen::LlmClient* client)
      : workload_(workload),
        recorder_(recorder),
        client_(client),
        places_(static_cast<std::size_t>(workload.concurrency)) {}

  // Keeps every place busy until `calls` have ended.
  void Run(int calls, int max_tokens, TimePoint start, bool spread) {
    max_tokens_ = max_tokens;
    turns_.Begin(calls);
    for (std::size_t i = 0; i < places_.size() && turns_.Take(); ++i) {
      const TimePoint due = spread ? workload_.DueOf(static_cast<int>(i), start) : start;
      std::this_thread::sleep_until(due);
      Start(&places_[i], due);
    }
    turns_.Wait();
  }

  // The calling thread waits for each call before it makes the next.
  void RunOneByOne(int calls, int max_tokens) {
    for (int i = 0; i < calls; ++i) Run(1, max_tokens, Clock::now(), /*spread=*/false);
  }

 private:
  void Start(Place* place, TimePoint start) {
    place->start = start;
    place->deltas = 0;
    postgen::LlmRequest request;
    request.model = workload_.model;
    request.messages = {{postgen::Role::kUser, workload_.prompt}};
    request.max_tokens = max_tokens_;
    request.stream = workload_.stream;
    postgen::LlmSink sink;
    if (workload_.stream) {
      sink.on_text = [this, place](std::string_view text) { OnText(place, text); };
    }
    sink.on_done = [this, place](const postgen::LlmReply& reply) { OnDone(place, reply); };
    client_->Complete(std::move(request), postgen::CancelToken(), std::move(sink));
  }

  void OnText(Place* place, std::string_view text) {
    recorder_->bytes += static_cast<std::int64_t>(text.size());
    ++recorder_->deltas;
    if (workload_.lateness) recorder_->Delta(place->start, place->deltas, Clock::now());
    ++place->deltas;
  }

  void OnDone(Place* place, const postgen::LlmReply& reply) {
    if (!reply.ok()) std::fprintf(stderr, "%s\n", reply.error->message.c_str());
    const TimePoint now = Clock::now();
    recorder_->CallEnded(place->start, now, reply.ok());
    if (!workload_.stream) recorder_->bytes += static_cast<std::int64_t>(reply.text.size());
    if (turns_.End()) Start(place, now);
  }

  const Workload& workload_;
  Recorder* const recorder_;
  postgen::LlmClient* const client_;
  std::vector<Place> places_;
  int max_tokens_ = 0;
  Turns turns_;
};

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  Recorder recorder(workload);
  postgen::LlmOptions options;
  options.base_url = workload.url;
  options.api_key = "bench";
  options.token_param = postgen::TokenParam::kMaxTokens;
  options.max_in_flight = workload.concurrency;
  options.stream = workload.stream ? postgen::StreamMode::kAlways : postgen::StreamMode::kNever;
  auto client = postgen::NewOpenAiClient(options);
  if (!client.ok()) {
    std::fprintf(stderr, "%s\n", client.error().message.c_str());
    return 2;
  }
  PostgenLoop loop(workload, &recorder, client->get());
  if (workload.concurrency == 1) {
    loop.RunOneByOne(workload.warmup, 1);
    recorder.Begin();
    loop.RunOneByOne(workload.calls, workload.max_tokens);
  } else {
    loop.Run(workload.warmup, 1, Clock::now(), /*spread=*/false);
    const TimePoint start = recorder.Begin();
    loop.Run(workload.calls, workload.max_tokens, start, /*spread=*/true);
  }
  recorder.Print("postgen, C++", POSTGEN_VERSION);
  return 0;
}
