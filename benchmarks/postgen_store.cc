// postgen's PostgreSQL store from C++: whole posts whose text is given, so that no model is called
// and what is left is checking, the KOL's profile (which is none), the row and its way to the
// disk. The next post starts where the last one ended, on the generator's own thread.
#include <postgen/generator.h>
#include <postgen/version.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Workload;

constexpr int kPool = 10;
constexpr int kWords = 600;

postgen::PostRequest Post() {
  postgen::PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  request.session_id = 1763900000123;
  request.title = "台積電法說會重點整理";
  request.content.emplace();
  for (int i = 0; i < kWords / 10; ++i) *request.content += "外資連三日買超，量增。";
  return request;
}

class PostLoop {
 public:
  PostLoop(Recorder* recorder, postgen::PostGenerator* generator)
      : recorder_(recorder), generator_(generator) {}

  // Keeps `concurrency` posts under way until `posts` have ended. REQUIRES: posts > 0.
  void Run(int concurrency, int posts) {
    left_to_start_ = posts;
    left_to_end_ = posts;
    for (int i = 0; i < concurrency && left_to_start_.fetch_sub(1) > 0; ++i) Start();
    done_.acquire();
  }

 private:
  class Ending final : public postgen::Observer {
   public:
    explicit Ending(PostLoop* loop) : loop_(loop) {}
    void OnEvent(const postgen::Event& event) override {
      if (event.result) loop_->OnEnd(start_, *event.result);
    }

   private:
    PostLoop* const loop_;
    const TimePoint start_ = Clock::now();
  };

  void Start() { generator_->Start(request_, std::make_shared<Ending>(this)); }

  void OnEnd(TimePoint start, const postgen::PostResult& post) {
    if (!post.ok()) std::fprintf(stderr, "%s\n", post.error->message.c_str());
    recorder_->CallEnded(start, Clock::now(), post.ok());
    if (left_to_end_.fetch_sub(1) == 1) {
      done_.release();
    } else if (left_to_start_.fetch_sub(1) > 0) {
      Start();
    }
  }

  Recorder* const recorder_;
  postgen::PostGenerator* const generator_;
  const postgen::PostRequest request_ = Post();
  std::atomic<int> left_to_start_ = 0;
  std::atomic<int> left_to_end_ = 0;
  std::binary_semaphore done_{0};
};

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  Recorder recorder(workload);
  postgen::Options options;
  options.llm.api_key = "bench";
  options.store.url = workload.url;
  options.store.pool_min = options.store.pool_max = kPool;
  options.store.spool = "none:";
  options.profiles.url = "none:";
  auto generator = postgen::PostGenerator::Create(options);
  if (!generator.ok()) {
    std::fprintf(stderr, "%s\n", generator.error().message.c_str());
    return 2;
  }
  PostLoop loop(&recorder, generator->get());
  loop.Run(workload.concurrency, workload.warmup);
  recorder.Begin();
  loop.Run(workload.concurrency, workload.calls);
  recorder.Print("postgen, C++", POSTGEN_VERSION);
  return 0;
}
