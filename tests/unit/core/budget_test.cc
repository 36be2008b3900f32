// budget_usd_per_day by the public door, over a file that outlives its generators.
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "postgen/postgen.h"
#include "support/held_parts.h"
#include "support/scoped.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

// 100 and 50 tokens of gpt-4o-mini: 45 millionths of a USD.
LlmReply PaidReply() { return testing::Reply("文。"); }

// What became of the calls, shared with the test.
class Calls {
 public:
  void Answer(LlmSink sink) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++count_;
      if (hold) held_.push_back(std::move(sink));
      changed_.notify_all();
      if (hold) return;
    }
    LlmReply reply = PaidReply();
    reply.error = error;
    sink.on_done(std::move(reply));
  }
  int count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }
  void WaitFor(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return count_ >= count; });
  }
  std::vector<LlmSink> TakeHeld() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(held_, {});
  }

  // Set before the first call.
  bool hold = false;
  std::optional<Error> error;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
  std::vector<LlmSink> held_;
};

class Client final : public LlmClient {
 public:
  explicit Client(std::shared_ptr<Calls> calls) : calls_(std::move(calls)) {}
  void Complete(LlmRequest, CancelToken, LlmSink sink) override { calls_->Answer(std::move(sink)); }
  std::string provider() const override { return "test"; }

 private:
  const std::shared_ptr<Calls> calls_;
};

struct Fixture {
  std::unique_ptr<PostGenerator> Open(double budget) {
    Options options;
    options.budget_usd_per_day = budget;
    options.cache.url = "none:";
    options.store.url = "sqlite:" + folder.File("posts.db");
    options.llm.default_model = model;
    Parts parts;
    parts.llm = std::make_unique<Client>(calls);
    auto generator = PostGenerator::Create(options, std::move(parts));
    REQUIRE(generator.ok());
    return *std::move(generator);
  }
  static PostRequest Request() {
    PostRequest request;
    request.stock_code = "2330";
    request.kol_serial = 208;
    return request;
  }
  // As doctor says it.
  static std::string Spent(PostGenerator* generator) {
    for (const Diagnosis& found : generator->Diagnose(milliseconds(20000))) {
      if (found.subject == "budget") return found.message.substr(0, found.message.find(" of "));
    }
    return "no budget";
  }

  testing::TempFolder folder;
  std::shared_ptr<Calls> calls = std::make_shared<Calls>();
  std::string model = "gpt-4o-mini";
};

TEST_CASE("what posts cost is added up over restarts") {
  Fixture f;
  REQUIRE(f.Open(1)->Generate(Fixture::Request()).ok());
  auto generator = f.Open(1);
  CHECK(Fixture::Spent(generator.get()) == "0.000225 USD");
  PostRequest draft = Fixture::Request();
  draft.draft = true;
  draft.versions = 2;
  REQUIRE(generator->Generate(draft).ok());
  generator.reset();  // a post is settled after its last event
  CHECK(Fixture::Spent(f.Open(1).get()) == "0.000360 USD");
}

TEST_CASE("a post that might pass the budget is refused before anything is paid") {
  Fixture f;
  const auto generator = f.Open(0.001);
  const auto post = generator->Generate(Fixture::Request());
  REQUIRE_FALSE(post.ok());
  CHECK(post.error().code == Code::kBudget);
  CHECK(post.error().details.field == "budget_usd_per_day");
  CHECK(f.calls->count() == 0);
  CHECK(Fixture::Spent(generator.get()) == "0.000000 USD");
  CHECK(generator->MetricsJson().find("\"posts_refused\":1") != std::string::npos);
  // One version fits.
  PostRequest small = Fixture::Request();
  small.versions = 1;
  CHECK(generator->Generate(small).ok());
}

TEST_CASE("a failed post is paid as well") {
  Fixture f;
  f.calls->error = Error(Code::kTruncated, "cut");
  { CHECK_FALSE(f.Open(1)->Generate(Fixture::Request()).ok()); }
  CHECK(Fixture::Spent(f.Open(1).get()) == "0.000225 USD");
}

TEST_CASE("a cancelled post is paid when its calls have told") {
  Fixture f;
  f.calls->hold = true;
  {
    const auto generator = f.Open(1);
    const auto call = generator->Start(Fixture::Request(), nullptr, false, false);
    f.calls->WaitFor(5);
    call->Cancel();
    CHECK(call->Wait()->error->code == Code::kCancelled);
    for (LlmSink& sink : f.calls->TakeHeld()) sink.on_done(PaidReply());
  }
  CHECK(Fixture::Spent(f.Open(1).get()) == "0.000225 USD");
}

TEST_CASE("without a known price there is no budget to keep") {
  Fixture f;
  f.model = "nobody-knows";
  const auto post = f.Open(1)->Generate(Fixture::Request());
  REQUIRE_FALSE(post.ok());
  CHECK(post.error().code == Code::kBudget);
  CHECK(post.error().details.field == "llm.prices");
  CHECK(f.calls->count() == 0);
}

TEST_CASE("a budget needs somewhere that lasts") {
  Options options;
  options.budget_usd_per_day = 1;
  for (const char* url : {"none:", "memory:"}) {
    options.store.url = url;
    const auto generator = PostGenerator::Create(options);
    REQUIRE_FALSE(generator.ok());
    CHECK(generator.error().code == Code::kInvalidConfig);
    CHECK(generator.error().details.field == "budget_usd_per_day");
  }
}

TEST_CASE("the template writer costs nothing") {
  testing::TempFolder folder;
  Options options;
  options.budget_usd_per_day = 0;
  options.llm.provider = "template";
  options.store.url = "sqlite:" + folder.File("posts.db");
  const auto generator = PostGenerator::Create(options);
  REQUIRE(generator.ok());
  CHECK((*generator)->Generate(Fixture::Request()).ok());
}

}  // namespace
}  // namespace postgen
