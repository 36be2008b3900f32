// A process for kill_harness.py to kill: makes posts, 20 at a time, until it dies.
//
//   postgen_kill_worker STORE_URL SPOOL_FOLDER SEED [drain]
//
// Says on stdout what a caller hears, a line each: "version TEXT", "post ID stored|spooled TEXT".
// With `drain` it makes none: it moves what the spool holds and ends with status 0 when none waits.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "postgen/postgen.h"
#include "runtime/failpoint.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

constexpr int kInFlight = 20;

void Say(const std::string& line) {
  const std::string bytes = line + '\n';
  // One write: whole or not at all in a pipe.
  if (write(STDOUT_FILENO, bytes.data(), bytes.size()) < 0) _exit(1);
}

// Texts unlike any other, after a few milliseconds, from one thread.
class Writer final : public LlmClient {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed), thread_([this] { Run(); }) {}
  ~Writer() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  void Complete(LlmRequest, CancelToken, LlmSink sink) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(sink));
    wake_.notify_all();
  }
  std::string provider() const override { return "writer"; }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!ended_) {
      if (waiting_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const std::size_t next = random_() % waiting_.size();
      const LlmSink sink = std::move(waiting_[next]);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(next));
      LlmReply reply;
      reply.text = "標題：題\n內容：text-" + std::to_string(random_()) + "-end";
      reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
      lock.unlock();
      sink.on_done(std::move(reply));
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<LlmSink> waiting_;
  std::mt19937_64 random_;
  bool ended_ = false;
  std::thread thread_;
};

class Reporter final : public Observer {
 public:
  void OnEvent(const Event& event) override {
    if (event.type == Event::Type::kVersionDone && event.version->ok()) {
      Say("version " + event.version->content);
    } else if (event.type == Event::Type::kPost) {
      Say("post " + event.result->post_id +
          (event.result->stored == Stored::kStored ? " stored " : " spooled ") +
          event.result->content);
    } else if (event.type == Event::Type::kError) {
      Say("error " + event.result->error->message);
    }
  }
};

int Drain(PostGenerator* generator) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < until) {
    const Status flushed = generator->FlushSpool(milliseconds(2000));
    if (flushed.ok()) return 0;
    Say("error " + flushed.error().message);
    std::this_thread::sleep_for(milliseconds(100));
  }
  return 1;
}

int Main(int argc, char** argv) {
  if (argc < 4) return 2;
  Options options;
  options.store.url = argv[1];
  options.store.spool = argv[2];
  options.cache.url = "none:";
  options.default_deadline_ms = 20000;
  Parts parts;
  parts.llm = std::make_unique<Writer>(std::stoull(argv[3]));
  const auto generator = PostGenerator::Create(options, std::move(parts));
  if (!generator.ok()) {
    Say("error " + generator.error().message);
    return 2;
  }
  if (argc > 4) return Drain(generator->get());
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  request.versions = 3;
  const auto reporter = std::make_shared<Reporter>();
  std::vector<std::shared_ptr<Call>> posts;
  for (int i = 0; i < kInFlight; ++i) posts.push_back((*generator)->Start(request, reporter));
  for (std::size_t i = 0;; i = (i + 1) % posts.size()) {
    posts[i]->Wait();
    posts[i] = (*generator)->Start(request, reporter);
  }
}

}  // namespace
}  // namespace postgen

int main(int argc, char** argv) {
  if (const char* point = std::getenv("POSTGEN_FAILPOINT")) postgen::ArmFailpoint(point);
  return postgen::Main(argc, argv);
}
