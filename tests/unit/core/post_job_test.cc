// The way of a post, with scripted parts and virtual time.
#include "core/post_job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "llm/clients.h"
#include "request/post_json.h"
#include "runtime/manual_executor.h"
#include "support/held_parts.h"
#include "support/locked_database.h"
#include "support/scoped.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FailedReply;
using testing::HeldCache;
using testing::HeldClient;
using testing::Reply;

class HeldStore final : public PostStore {
 public:
  void Check(TimePoint deadline, DoneCallback done) override {
    check_deadline = deadline;
    if (hold_check) {
      held.push_back(std::move(done));
    } else {
      done(check);
    }
  }
  void Put(PostRow row, TimePoint, DoneCallback done) override {
    rows.push_back(std::move(row));
    if (hold_put) {
      held.push_back(std::move(done));
    } else {
      done(put);
    }
  }
  void Get(std::string, TimePoint deadline, RowCallback done) override {
    get_deadline = deadline;
    done(std::optional<PostRow>());
  }
  void Migrate(TimePoint, MigrateCallback done) override { done(std::vector<std::string>()); }

  Status check;
  Status put;
  bool hold_check = false;
  TimePoint check_deadline;
  TimePoint get_deadline;
  bool hold_put = false;
  std::vector<DoneCallback> held;
  std::vector<PostRow> rows;
};

class ScriptedProfiles final : public ProfileStore {
 public:
  void Find(std::int64_t, TimePoint, FindCallback done) override { done(answer); }
  Result<FoundProfile> answer = FoundProfile{};
};

struct RecordedEvent {
  Event::Type type;
  int version_number;
  Event::Part part;
  std::string text;
};

class Recorder final : public Observer {
 public:
  void OnEvent(const Event& event) override {
    events.push_back({event.type, event.version_number, event.part, std::string(event.text)});
    if (event.flow != nullptr) flows[event.version_number] = event.flow;
  }
  void OnBurstEnd() override { ++bursts; }
  int Count(Event::Type type) const {
    int count = 0;
    for (const RecordedEvent& event : events) count += event.type == type ? 1 : 0;
    return count;
  }
  std::vector<RecordedEvent> events;
  std::map<int, std::shared_ptr<Flow>> flows;  // by version
  int bursts = 0;
};

struct World {
  World() {
    prompts = *PromptBuilder::Create({});
    template_writer = NewTemplateClient();
    parts->executor = executor;
    parts->llm = &client;
    parts->provider = client.provider();
    parts->template_writer = template_writer.get();
    parts->store = &store;
    parts->profiles = &profiles;
    parts->prompts = prompts.get();
    parts->metrics = &metrics;
    parts->recent = &recent;
    parts->rng = &rng;
    request.stock_code = "2330";
    request.stock_name = "台積電";
    request.kol_serial = 208;
  }
  ~World() { End(); }

  // A job keeps itself alive until it has ended.
  void End() {
    if (job != nullptr) job->Cancel(Error(Code::kCancelled, "the test is over"));
    executor->RunReady();
  }

  std::shared_ptr<PostJob> Start(bool stream = false, bool restarts = false) {
    if (calls == nullptr) {
      CachedCalls::Parts ways;
      ways.executor = executor;
      ways.llm = llm;
      ways.cache = &cache;
      ways.scope = "scope";
      ways.ttl = seconds(3600);
      ways.keeps = [](const LlmReply& reply) { return !ParseReply(reply.text).content.empty(); };
      calls = std::make_unique<CachedCalls>(std::move(ways));
      parts->calls = calls.get();
    }
    PostJob::Spec spec;
    spec.request = request;
    spec.call_id = 7;
    spec.observer = recorder;
    spec.stream = stream;
    spec.restarts = restarts;
    spec.on_ending = [this] {
      ++endings;
      if (on_ending) on_ending();
    };
    spec.started_at = executor->Now();
    job = std::make_shared<PostJob>(parts, std::move(spec),
                                    [this](std::shared_ptr<const PostResult> r) {
                                      ++ends;
                                      result = std::move(r);
                                    });
    job->Start();
    return job;
  }

  std::shared_ptr<ManualExecutor> executor = std::make_shared<ManualExecutor>();
  std::shared_ptr<PostParts> parts = std::make_shared<PostParts>();
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  HeldClient client;
  HeldStore store;
  ScriptedProfiles profiles;
  HeldCache cache;
  LlmClient* llm = &client;
  std::unique_ptr<CachedCalls> calls;  // made by the first Start()
  std::unique_ptr<PromptBuilder> prompts;
  std::unique_ptr<LlmClient> template_writer;
  Metrics metrics;
  RecentChoices recent;
  Rng rng{42};
  PostRequest request;
  int ends = 0;
  int endings = 0;
  std::function<void()> on_ending;
  std::shared_ptr<const PostResult> result;
  std::shared_ptr<PostJob> job;
};

TEST_CASE("a post: five calls at once, one chosen, a row, timings that add up") {
  World world;
  world.Start();
  REQUIRE(world.client.calls.size() == 5);
  CHECK(world.ends == 0);
  for (const HeldClient::Held& call : world.client.calls) {
    CHECK(call.request.model == "gpt-4o-mini");
    CHECK(call.request.max_tokens < 400);
  }
  world.executor->Advance(milliseconds(800));
  world.client.Answer(2, Reply("先到。"));
  world.executor->Advance(milliseconds(200));
  for (const std::size_t i : {0U, 1U, 3U, 4U}) world.client.Answer(i, Reply("後到。"));

  REQUIRE(world.ends == 1);
  REQUIRE(world.result->ok());
  CHECK(world.result->versions.size() == 5);
  CHECK(world.result->chosen >= 1);
  CHECK(world.result->stored == Stored::kStored);
  CHECK(world.result->usage.prompt_tokens == 500);
  CHECK(world.result->cost_usd.has_value());
  const Timings& t = world.result->timings;
  CHECK(t.gpt_generation_ms == doctest::Approx(800));
  CHECK(t.alternative_versions_ms == doctest::Approx(200));
  CHECK(t.parse_request_ms + t.model_selection_db_ms + t.gpt_generation_ms +
            t.alternative_versions_ms + t.database_write_ms ==
        doctest::Approx(t.total_time_ms));
  REQUIRE(world.store.rows.size() == 1);
  CHECK(world.store.rows[0].post_id == world.result->post_id);
  CHECK(world.store.rows[0].kol_nickname == "KOL-208");
  CHECK(world.store.rows[0].alternative_versions.has_value());
  CHECK(world.executor->pending_timers() == 0);
}

TEST_CASE("nothing is paid when the store is unusable") {
  World world;
  world.store.check = Error(Code::kStore, "table missing; run: postgen migrate");
  world.Start();
  CHECK(world.client.calls.empty());
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->code == Code::kStore);
}

TEST_CASE("nothing is paid before the store has answered") {
  World world;
  world.store.hold_check = true;
  world.Start();
  CHECK(world.client.calls.empty());
  world.store.held.at(0)({});
  CHECK(world.client.calls.size() == 5);
  world.client.AnswerAll();
  CHECK(world.result->ok());
}

TEST_CASE("store: false writes nothing and asks no store") {
  World world;
  world.request.store = false;
  world.store.check = Error(Code::kStore, "away");
  world.Start();
  world.client.AnswerAll();
  REQUIRE(world.result->ok());
  CHECK(world.result->stored == Stored::kNotRequested);
  CHECK(world.store.rows.empty());
}

TEST_CASE("a store that is away where there should be a spool: the post says what to set") {
  World world;
  world.parts->no_spool = "this user has no home";
  Error away(Code::kStore, "no connection");
  away.details.transient = true;
  SUBCASE("before anything is paid") { world.store.check = away; }
  SUBCASE("afterwards") { world.store.put = away; }
  world.Start();
  world.client.AnswerAll();
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->message == "no connection; there is no spool: this user has no home");
}

TEST_CASE("a store that fails after the calls: the post fails, its texts are kept in the report") {
  World world;
  world.store.put = Error(Code::kStore, "disk full");
  world.Start();
  world.client.AnswerAll();
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->code == Code::kStore);
  CHECK(world.result->versions.at(0).content == "第0段。");
}

// A world with a spool, on the same virtual time.
struct SpoolWorld : World {
  SpoolWorld() {
    SpoolSettings settings;
    settings.folder = folder.path();
    settings.target = "here";
    settings.max_bytes = 1 << 20;
    spool = std::make_unique<Spool>(std::move(settings), &store, executor.get());
    parts->spool = spool.get();
  }
  ~SpoolWorld() { End(); }
  // What a store that cannot be reached says.
  static Error Away() {
    Error error(Code::kStore, "no connection");
    error.details.transient = true;
    return error;
  }
  void AnswerAll() {
    client.AnswerAll();
    executor->RunReady();
  }
  // The only spool in the folder.
  std::string File() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      if (entry.path().extension() == ".spool") return entry.path().string();
    }
    return {};
  }
  int Warnings(const std::string& about) const {
    int count = 0;
    for (const std::string& text : result->warnings) {
      if (text.find(about) != std::string::npos) ++count;
    }
    return count;
  }

  testing::TempFolder folder;
  std::unique_ptr<Spool> spool;
};

// Idempotency keys that are taken as the test says.
class ScriptedLedger final : public RequestLedger {
 public:
  void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) override {
    claim_deadline = deadline;
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(ClaimAnswer{ClaimAnswer::State::kOurs, claim.post_id});
    }
  }
  void Finish(RequestClaim, TimePoint, DoneCallback done) override {
    ++finished;
    done({});
  }
  void Release(RequestClaim, TimePoint, DoneCallback done) override {
    ++released;
    done({});
  }

  bool hold = false;
  std::vector<ClaimCallback> held;
  TimePoint claim_deadline;
  int finished = 0;
  int released = 0;
};

TEST_CASE("a store that is away: the post is generated, spooled, and moved when it is back") {
  SpoolWorld world;
  SUBCASE("from the start") {
    world.store.check = world.store.put = SpoolWorld::Away();
    world.Start();
    world.executor->RunReady();
  }
  SUBCASE("from the middle") {
    world.Start();
    world.store.check = world.store.put = SpoolWorld::Away();
  }
  CHECK(world.client.calls.size() == 5);
  world.AnswerAll();
  REQUIRE(world.ends == 1);
  CHECK(world.result->ok());
  CHECK(world.result->stored == Stored::kSpooled);
  CHECK(world.spool->status().totals.ready == 1);
  CHECK(world.spool->status().totals.open == 0);
  world.store.rows.clear();
  world.store.check = world.store.put = {};
  world.executor->Advance(std::chrono::seconds(10));
  REQUIRE(world.store.rows.size() == 1);
  CHECK(world.store.rows[0].post_id == world.result->post_id);
  CHECK(world.store.rows[0].content == world.result->content);
  CHECK(world.spool->status().totals.ready == 0);
}

TEST_CASE("a store that does not answer is away after a quarter of a post's time, or 5 s") {
  for (const auto& [deadline_ms, limit_ms] : {std::pair(2000, 500), std::pair(60000, 5000)}) {
    SpoolWorld world;
    world.request.deadline_ms = deadline_ms;
    world.store.hold_check = true;
    const TimePoint began = world.executor->Now();
    world.Start();
    CHECK(world.store.check_deadline == began + milliseconds(limit_ms));
    world.executor->Advance(milliseconds(limit_ms));
    world.store.held.at(0)(SpoolWorld::Away());
    world.executor->RunReady();
    world.AnswerAll();
    REQUIRE(world.ends == 1);
    CHECK(world.result->stored == Stored::kSpooled);
  }
}

TEST_CASE("a store that needs mending is no case for the spool: nothing is paid") {
  SpoolWorld world;
  world.store.check = Error(Code::kStore, "a table is missing; run: postgen migrate");
  world.Start();
  world.executor->RunReady();
  CHECK(world.client.calls.empty());
  CHECK(world.result->error->code == Code::kStore);
}

TEST_CASE("a store that is away and a spool that is full: busy, nothing is paid") {
  SpoolWorld world;
  world.store.check = SpoolWorld::Away();
  PostRow row;
  row.post_id = "large";
  row.content = std::string(2 << 20, 'x');
  world.spool->Keep(row, SpoolState::kOpen, TimePoint::max(), [](Status) {});
  world.executor->RunReady();
  world.Start();
  world.executor->RunReady();
  CHECK(world.client.calls.empty());
  CHECK(world.result->error->code == Code::kBusy);
}

TEST_CASE("a version is durable before anyone hears of it") {
  SpoolWorld world;
  world.store.hold_put = true;
  world.Start();
  world.client.Answer(2, Reply("先到。"));
  CHECK(world.recorder->Count(Event::Type::kVersionDone) == 0);
  world.executor->RunReady();
  CHECK(world.recorder->Count(Event::Type::kVersionDone) == 1);
  CHECK(world.spool->status().totals.open == 1);

  SUBCASE("and what was not finished is no part of it when it is moved") {
    world.client.Answer(0, Reply("再到。"));
    world.job->Cancel(Error(Code::kDeadline, "too late"));
    world.store.hold_put = false;
    world.executor->Advance(std::chrono::seconds(10));
    REQUIRE(world.store.rows.size() == 1);
    CHECK(world.store.rows[0].content == "再到。");
    const std::vector<VersionResult> others =
        ReadAlternativeVersions(*world.store.rows[0].alternative_versions);
    REQUIRE(others.size() == 1);
    CHECK(others[0].content == "先到。");
    CHECK(world.store.rows[0].alternative_versions->find("\"content\":\"\"") == std::string::npos);
  }
  SUBCASE("and forgotten when the row is there") {
    world.AnswerAll();
    world.store.held.at(0)({});
    world.executor->RunReady();
    CHECK(world.result->stored == Stored::kStored);
    CHECK(world.spool->status().totals.open == 0);
  }
  SUBCASE("and forgotten when the caller cancels") {
    world.job->Cancel(Error(Code::kCancelled, "cancelled"));
    world.executor->Advance(std::chrono::seconds(10));
    CHECK(world.spool->status().totals.open == 0);
    CHECK(world.store.rows.empty());
  }
  SUBCASE("but not with journal: post") {
    SpoolWorld other;
    other.parts->options.store.journal = Journal::kPost;
    other.Start();
    other.client.Answer(2, Reply("先到。"));
    CHECK(other.recorder->Count(Event::Type::kVersionDone) == 1);
    CHECK(other.spool->status().totals.open == 0);
  }
}

TEST_CASE("a journal that is late costs a warning, not the post") {
  SpoolWorld world;
  world.request.deadline_ms = 2000;
  world.Start();
  world.client.Answer(0, Reply("先到。"));
  world.executor->RunReady();
  std::optional<testing::LockedDatabase> locked(world.File());
  std::size_t ended = 5;
  bool late = false;
  SUBCASE("all texts are there early") {}
  SUBCASE("all texts are there just in time") { world.executor->Advance(milliseconds(1899)); }
  SUBCASE("some come too late") {
    late = true;
    ended = 3;
  }
  SUBCASE("those that come too late are filled in") {
    late = true;
    ended = 3;
    world.parts->options.llm.on_failure = OnFailure::kTemplate;
  }
  for (std::size_t i = 1; i < ended; ++i) world.client.Answer(i, Reply("後到。"));
  world.executor->Advance(seconds(2));
  REQUIRE(world.ends == 1);
  REQUIRE(world.result->ok());
  CHECK(world.result->stored == Stored::kStored);
  CHECK(world.result->deadline_hit == late);
  CHECK(world.recorder->Count(Event::Type::kVersionDone) == 5);
  CHECK(world.Warnings("could not be journaled") == 1);
  CHECK(world.result->timings.total_time_ms < 2000);
  locked.reset();
  world.executor->Advance(seconds(10));
  CHECK(world.spool->status().totals.posts() == 0);
  CHECK(world.store.rows.size() == 1);
  CHECK(world.executor->pending_timers() == 0);
}

TEST_CASE("a key is given back only where no row of its post can come") {
  SpoolWorld world;
  ScriptedLedger ledger;
  world.parts->ledger = &ledger;
  world.request.idempotency_key = "key";
  world.Start();
  Error end(Code::kDeadline, "too late");
  int released = 1;
  SUBCASE("nothing was written") {}
  SUBCASE("a journaled version becomes a row") {
    world.client.Answer(2, Reply("先到。"));
    released = 0;
  }
  SUBCASE("a journaled version that nobody wants") {
    world.client.Answer(2, Reply("先到。"));
    end = Error(Code::kCancelled, "cancelled");
  }
  world.executor->RunReady();
  world.job->Cancel(end);
  world.executor->Advance(seconds(10));
  CHECK(ledger.released == released);
  CHECK(ledger.finished == 0);
  CHECK(world.store.rows.size() == (released == 0 ? 1 : 0));
}

// A post whose key somebody holds until told.
struct KeyWorld : World {
  explicit KeyWorld(int deadline_ms) {
    parts->ledger = &ledger;
    ledger.hold = true;
    request.idempotency_key = "key";
    request.deadline_ms = deadline_ms;
    began = executor->Now();
    Start();
  }
  ~KeyWorld() { End(); }

  ScriptedLedger ledger;
  TimePoint began;
};

TEST_CASE("a store that hangs is told by its own code where there is a key, too") {
  for (const auto& [deadline_ms, limit_ms] : {std::pair(2000, 500), std::pair(60000, 5000)}) {
    KeyWorld taking(deadline_ms);
    CHECK(taking.ledger.claim_deadline == taking.began + milliseconds(limit_ms));
    taking.ledger.held.at(0)(SpoolWorld::Away());
    REQUIRE(taking.ends == 1);
    CHECK(taking.result->error->code == Code::kStore);

    KeyWorld reading(deadline_ms);
    reading.ledger.held.at(0)(ClaimAnswer{ClaimAnswer::State::kDone, "made before"});
    CHECK(reading.store.get_deadline == reading.began + milliseconds(limit_ms));
  }
}

TEST_CASE("who waits for another's post does so until its own deadline") {
  KeyWorld world(2000);
  world.ledger.held.at(0)(ClaimAnswer{ClaimAnswer::State::kRunning, "made elsewhere"});
  world.executor->Advance(milliseconds(1800));
  CHECK(world.ledger.held.size() == 2);
  CHECK(world.ledger.claim_deadline == world.began + milliseconds(2000));
  world.executor->Advance(milliseconds(200));
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->code == Code::kDeadline);
}

TEST_CASE("cancelled while its row is written: the reply says that the row may be there") {
  World world;
  world.store.hold_put = true;
  world.Start();
  world.client.AnswerAll();
  world.job->Cancel(Error(Code::kCancelled, "the caller cancelled the post"));
  CHECK(world.result->error->message.find("may or may not be there") != std::string::npos);
}

TEST_CASE("profiles: unknown, unreadable, stale") {
  World world;
  SUBCASE("unknown: the request's own fields, with a warning") {
    world.Start();
    world.client.AnswerAll();
    REQUIRE(world.result->warnings.size() == 1);
    CHECK(world.result->warnings[0].find("KOL 208 is not in kol_profiles") == 0);
  }
  SUBCASE("unknown and required: unknown_kol, nothing paid") {
    world.parts->options.require_kol = true;
    world.Start();
    CHECK(world.client.calls.empty());
    CHECK(world.result->error->code == Code::kUnknownKol);
  }
  SUBCASE("unreadable: a warning") {
    world.profiles.answer = Error(Code::kStore, "no such table");
    world.Start();
    world.client.AnswerAll();
    CHECK(world.result->ok());
    CHECK(world.result->warnings.at(0).find("could not be read") != std::string::npos);
  }
  SUBCASE("unreadable and required: store, nothing paid") {
    world.parts->options.require_kol = true;
    world.profiles.answer = Error(Code::kStore, "no such table");
    world.Start();
    CHECK(world.client.calls.empty());
    CHECK(world.result->error->code == Code::kStore);
  }
  SUBCASE("stale: the last known one, with a warning; its model is used") {
    KolProfile kol;
    kol.serial = "208";
    kol.model_id = "gpt-4o";
    world.profiles.answer = FoundProfile{kol, true};
    world.Start();
    CHECK(world.client.calls.at(0).request.model == "gpt-4o");
    world.client.AnswerAll();
    CHECK(world.result->warnings.at(0).find("last known") != std::string::npos);
  }
}

TEST_CASE("failed versions are reported; the post lives while one is good") {
  World world;
  world.Start();
  for (const std::size_t i : {0U, 1U, 2U, 4U}) world.client.Answer(i, FailedReply(Code::kUpstream));
  world.client.Answer(3, Reply("唯一。"));
  REQUIRE(world.result->ok());
  CHECK(world.result->chosen == 4);
  CHECK(world.result->versions.at(0).error->code == Code::kUpstream);
  CHECK(!world.store.rows.at(0).alternative_versions.has_value());  // NULL, not []
}

TEST_CASE("all versions failed: the post fails with the most telling code and writes no row") {
  World world;
  world.Start();
  for (const std::size_t i : {0U, 1U, 2U, 3U}) world.client.Answer(i, FailedReply(Code::kUpstream));
  world.client.Answer(4, FailedReply(Code::kAuth));
  REQUIRE(!world.result->ok());
  CHECK(world.result->error->code == Code::kAuth);
  CHECK(world.store.rows.empty());
  CHECK(world.recorder->events.back().type == Event::Type::kError);
}

TEST_CASE("template text only where it was asked for, and marked") {
  World world;
  SUBCASE("not asked for") {
    world.Start();
    for (std::size_t i = 0; i < 5; ++i) world.client.Answer(i, FailedReply(Code::kUpstream));
    CHECK(!world.result->ok());
  }
  SUBCASE("asked for") {
    world.parts->options.llm.on_failure = OnFailure::kTemplate;
    world.Start();
    for (const std::size_t i : {0U, 1U, 2U, 3U})
      world.client.Answer(i, FailedReply(Code::kUpstream));
    world.client.Answer(4, Reply("真的。"));
    REQUIRE(world.result->ok());
    CHECK(world.result->versions.at(0).source == Source::kTemplate);
    CHECK(world.result->versions.at(4).source == Source::kLlm);
    CHECK(world.result->chosen == 5);           // a model's text goes before templates
    CHECK(world.result->warnings.size() == 5);  // the unknown KOL and four versions
  }
}

TEST_CASE("at the deadline the finished versions make the post; late ones are cut off") {
  World world;
  world.request.deadline_ms = 2000;
  world.Start();
  world.client.Answer(1, Reply("準時。"));
  world.executor->Advance(milliseconds(1899));
  CHECK(world.ends == 0);
  CHECK(!world.client.calls.at(0).cancel.stop_requested());
  world.executor->Advance(milliseconds(101));
  REQUIRE(world.ends == 1);
  REQUIRE(world.result->ok());
  CHECK(world.result->deadline_hit);
  CHECK(world.result->chosen == 2);
  CHECK(world.result->versions.at(0).error->code == Code::kDeadline);
  CHECK(world.client.calls.at(0).cancel.stop_requested());
  world.client.Answer(0, Reply("太晚。"));  // harmless
  world.client.Answer(1, Reply("又一次。"));
  CHECK(world.ends == 1);
  REQUIRE(world.store.rows.size() == 1);
  CHECK(world.store.rows[0].content == "準時。");
  CHECK(!world.store.rows[0].alternative_versions.has_value());  // there is no other
}

TEST_CASE("a call that is answered twice is one version of one row") {
  SpoolWorld world;
  world.store.hold_put = true;
  world.Start();
  world.client.Answer(0, Reply("先到。"));
  world.client.Answer(0, Reply("後到。"));
  world.AnswerAll();
  world.client.Answer(0, Reply("更晚。"));
  world.store.held.at(0)({});
  world.executor->RunReady();
  REQUIRE(world.ends == 1);
  CHECK(world.store.rows.size() == 1);
  CHECK(world.result->versions.size() == 5);
  CHECK(world.result->versions.at(0).content == "先到。");
}

TEST_CASE("at the deadline a client's own report of its call goes before ours") {
  World world;
  world.request.deadline_ms = 2000;
  world.Start();
  LlmReply late = FailedReply(Code::kDeadline);
  late.attempts = 3;
  world.executor->RunAt(world.client.calls.at(0).request.deadline,
                        [&] { world.client.Answer(0, late); });
  world.executor->Advance(seconds(2));
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->code == Code::kDeadline);
  CHECK(world.result->versions.at(0).attempts == 3);
  CHECK(world.result->deadline_hit);
}

TEST_CASE("late versions are filled with template text where that was asked for") {
  World world;
  world.request.deadline_ms = 2000;
  world.parts->options.llm.on_failure = OnFailure::kTemplate;
  world.Start();
  world.executor->Advance(seconds(2));
  REQUIRE(world.ends == 1);
  REQUIRE(world.result->ok());
  CHECK(world.result->deadline_hit);
  CHECK(world.result->stored == Stored::kStored);
  for (const VersionResult& version : world.result->versions) {
    CHECK(version.source == Source::kTemplate);
  }
}

TEST_CASE("no part that never answers holds a post beyond its deadline") {
  World world;
  world.request.deadline_ms = 3000;
  SUBCASE("model") {}
  SUBCASE("store check") { world.store.hold_check = true; }
  SUBCASE("store write") { world.store.hold_put = true; }
  SUBCASE("cache") { world.cache.hold = true; }
  world.Start();
  if (world.store.hold_put) world.client.AnswerAll();
  world.executor->Advance(seconds(3));
  REQUIRE(world.ends == 1);
  CHECK(!world.result->ok());
  CHECK(world.result->deadline_hit);
  CHECK(world.result->timings.total_time_ms <= 3000);
  if (world.store.hold_put) CHECK(world.result->versions.at(0).content == "第0段。");
}

TEST_CASE("a cache that does not answer costs 20 ms; its late answer is ignored") {
  World world;
  world.cache.hold = true;
  world.Start();
  CHECK(world.client.calls.empty());
  world.executor->Advance(milliseconds(20));
  CHECK(world.client.calls.size() == 5);
  for (const auto& late : world.cache.held) late(nullptr);
  CHECK(world.client.calls.size() == 5);
}

TEST_CASE("cache: five texts kept and found again; refresh and bypass") {
  World world;
  world.Start();
  world.client.AnswerAll();
  CHECK(world.cache.values.size() == 5);

  SUBCASE("use: no call, no cost") {
    world.Start();
    CHECK(world.client.calls.size() == 5);
    REQUIRE(world.ends == 2);
    CHECK(world.result->from_cache);
    REQUIRE(world.result->cost_usd.has_value());
    CHECK(*world.result->cost_usd == 0.0);
    CHECK(world.result->usage.prompt_tokens == 0);
    CHECK(world.result->versions.at(3).content == "第3段。");
    CHECK(world.store.rows.size() == 2);
    CHECK(world.store.rows[0].post_id != world.store.rows[1].post_id);
  }
  SUBCASE("refresh calls again and keeps the new texts") {
    world.request.cache = CacheMode::kRefresh;
    const auto before = world.cache.values;
    world.Start();
    REQUIRE(world.client.calls.size() == 10);
    for (std::size_t i = 5; i < 10; ++i) world.client.Answer(i, Reply("新的。"));
    CHECK(world.cache.values != before);
  }
  SUBCASE("bypass calls again and keeps nothing") {
    world.request.cache = CacheMode::kBypass;
    const auto before = world.cache.values;
    world.Start();
    REQUIRE(world.client.calls.size() == 10);
    for (std::size_t i = 5; i < 10; ++i) world.client.Answer(i, Reply("新的。"));
    CHECK(world.cache.values == before);
  }
  SUBCASE("another tenant sees nothing of it") {
    world.request.tenant = "other";
    world.Start();
    CHECK(world.client.calls.size() == 10);
  }
  SUBCASE("a damaged entry is a miss and is removed") {
    for (auto& [key, value] : world.cache.values) value.back() ^= 1;
    world.Start();
    CHECK(world.client.calls.size() == 10);
    CHECK(world.cache.values.empty());
  }
}

TEST_CASE("cached texts take turns: a KOL's last ones are not chosen again") {
  World world;
  world.Start();
  world.client.AnswerAll();
  const auto ask_again = [&world](int times) {
    std::vector<std::string> texts;
    for (int i = 0; i < times; ++i) {
      world.Start();
      texts.push_back(world.result->content);
    }
    return texts;
  };
  SUBCASE("each is chosen once before one is chosen again, in the same order") {
    std::vector<std::string> texts = {world.result->content};
    for (const std::string& text : ask_again(9)) texts.push_back(text);
    CHECK(std::set<std::string>(texts.begin(), texts.begin() + 5).size() == 5);
    CHECK(std::equal(texts.begin(), texts.begin() + 5, texts.begin() + 5));
    CHECK(world.store.rows.size() == 10);  // a row each
  }
  SUBCASE("a seed chooses the same each time") {
    world.request.seed = 7;
    const std::vector<std::string> texts = ask_again(4);
    CHECK(std::set<std::string>(texts.begin(), texts.end()).size() == 1);
  }
  SUBCASE("another KOL's choices do not count") {
    world.recent.Add("", 999, world.result->content);
    CHECK(world.recent.LastChosen("", 208, world.result->content) == 1);
  }
  CHECK(world.client.calls.size() == 5);
}

TEST_CASE("posts that share their calls: each its own row, and they take turns") {
  World world;
  std::vector<std::shared_ptr<PostJob>> jobs;
  for (int i = 0; i < 5; ++i) jobs.push_back(world.Start());
  CHECK(world.client.calls.size() == 5);
  jobs[0]->Cancel(Error(Code::kCancelled, "cancelled"));
  CHECK_FALSE(world.client.calls.at(0).cancel.stop_requested());
  world.client.AnswerAll();
  CHECK(world.ends == 5);
  REQUIRE(world.store.rows.size() == 4);
  std::set<std::string> ids;
  std::set<std::string> texts;
  for (const PostRow& row : world.store.rows) {
    ids.insert(row.post_id);
    texts.insert(row.content);
  }
  CHECK(ids.size() == 4);
  CHECK(texts.size() == 4);
  // The last of them paid for nothing.
  CHECK(world.result->from_cache);
  CHECK(*world.result->cost_usd == 0.0);
  CHECK(world.result->usage.prompt_tokens == 0);
}

TEST_CASE("a text from the cache comes as a stream to those who take one") {
  World world;
  world.request.versions = 1;
  world.Start();
  std::string content;
  for (int i = 0; i < 100; ++i) content += "第" + std::to_string(i) + "句很長。";
  world.client.Answer(0, Reply(content));
  world.Start(/*stream=*/true);
  REQUIRE(world.result->from_cache);
  std::string heard;
  int deltas = 0;
  for (const RecordedEvent& event : world.recorder->events) {
    if (event.type != Event::Type::kDelta || event.part != Event::Part::kContent) continue;
    heard += event.text;
    ++deltas;
  }
  CHECK(deltas > 3);
  CHECK(content.rfind(heard, 0) == 0);
  CHECK(heard.size() >= world.result->content.size());
}

TEST_CASE("template texts are never cached: they would come back unmarked") {
  World world;
  world.llm = world.template_writer.get();
  world.Start();
  REQUIRE(world.result->ok());
  CHECK(world.cache.values.empty());
}

TEST_CASE("a stand-in's text: its own model, price and provider, and no cache entry") {
  for (const bool stand_in : {true, false}) {
    CAPTURE(stand_in);
    World world;
    world.request.versions = 1;
    world.parts->options.llm.prices = {{"gpt-4o-mini", {1, 1, 1}}, {"second", {20000, 0, 0}}};
    world.Start();
    LlmReply reply = Reply("好的。");
    if (stand_in) reply.asked_model = "second";
    reply.provider = "b.test";
    world.client.Answer(0, reply);
    REQUIRE(world.result->ok());
    CHECK(world.result->provider == "b.test");
    CHECK(world.result->model == "gpt-4o-mini");  // asked for
    CHECK(world.result->versions[0].model == (stand_in ? "second" : "gpt-4o-mini"));
    CHECK(*world.result->cost_usd == doctest::Approx(stand_in ? 2.0 : 0.00015));
    CHECK(world.cache.values.empty() == stand_in);
  }
}

TEST_CASE("cut and failed replies are never cached") {
  World world;
  world.Start();
  LlmReply cut = Reply("半句");
  cut.finish_reason = {FinishReason::Kind::kLength, "length"};
  world.client.Answer(0, cut);
  world.client.Answer(1, FailedReply(Code::kTruncated));
  LlmReply empty = Reply("");
  empty.text = "標題：只有標題";
  world.client.Answer(2, empty);
  world.client.Answer(3, Reply("好的。"));
  world.client.Answer(4, Reply("也好。"));
  CHECK(world.cache.values.size() == 2);
}

TEST_CASE("cancel: the calls are cancelled, the post ends once, nothing is stored") {
  World world;
  const auto job = world.Start();
  world.client.Answer(0, Reply("完成的。"));
  job->Cancel(Error(Code::kCancelled, "cancelled"));
  REQUIRE(world.ends == 1);
  CHECK(world.result->error->code == Code::kCancelled);
  CHECK(world.result->versions.at(0).content == "完成的。");
  CHECK(world.client.calls.at(1).cancel.stop_requested());
  CHECK(world.store.rows.empty());
  job->Cancel(Error(Code::kCancelled, "again"));
  world.client.Answer(1, Reply("太晚。"));
  CHECK(world.ends == 1);
  CHECK(world.executor->pending_timers() == 0);
}

TEST_CASE("draft: one call first, whose text the versions see") {
  World world;
  world.request.draft = true;
  world.Start();
  REQUIRE(world.client.calls.size() == 1);
  SUBCASE("good") {
    world.client.Answer(0, Reply("草稿獨有的句子。"));
    REQUIRE(world.client.calls.size() == 6);
    bool seen = false;
    for (const Message& message : world.client.calls.at(1).request.messages) {
      seen = seen || message.content.find("草稿獨有的句子") != std::string::npos;
    }
    CHECK(seen);
    for (std::size_t i = 1; i < 6; ++i) world.client.Answer(i, Reply("版本。"));
    CHECK(world.result->usage.prompt_tokens == 600);  // the draft is on the bill
  }
  SUBCASE("refused for a reason that the versions share: they are not tried") {
    world.client.Answer(0, FailedReply(Code::kQuota));
    CHECK(world.client.calls.size() == 1);
    CHECK(world.result->error->code == Code::kQuota);
  }
  SUBCASE("failed: the versions are written without it, with a warning") {
    world.client.Answer(0, FailedReply(Code::kUpstream));
    REQUIRE(world.client.calls.size() == 6);
    for (std::size_t i = 1; i < 6; ++i) world.client.Answer(i, Reply("版本。"));
    REQUIRE(world.result->ok());
    CHECK(world.result->warnings.back().find("draft failed") != std::string::npos);
  }
}

TEST_CASE("manual text is stored as it is, without a call") {
  World world;
  world.request.title = "我的標題";
  world.request.content = "我的內容";
  world.Start();
  CHECK(world.client.calls.empty());
  REQUIRE(world.result->ok());
  CHECK(world.result->versions.at(0).source == Source::kManual);
  CHECK(world.store.rows.at(0).content == "我的內容");
  CHECK(!world.store.rows.at(0).alternative_versions.has_value());
}

TEST_CASE("each version has a flow of its own; a turn's deltas are one burst") {
  World world;
  world.request.versions = 2;
  world.Start(/*stream=*/true);
  REQUIRE(world.client.calls.size() == 2);
  for (HeldClient::Held& call : world.client.calls) {
    call.sink.on_text("標題：題\n內容：一段");
    call.sink.on_text("話很長很長。");
  }
  CHECK(world.recorder->bursts == 0);
  world.executor->RunReady();
  CHECK(world.recorder->bursts == 1);
  CHECK(world.recorder->flows.at(1) != world.recorder->flows.at(2));
  // A version that is held back holds its own call back, until it goes on.
  Flow& first = *world.client.calls[0].request.flow;
  int resumed = 0;
  first.SetOnResume([&resumed] { ++resumed; });
  world.recorder->flows.at(1)->Pause();
  for (HeldClient::Held& call : world.client.calls) call.sink.on_text("又一段。");
  CHECK(first.paused());
  CHECK_FALSE(world.client.calls[1].request.flow->paused());
  world.recorder->flows.at(1)->Resume();
  CHECK_FALSE(first.paused());
  CHECK(resumed == 1);
  world.executor->RunReady();
  CHECK(world.recorder->bursts == 2);
  world.client.calls[0].sink.on_text("還有。");
  world.executor->RunReady();
  CHECK(world.recorder->bursts == 3);
  world.client.AnswerAll();
  world.executor->RunReady();
  CHECK(world.ends == 1);
}

TEST_CASE("events: started, deltas, done for each version, the post last") {
  World world;
  world.Start(/*stream=*/true);
  CHECK(world.recorder->Count(Event::Type::kVersionStarted) == 5);
  CHECK(world.client.calls.at(0).request.stream);
  world.client.calls.at(0).sink.on_text("標題：串流\n內容：第一句。");
  world.client.calls.at(0).sink.on_text("第二句。");
  LlmReply streamed = Reply("第一句。第二句。");
  streamed.text = "標題：串流\n內容：第一句。第二句。";
  world.client.Answer(0, streamed);
  for (std::size_t i = 1; i < 5; ++i) world.client.Answer(i, Reply("整段。"));  // nothing streamed

  std::map<int, std::string> titles;
  std::map<int, std::string> contents;
  for (const RecordedEvent& event : world.recorder->events) {
    if (event.type != Event::Type::kDelta) continue;
    (event.part == Event::Part::kTitle ? titles : contents)[event.version_number] += event.text;
  }
  CHECK(titles[1] == "串流");
  CHECK(contents[1] == "第一句。第二句。");
  CHECK(contents[2] == "整段。");
  CHECK(world.recorder->Count(Event::Type::kVersionDone) == 5);
  CHECK(world.recorder->Count(Event::Type::kPost) == 1);
  CHECK(world.recorder->events.back().type == Event::Type::kPost);
}

TEST_CASE("restarts: deltas are taken back and written anew, only where the caller allows it") {
  for (const bool restarts : {true, false}) {
    CAPTURE(restarts);
    World world;
    world.request.versions = 1;
    const auto job = world.Start(/*stream=*/true, restarts);
    world.executor->RunReady();
    const LlmSink& sink = world.client.calls.at(0).sink;
    CHECK((sink.on_reset != nullptr) == restarts);
    sink.on_text("標題：題\n內容：一");
    if (restarts) {
      sink.on_reset();
      sink.on_reset();  // there is nothing left to take back
      sink.on_text("標題：題\n內容：二");
    }
    LlmReply reply = Reply(restarts ? "二" : "一");
    world.client.Answer(0, std::move(reply));
    std::string content;
    for (const RecordedEvent& event : world.recorder->events) {
      if (event.type == Event::Type::kVersionReset) content.clear();
      if (event.part == Event::Part::kContent) content += event.text;
    }
    CHECK(world.recorder->Count(Event::Type::kVersionReset) == (restarts ? 1 : 0));
    CHECK(content == world.result->content);
  }
}

TEST_CASE("a cost that leaves one call out is no cost") {
  World world;
  world.Start();
  world.client.Answer(0, FailedReply(Code::kConnect));  // never had a chance to cost anything
  for (std::size_t i = 1; i < 4; ++i) world.client.Answer(i, Reply("一。"));
  LlmReply last = Reply("二。");
  SUBCASE("all known") {
    world.client.Answer(4, last);
    CHECK(world.result->cost_usd.has_value());
  }
  SUBCASE("one unknown") {
    last.usage_kind = UsageKind::kUnknown;
    world.client.Answer(4, last);
    CHECK_FALSE(world.result->cost_usd.has_value());
  }
  SUBCASE("one that may have been billed") {
    world.client.Answer(4, FailedReply(Code::kTimeoutIdle));
    CHECK_FALSE(world.result->cost_usd.has_value());
  }
  REQUIRE(world.result->ok());
}

TEST_CASE("the provider's connection is made beside look-ups that take their time") {
  World world;
  SUBCASE("at once") {
    world.Start();
    CHECK(world.client.prewarmed == 0);
  }
  SUBCASE("a store that takes its time") {
    world.store.hold_check = true;
    world.Start();
    CHECK(world.client.calls.empty());
    CHECK(world.client.prewarmed == 1);
  }
  SUBCASE("a text that was given") {
    world.store.hold_check = true;
    world.request.content = "一。";
    world.request.title = "盤勢";
    world.request.posting_type = "manual";
    world.Start();
    CHECK(world.client.prewarmed == 0);
  }
}

TEST_CASE("the post gives its place back before its last event") {
  World world;
  world.on_ending = [&world] { CHECK(world.recorder->Count(Event::Type::kPost) == 0); };
  world.Start();
  world.client.AnswerAll();
  CHECK(world.endings == 1);
  CHECK(world.recorder->Count(Event::Type::kPost) == 1);
}

TEST_CASE("the same seed chooses the same version") {
  std::vector<int> chosen;
  for (int run = 0; run < 3; ++run) {
    World world;
    world.rng.seed(static_cast<unsigned>(run));  // the generator's own engine must not matter
    world.request.seed = 99;
    world.Start();
    world.client.AnswerAll();
    chosen.push_back(world.result->chosen);
  }
  CHECK(chosen[0] == chosen[1]);
  CHECK(chosen[1] == chosen[2]);
}

}  // namespace
}  // namespace postgen
