// PostGenerator with its real threads and scripted parts.
#include "postgen/generator.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "postgen/json.h"
#include "support/scoped.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

LlmReply GoodReply() {
  LlmReply reply;
  reply.text = "標題：題\n內容：一段話。";
  reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
  return reply;
}

// Answers at once and counts.
class CountingClient final : public LlmClient {
 public:
  explicit CountingClient(std::atomic<int>* calls) : calls_(calls) {}
  void Complete(LlmRequest, CancelToken, LlmSink sink) override {
    ++*calls_;
    sink.on_done(GoodReply());
  }
  std::string provider() const override { return "counting"; }

 private:
  std::atomic<int>* const calls_;
};

// Answers from a thread of its own, or holds everything until released or cancelled.
class ThreadedClient final : public LlmClient {
 public:
  explicit ThreadedClient(bool hold) : hold_(hold) {}
  ~ThreadedClient() override {
    Release();
    for (std::thread& thread : threads_) thread.join();
  }

  void Complete(LlmRequest, CancelToken cancel, LlmSink sink) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++calls_;
    started_.notify_all();
    threads_.emplace_back([this, cancel = std::move(cancel), sink = std::move(sink)] {
      const CancelCallback<std::function<void()>> on_cancel(cancel, [this] {
        const std::lock_guard<std::mutex> lock(mutex_);
        wake_.notify_all();
      });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return !hold_ || cancel.stop_requested(); });
      }
      sink.on_done(GoodReply());
    });
  }
  std::string provider() const override { return "threaded"; }

  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    hold_ = false;
    wake_.notify_all();
  }
  void WaitForCalls(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    started_.wait(lock, [&] { return calls_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable started_;
  bool hold_;
  int calls_ = 0;
  std::vector<std::thread> threads_;
};

Options NoCache() {
  Options options;
  options.llm.provider = "template";
  options.cache.url = "none:";
  return options;
}

PostRequest Request() {
  PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  return request;
}

struct Bench {
  explicit Bench(bool hold, Options options = NoCache()) {
    auto threaded = std::make_unique<ThreadedClient>(hold);
    client = threaded.get();
    Parts parts;
    parts.llm = std::move(threaded);
    auto made = PostGenerator::Create(std::move(options), std::move(parts));
    REQUIRE(made.ok());
    generator = *std::move(made);
  }
  std::unique_ptr<PostGenerator> generator;
  ThreadedClient* client = nullptr;
};

TEST_CASE("generate: blocking, over foreign threads") {
  Bench bench(/*hold=*/false);
  const Result<PostResult> post = bench.generator->Generate(Request());
  REQUIRE(post.ok());
  CHECK(post->versions.size() == 5);
  CHECK(post->provider == "threaded");
}

TEST_CASE("the template provider: texts, marked, without a network") {
  auto generator = PostGenerator::Create(NoCache());
  REQUIRE(generator.ok());
  const Result<PostResult> post = (*generator)->Generate(Request());
  REQUIRE(post.ok());
  for (const VersionResult& version : post->versions) {
    CHECK(version.source == Source::kTemplate);
    CHECK(version.within_limit);
  }
  CHECK(post->provider == "template");
  CHECK(*post->cost_usd == 0.0);
}

TEST_CASE("bad options are refused with the option's name") {
  Options options = NoCache();
  options.max_pending_posts = 0;
  const auto made = PostGenerator::Create(std::move(options));
  REQUIRE(!made.ok());
  CHECK(made.error().code == Code::kInvalidConfig);
  CHECK(made.error().details.field == "max_pending_posts");
}

TEST_CASE("require_kol without a place to look KOLs up is refused") {
  Options options = NoCache();
  options.require_kol = true;
  const auto made = PostGenerator::Create(std::move(options));
  REQUIRE(!made.ok());
  CHECK(made.error().code == Code::kInvalidConfig);
  CHECK(made.error().details.field == "require_kol");
}

TEST_CASE("bad requests end at once, through the call and its events") {
  class Listener final : public Observer {
   public:
    void OnEvent(const Event& event) override { seen.set_value(event.result->error->code); }
    std::promise<Code> seen;
  };
  Bench bench(/*hold=*/false);
  PostRequest request = Request();
  request.max_words = 1000000000;
  const auto listener = std::make_shared<Listener>();
  const auto call = bench.generator->Start(request, listener);
  CHECK(call->Wait()->error->code == Code::kInvalidRequest);
  CHECK(call->Wait()->error->details.field == "max_words");
  CHECK(listener->seen.get_future().get() == Code::kInvalidRequest);
}

TEST_CASE("more posts than max_pending_posts: busy at once, nothing started") {
  Options options = NoCache();
  options.max_pending_posts = 2;
  Bench bench(/*hold=*/true, std::move(options));
  const auto first = bench.generator->Start(Request());
  const auto second = bench.generator->Start(Request());
  CHECK(bench.generator->Start(Request())->Wait()->error->code == Code::kBusy);
  bench.client->Release();
  CHECK(first->Wait()->ok());
  CHECK(second->Wait()->ok());
  CHECK(bench.generator->Generate(Request()).ok());
}

TEST_CASE("cancel from another thread") {
  Bench bench(/*hold=*/true);
  const auto call = bench.generator->Start(Request());
  bench.client->WaitForCalls(5);
  CHECK(call->WaitFor(milliseconds(0)) == nullptr);
  call->Cancel();
  CHECK(call->Wait()->error->code == Code::kCancelled);
  call->Cancel();  // no-op
}

TEST_CASE("close drains, then cancels, then refuses") {
  Bench bench(/*hold=*/true);
  const auto call = bench.generator->Start(Request());
  bench.client->WaitForCalls(5);
  CHECK(bench.generator->Close(milliseconds(0)).ok());
  CHECK(call->Wait()->error->code == Code::kCancelled);
  CHECK(bench.generator->Start(Request())->Wait()->error->code == Code::kClosed);
  CHECK(bench.generator->Close(seconds(1)).ok());
}

TEST_CASE("the longest waits do not overflow") {
  Options options = NoCache();
  options.max_pending_posts = 1;
  Bench bench(/*hold=*/true, std::move(options));
  const auto call = bench.generator->Start(Request());
  bench.client->WaitForCalls(5);
  std::thread closer([&] { CHECK(bench.generator->Close(milliseconds::max()).ok()); });
  // Busy until the closer has begun to wait.
  while (bench.generator->Start(Request())->Wait()->error->code != Code::kClosed) {
    std::this_thread::yield();
  }
  CHECK(call->WaitFor(milliseconds::min()) == nullptr);
  CHECK(bench.generator->Diagnose(milliseconds::max()).at(0).level == Diagnosis::Level::kOk);
  bench.client->Release();
  CHECK(call->WaitFor(milliseconds::max())->ok());
  closer.join();
}

TEST_CASE("a process without descriptors left: nomem, not a generator that hangs") {
  REQUIRE(PostGenerator::Create(NoCache()).ok());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 3;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto generator = PostGenerator::Create(NoCache());
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(!generator.ok());
  CHECK(generator.error().code == Code::kNomem);
}

TEST_CASE("close lets running posts finish within the drain") {
  Bench bench(/*hold=*/true);
  const auto call = bench.generator->Start(Request());
  bench.client->WaitForCalls(5);
  std::thread closer([&] { CHECK(bench.generator->Close(seconds(60)).ok()); });
  bench.client->Release();
  closer.join();
  CHECK(call->Wait()->ok());
}

TEST_CASE("destroying the generator ends what runs; calls outlive it") {
  std::shared_ptr<Call> call;
  {
    Bench bench(/*hold=*/true);
    call = bench.generator->Start(Request());
    bench.client->WaitForCalls(5);
  }
  CHECK(call->Wait()->error->code == Code::kCancelled);
  call->Cancel();
}

TEST_CASE("in an observer: waiting, generating, closing, diagnosing are refused, not hung") {
  class Curious final : public Observer {
   public:
    void OnEvent(const Event& event) override {
      if (event.type != Event::Type::kPost) return;
      diagnosed = generator->Diagnose(seconds(60)).at(0).subject;
      codes.set_value({generator->Generate(Request()).error().code,
                       generator->Close(milliseconds(0)).error().code});
    }
    PostGenerator* generator = nullptr;
    std::string diagnosed;
    std::promise<std::vector<Code>> codes;
  };
  Bench bench(/*hold=*/false);
  const auto observer = std::make_shared<Curious>();
  observer->generator = bench.generator.get();
  const auto call = bench.generator->Start(Request(), observer);
  CHECK(observer->codes.get_future().get() ==
        std::vector<Code>{Code::kReentrant, Code::kReentrant});
  CHECK(observer->diagnosed == "generator");
  CHECK(call->Wait()->ok());
}

TEST_CASE("in a forked child every call is an error, never a hang; the parent goes on") {
  Bench bench(/*hold=*/true);
  const auto call = bench.generator->Start(Request());
  bench.client->WaitForCalls(5);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // a hang kills the child
    const bool forked = bench.generator->Generate(Request()).error().code == Code::kForked &&
                        bench.generator->Close(milliseconds(0)).error().code == Code::kForked &&
                        bench.generator->MetricsJson() == "{}" && call->Wait() == nullptr;
    bench.generator.reset();
    _exit(forked ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  bench.client->Release();
  CHECK(call->Wait()->ok());
}

TEST_CASE("diagnose and migrate on memory parts") {
  Options options = NoCache();
  options.store.url = "memory:";
  auto generator = PostGenerator::Create(std::move(options));
  REQUIRE(generator.ok());
  for (const Diagnosis& line : (*generator)->Diagnose(seconds(5))) {
    CAPTURE(line.subject);
    CAPTURE(line.message);
    CHECK(line.level == Diagnosis::Level::kOk);
  }
  CHECK((*generator)->Migrate(seconds(5)).ok());
}

// A provider whose check is answered by the store's: it must not be waited for before that.
struct LinkedChecks {
  LlmClient::CheckCallback llm;
  bool store_asked = false;
};
class LinkedClient final : public LlmClient {
 public:
  explicit LinkedClient(LinkedChecks* checks) : checks_(checks) {}
  void Complete(LlmRequest, CancelToken, LlmSink sink) override { sink.on_done(GoodReply()); }
  std::string provider() const override { return "linked"; }
  void Check(TimePoint, CheckCallback done) override { checks_->llm = std::move(done); }

 private:
  LinkedChecks* const checks_;
};
class LinkedStore final : public PostStore {
 public:
  explicit LinkedStore(LinkedChecks* checks) : checks_(checks) {}
  void Check(TimePoint, DoneCallback done) override {
    checks_->store_asked = true;
    if (checks_->llm) checks_->llm({});
    done({});
  }
  void Put(PostRow, TimePoint, DoneCallback done) override { done({}); }
  void Get(std::string, TimePoint, RowCallback done) override {
    done(Error(Code::kStore, "not here"));
  }
  void Migrate(TimePoint, MigrateCallback done) override { done(std::vector<std::string>()); }

 private:
  LinkedChecks* const checks_;
};

// Of a user of whom the system knows nothing, for the threads of the whole process.
class StrangeUser {
 public:
  StrangeUser() { REQUIRE(seteuid(54321) == 0); }
  ~StrangeUser() { CHECK(seteuid(0) == 0); }
  StrangeUser(const StrangeUser&) = delete;
  StrangeUser& operator=(const StrangeUser&) = delete;
};

TEST_CASE("a user without a home folder has no spool, and is told") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root can take another user's place");
    return;
  }
  Options options = NoCache();
  options.store.url = "postgresql://somebody@127.0.0.1:1/posts";
  Result<std::unique_ptr<PostGenerator>> generator = [&] {
    const StrangeUser strange;
    return PostGenerator::Create(options);
  }();
  REQUIRE(generator.ok());
  const std::string advice = "this user has no home folder; set store.spool";
  bool told = false;
  for (const Diagnosis& line : (*generator)->Diagnose(seconds(5))) {
    if (line.subject != "spool") continue;
    told = true;
    CHECK(line.level == Diagnosis::Level::kWarning);
    CHECK(line.message == "none: " + advice);
  }
  CHECK(told);
  const Status flushed = (*generator)->FlushSpool(seconds(5));
  for (const Error& error : {(*generator)->ListSpool(seconds(5)).error(), flushed.error()}) {
    CHECK(error.code == Code::kInvalidConfig);
    CHECK(error.message == "there is no spool: " + advice);
  }
  PostRequest request = Request();
  request.deadline_ms = 5000;
  const auto post = (*generator)->Generate(request);
  REQUIRE(!post.ok());
  CHECK(post.error().code == Code::kStore);
  CHECK(post.error().message.ends_with("; there is no spool: " + advice));
}

TEST_CASE("diagnose asks all parts before it waits for one") {
  LinkedChecks checks;
  Parts parts;
  parts.llm = std::make_unique<LinkedClient>(&checks);
  parts.store = std::make_unique<LinkedStore>(&checks);
  auto generator = PostGenerator::Create(NoCache(), std::move(parts));
  REQUIRE(generator.ok());
  const std::vector<Diagnosis> lines = (*generator)->Diagnose(seconds(60));
  CHECK(checks.store_asked);
  REQUIRE(!lines.empty());
  CHECK(lines[0].subject == "llm");
  CHECK(lines[0].level == Diagnosis::Level::kOk);
}

TEST_CASE("metrics count what happened") {
  Bench bench(/*hold=*/false);
  REQUIRE(bench.generator->Generate(Request()).ok());
  const std::string json = bench.generator->MetricsJson();
  CHECK(json.find(R"("started":1,"pending":0,"ok":1)") != std::string::npos);
}

TEST_CASE("an idempotency key: one post, paid once, also for another generator on the same file") {
  testing::TempFolder folder;
  const auto make = [&](std::atomic<int>* calls) {
    Options options;
    options.llm.provider = "template";
    options.store.url = "sqlite:" + folder.path() + "/posts.db";
    Parts parts;
    parts.llm = std::make_unique<CountingClient>(calls);
    return *PostGenerator::Create(options, std::move(parts));
  };
  std::atomic<int> calls{0};
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  request.idempotency_key = "key";

  const auto first = make(&calls);
  const auto post = first->Generate(request);
  REQUIRE(post.ok());
  CHECK(calls == 5);
  const auto second = make(&calls);
  request.deadline_ms = 5000;  // how long one waits is no part of the request
  const auto again = second->Generate(request);
  REQUIRE(again.ok());
  CHECK(calls == 5);
  CHECK(again->post_id == post->post_id);
  CHECK(again->content == post->content);
  CHECK(again->chosen == post->chosen);
  CHECK(again->versions.size() == 5);
  CHECK(again->cost_usd == 0.0);

  request.max_words = 150;
  const auto other = second->Generate(request);
  CHECK(other.error().code == Code::kConflict);
  request.tenant = "another";
  CHECK(second->Generate(request)->post_id != post->post_id);
  CHECK(calls == 10);
  request.store = false;
  CHECK(second->Generate(request).error().details.field == "idempotency_key");
}

TEST_CASE("a store by itself has a thread of its own and checks its options") {
  const testing::TempFolder folder;
  StoreOptions options;
  options.url = "sqlite:" + folder.path() + "/posts.db";
  auto store = NewPostStore(options);
  REQUIRE(store.ok());
  PostRow row;
  row.post_id = "one";
  row.kol_serial = 208;
  std::promise<Status> put;
  (*store)->Put(row, std::chrono::steady_clock::now() + seconds(60),
                [&](Status status) { put.set_value(std::move(status)); });
  CHECK(put.get_future().get().ok());
  store->reset();

  for (const char* const url : {"none:", "file:kols.json", "mysql://h/d"}) {
    CAPTURE(url);
    options.url = url;
    const auto refused = NewPostStore(options);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::kInvalidConfig);
    CHECK(refused.error().details.field == "store.url");
  }
}

TEST_CASE("an idempotency key asked for by many at once: one post") {
  testing::TempFolder folder;
  std::atomic<int> calls{0};
  Options options;
  options.llm.provider = "template";
  options.store.url = "sqlite:" + folder.path() + "/posts.db";
  Parts parts;
  parts.llm = std::make_unique<CountingClient>(&calls);
  const auto generator = *PostGenerator::Create(options, std::move(parts));
  PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  request.idempotency_key = "key";
  std::vector<std::shared_ptr<Call>> posts;
  for (int i = 0; i < 8; ++i) posts.push_back(generator->Start(request));
  std::set<std::string> ids;
  for (const auto& post : posts) {
    const auto result = post->Wait();
    CHECK(result->ok());
    ids.insert(result->post_id);
  }
  CHECK(ids.size() == 1);
  CHECK(calls == 5);
}

}  // namespace
}  // namespace postgen
