// Idempotency keys in PostgreSQL, for several processes and over their ends. A process is a
// generator or a ledger with its own connections: that is all that PostgreSQL sees of one.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "contract/post_store_contract.h"
#include "contract/request_ledger_contract.h"
#include "integration/postgres_test_database.h"
#include "postgen/generator.h"
#include "support/notification.h"
#include "support/toxic_proxy.h"

namespace postgen {
namespace {

using State = ClaimAnswer::State;

// Calls of all the generators of a test: held until released, then answered, and counted.
class HeldCalls {
 public:
  std::unique_ptr<LlmClient> NewClient() { return std::make_unique<Client>(this); }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  void WaitForFirst() { first_.Wait(); }
  void Release() {
    std::vector<LlmSink> held;
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
      held.swap(held_);
    }
    for (const LlmSink& sink : held) Answer(sink);
  }

 private:
  class Client final : public LlmClient {
   public:
    explicit Client(HeldCalls* calls) : calls_(calls) {}
    void Complete(LlmRequest /*request*/, CancelToken /*cancel*/, LlmSink sink) override {
      calls_->Begin(std::move(sink));
    }
    std::string provider() const override { return "held"; }

   private:
    HeldCalls* const calls_;
  };

  void Begin(LlmSink sink) {
    {
      const std::lock_guard lock(mutex_);
      ++count_;
      if (!released_) {
        held_.push_back(std::move(sink));
        first_.Notify();
        return;
      }
    }
    Answer(sink);
  }

  static void Answer(const LlmSink& sink) {
    LlmReply reply;
    reply.text = "標題：題\n內容：一段話。";
    reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
    sink.on_done(std::move(reply));
  }

  std::mutex mutex_;
  testing::Notification first_;
  std::vector<LlmSink> held_;
  int count_ = 0;
  bool released_ = false;
};

struct Fixture {
  TestDatabase database;
  HeldCalls calls;

  Fixture() {
    TestStores stores(database.Url());
    REQUIRE(MigrateAndWait(stores.posts()).ok());
  }

  std::unique_ptr<PostGenerator> NewProcess() {
    Options options;
    options.llm.provider = "template";
    options.cache.url = "none:";
    options.store.url = database.Url();
    options.store.spool = "none:";
    Parts parts;
    parts.llm = calls.NewClient();
    auto generator = PostGenerator::Create(options, std::move(parts));
    REQUIRE(generator.ok());
    return *std::move(generator);
  }

  static PostRequest Request() {
    PostRequest request;
    request.stock_code = "2330";
    request.kol_serial = 208;
    request.versions = 1;
    request.idempotency_key = "key";
    return request;
  }
};

TEST_CASE("requests in PostgreSQL keep the contract of RequestLedger") {
  const Fixture f;
  const TestStores one(f.database.Url());
  const TestStores other(f.database.Url());
  CheckRequestLedgerContract(one.stores.ledger.get(), other.stores.ledger.get(),
                             [&](const std::string& sql) { return f.database.Query(sql); });
}

TEST_CASE("what a process has finished another one is told after its end") {
  const Fixture f;
  {
    const TestStores gone(f.database.Url());
    REQUIRE(ClaimAndWait(gone.stores.ledger.get(), TestClaim("a"))->state == State::kOurs);
    REQUIRE(FinishAndWait(gone.stores.ledger.get(), TestClaim("a")).ok());
  }
  const TestStores next(f.database.Url());
  const auto answer = ClaimAndWait(next.stores.ledger.get(), TestClaim("b"));
  REQUIRE(answer.ok());
  CHECK(answer->state == State::kDone);
  CHECK(answer->post_id == "post-of-a");
}

TEST_CASE("a claim whose answer was lost is still the caller's") {
  const Fixture f;
  testing::ToxicProxy proxy(std::stoi(f.database.server().port));
  TestServer server = f.database.server();
  server.port = std::to_string(proxy.port());
  const TestStores stores(server.Url(f.database.name()));
  proxy.LoseAnswerTo("INSERT INTO postgen_requests");
  const auto answer = ClaimAndWait(stores.stores.ledger.get(), TestClaim("a"));
  proxy.WaitUntilLost();
  REQUIRE_MESSAGE(answer.ok(), answer.error().message);
  CHECK(answer->state == State::kOurs);
  CHECK(f.database.Query("SELECT count(*) FROM postgen_requests") == "1");
}

TEST_CASE("without its table a key is refused, naming what to run") {
  const Fixture f;
  f.database.Query("DROP TABLE postgen_requests");
  const TestStores stores(f.database.Url());
  const auto answer = ClaimAndWait(stores.stores.ledger.get(), TestClaim("a"));
  REQUIRE(!answer.ok());
  CHECK(answer.error().code == Code::kStore);
  CHECK(answer.error().message.find("postgen migrate") != std::string::npos);
}

TEST_CASE("a second process waits for the first one's post, pays nothing and returns it") {
  Fixture f;
  const auto first = f.NewProcess();
  const auto second = f.NewProcess();
  const auto leader = first->Start(Fixture::Request());
  f.calls.WaitForFirst();
  const auto follower = second->Start(Fixture::Request());
  PostRequest impatient = Fixture::Request();
  impatient.deadline_ms = 1000;
  CHECK(second->Generate(impatient).error().code == Code::kDeadline);
  PostRequest different = Fixture::Request();
  different.max_words = 150;
  CHECK(second->Generate(different).error().code == Code::kConflict);
  f.calls.Release();
  const auto made = leader->Wait();
  const auto told = follower->Wait();
  REQUIRE(made->ok());
  REQUIRE(told->ok());
  CHECK(told->post_id == made->post_id);
  CHECK(told->content == made->content);
  CHECK(f.calls.count() == 1);
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
}

TEST_CASE("a post stored under a key is returned after a restart, and nothing is paid") {
  Fixture f;
  f.calls.Release();
  const auto made = f.NewProcess()->Generate(Fixture::Request());
  REQUIRE(made.ok());
  const auto again = f.NewProcess()->Generate(Fixture::Request());
  REQUIRE(again.ok());
  CHECK(again->post_id == made->post_id);
  CHECK(f.calls.count() == 1);
}

TEST_CASE("a process that is gone without a word is taken over from, under its post id") {
  Fixture f;
  PostRequest request = Fixture::Request();
  f.calls.Release();
  const auto process = f.NewProcess();
  const auto made = process->Generate(request);
  REQUIRE(made.ok());
  // The key is marked after the post has ended. Then it is as if the process had died before that.
  f.database.WaitFor("SELECT state = 'done' FROM postgen_requests");
  f.database.Query("UPDATE postgen_requests SET state = 'running', lease_until_ms = 0");
  SUBCASE("before the row") {
    f.database.Query("DELETE FROM post_records");
    const auto again = f.NewProcess()->Generate(request);
    REQUIRE(again.ok());
    CHECK(again->post_id == made->post_id);
    CHECK(f.calls.count() == 2);
  }
  SUBCASE("after the row") {
    const auto again = f.NewProcess()->Generate(request);
    REQUIRE(again.ok());
    CHECK(again->post_id == made->post_id);
    CHECK(f.calls.count() == 1);
  }
  CHECK(f.database.Query("SELECT count(*) FROM post_records") == "1");
  f.database.WaitFor("SELECT state = 'done' FROM postgen_requests");
}

}  // namespace
}  // namespace postgen
