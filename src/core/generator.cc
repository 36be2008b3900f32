// PostGenerator: owns the threads and the parts, lets posts in, and sees them out.

#include "postgen/generator.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <future>
#include <unordered_map>
#include <utility>

#include "cache/cache_key.h"
#include "cache/cached_calls.h"
#include "cache/redis_cache.h"
#include "core/call_state.h"
#include "core/metrics.h"
#include "core/post_job.h"
#include "digest/sha256.h"
#include "limits/process_roll.h"
#include "limits/redis_limits.h"
#include "limits/redis_spending.h"
#include "limits/spending_budget.h"
#include "llm/clients.h"
#include "postgen/json.h"
#include "prompt/prompt_builder.h"
#include "redis/redis_client.h"
#include "runtime/event_loop.h"
#include "runtime/mutex.h"
#include "runtime/random.h"
#include "store/stores.h"
#include "version/reply_text.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

void Wipe(std::string* secret) {
  explicit_bzero(secret->data(), secret->size());
  secret->clear();
}

Error ForkedError() {
  return {Code::kForked, "this generator was made in another process; make a new one after fork()"};
}

Error ReentrantError() {
  return {Code::kReentrant, "not allowed on the generator's own thread (in an observer)"};
}

Error GeneratorClosedError() { return {Code::kCancelled, "the generator was closed"}; }

Error LateError(std::string_view what) {
  return {Code::kStore, std::string(what) + " did not answer in time"};
}

Error NoSpoolError(const std::string& why) {
  return {Code::kInvalidConfig, "there is no spool: " + why, "store.spool"};
}

std::shared_ptr<const PostResult> RefusedResult(const PostRequest& request, Error error) {
  auto result = std::make_shared<PostResult>();
  result->error = std::move(error);
  result->stock_code = request.stock_code;
  result->stock_name = request.stock_name;
  result->kol_serial = request.kol_serial.value_or(0);
  result->kol_persona = request.kol_persona;
  result->timestamp = std::chrono::system_clock::now();
  result->warnings = request.warnings;
  return result;
}

void EmitRefused(Observer* observer, std::uint64_t call_id,
                 const std::shared_ptr<const PostResult>& result) {
  Event event;
  event.type = Event::Type::kError;
  event.call_id = call_id;
  event.result = result;
  observer->OnEvent(event);
}

// The answer to come of `start(callback)`, which is called at once.
template <typename T>
class Answer {
 public:
  template <typename Start>
  explicit Answer(Start start) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    answer_ = promise->get_future();
    start([promise](Result<T> result) { promise->set_value(std::move(result)); });
  }

  // Once.
  Result<T> Wait(Duration timeout, std::string_view what) {
    if (answer_.wait_for(timeout) != std::future_status::ready) return LateError(what);
    return answer_.get();
  }

 private:
  std::future<Result<T>> answer_;
};

// What a generator's making waits for Redis at the most: a process that begins on a busy machine
// needs tens of milliseconds to connect, and posts that come before are written without it.
constexpr milliseconds kFirstConnection{500};

// Posts that come from the cache are often asked for one after the other: after one that was there
// so soon, the reactor stays awake for the next, which takes a fifth off its time
// (docs/architecture.md).
constexpr milliseconds kQuickPost{1};
constexpr std::chrono::microseconds kAwake{100};

// What a generator's end waits for the budget's ledger at the most.
constexpr milliseconds kLastSettlements{1000};

// A wait that can be added to a time.
milliseconds Bounded(milliseconds wait) {
  return std::clamp<milliseconds>(wait, milliseconds(0), kLongestWait);
}

// The client for the option `field`, whose URL becomes one without a password, which nobody reads
// again; null: the URL is not Redis's.
Result<std::unique_ptr<RedisClient>> ConnectRedis(std::string* url, const std::string& field) {
  if (url->rfind("redis:", 0) != 0) return std::unique_ptr<RedisClient>();
  Result<RedisTarget> target = ParseRedisUrl(*url, field);
  if (!target.ok()) return target.error();
  auto redis = std::make_unique<RedisClient>(*std::move(target));
  *url = "redis://" + redis->shown();
  return redis;
}

// What doctor writes for a second, as posts do: a Redis that takes no writes (it is full, a
// replica, or this user may only read) answers everything else.
std::vector<std::string> TryCache() { return {"SET", "postgen:text:doctor", "1", "PX", "1000"}; }
std::vector<std::string> TryShared() {
  return {"EVAL",
          "redis.call('HSET', KEYS[1], 'doctor', 1) return redis.call('PEXPIRE', KEYS[1], 1000)",
          "1", "postgen:limit:{doctor}"};
}

// Does Redis take this write? Else why not.
Status TryWrite(RedisClient* redis, std::vector<std::string> write, TimePoint deadline,
                TimePoint now) {
  redis->WaitUntilTried(deadline);
  Answer<void> answer([&](const std::function<void(Status)>& done) {
    redis->Run(std::move(write), [redis, done](const RedisReply& reply) {
      if (reply.is_text() || reply.is_integer()) return done({});
      done(Error(Code::kInternal, redis->Trouble(reply)));
    });
  });
  return answer.Wait(deadline - now, "Redis");
}

// A fingerprint of the API keys: whose budget it is.
std::string KeyScope(const LlmOptions& llm) {
  constexpr std::size_t kDigits = 32;
  return HexDigest(Sha256(CacheScope({}, llm))).substr(0, kDigits);
}

std::shared_ptr<SpendingBudget> NewBudget(const Options& options, SpendingLedger* ledger,
                                          const ProcessRoll* roll,
                                          std::shared_ptr<Executor> executor) {
  SpendingBudget::Parts parts;
  parts.ledger = ledger;
  parts.scope = KeyScope(options.llm);
  parts.limit = static_cast<std::int64_t>(*options.budget_usd_per_day * 1e6);
  parts.processes = [roll] { return roll == nullptr ? 1 : roll->count(); };
  parts.executor = std::move(executor);
  parts.wall_clock = [] { return std::chrono::system_clock::now(); };
  return std::make_shared<SpendingBudget>(std::move(parts));
}

// Of a spool that can be written.
Diagnosis DescribeSpool(const Spool& spool) {
  using Level = Diagnosis::Level;
  const SpoolStatus status = spool.status();
  std::string counts = std::to_string(status.totals.ready) + " posts wait, " +
                       std::to_string(status.totals.refused) + " were refused by the store, in " +
                       spool.folder();
  // Such as those that were left when the store was renamed.
  if (status.of_other_stores == 1) counts += "; 1 other spool here belongs to another store";
  if (status.of_other_stores > 1) {
    counts +=
        "; " + std::to_string(status.of_other_stores) + " other spools here belong to other stores";
  }
  if (status.of_others_at_work > 0) {
    counts += "; " + std::to_string(status.of_others_at_work) +
              " more held by others who are at work and move their posts themselves";
  }
  if (status.totals.refused > 0) {
    return {"spool", Level::kWarning, counts + "; see: postgen spool list"};
  }
  if (!status.trouble.empty()) return {"spool", Level::kWarning, counts + "; " + status.trouble};
  return {"spool", Level::kOk, counts};
}

class GeneratorImpl final : public PostGenerator {
 public:
  static Result<std::unique_ptr<PostGenerator>> Make(Options options, Parts parts);
  ~GeneratorImpl() override;

  Result<PostResult> Generate(PostRequest request) override;
  std::shared_ptr<Call> Start(PostRequest request, std::shared_ptr<Observer> observer, bool stream,
                              bool restarts) override;
  Status Close(milliseconds drain) override;
  std::string MetricsJson() const override;
  std::vector<Diagnosis> Diagnose(milliseconds timeout) override;
  void RefreshProfiles() override;
  Result<std::vector<SpooledPostInfo>> ListSpool(milliseconds timeout) override;
  Status FlushSpool(milliseconds timeout) override;
  Result<std::vector<std::string>> Migrate(milliseconds timeout) override;

 private:
  // In the order of construction; destroyed from the bottom up, after both threads have stopped.
  struct Engine {
    Metrics metrics;
    Rng rng{RandomSeed()};
    RecentChoices recent;
    std::unique_ptr<EventLoop> store_thread;
    std::shared_ptr<EventLoop> reactor;
    std::unique_ptr<PromptBuilder> prompts;
    std::unique_ptr<RedisClient> redis;        // of the cache; null: none
    std::unique_ptr<RedisClient> shared;       // of shared.url; null: none
    std::unique_ptr<ProcessRoll> roll;         // beside `shared`
    std::unique_ptr<SpendingLedger> spending;  // beside `shared`
    std::unique_ptr<SharedLimits> limits;      // beside `shared`
    std::shared_ptr<ResponseCache> memory;     // null: none
    std::shared_ptr<ResponseCache> cache;      // null: none; the memory, or what it is in front of
    std::unique_ptr<FlightLock> lock;          // null: none
    Stores stores;
    std::shared_ptr<SpendingBudget> budget;  // null: none
    std::unique_ptr<LlmClient> template_writer;
    std::unique_ptr<LlmClient> llm;
    std::unique_ptr<CachedCalls> calls;
    std::shared_ptr<const PostParts> parts;

    // On the reactor thread only.
    std::unordered_map<std::uint64_t, std::shared_ptr<PostJob>> jobs;
    bool ending =
        false;  // Close() has cancelled the jobs; one that was let in before comes too late

    Mutex mutex;
    CondVar changed;
    std::size_t places ABSL_GUARDED_BY(mutex) = 0;   // taken, of max_pending_posts
    std::size_t pending ABSL_GUARDED_BY(mutex) = 0;  // posts whose last event is to come, or coming
    bool closed ABSL_GUARDED_BY(mutex) = false;
  };

  explicit GeneratorImpl(std::unique_ptr<Engine> engine)
      : engine_(std::move(engine)), owner_pid_(getpid()) {}

  static Status OpenCache(Options* options, std::unique_ptr<ResponseCache> given, Engine* engine);
  static std::unique_ptr<CachedCalls> NewCalls(const Options& options, const Engine& engine);
  bool forked() const { return getpid() != owner_pid_; }
  Diagnosis DiagnoseCache(TimePoint deadline);
  Diagnosis DiagnoseShared(TimePoint deadline);
  Diagnosis DiagnoseBudget(TimePoint deadline);
  // Room for one more post, or why not.
  Status Admit(const PostRequest& request);
  std::shared_ptr<Call> Refuse(const PostRequest& request,
                               const std::shared_ptr<Observer>& observer, Error error);

  std::unique_ptr<Engine> engine_;
  const pid_t owner_pid_;
};

Result<std::unique_ptr<PostGenerator>> GeneratorImpl::Make(Options options, Parts parts) {
  if (Status valid = ValidateOptions(&options); !valid.ok()) return valid.error();
  auto engine = std::make_unique<Engine>();

  Result<std::unique_ptr<PromptBuilder>> prompts = PromptBuilder::Create(options.prompts);
  if (!prompts.ok()) return prompts.error();
  engine->prompts = *std::move(prompts);

  engine->store_thread = std::make_unique<EventLoop>("postgen-store");
  if (const Status& running = engine->store_thread->status(); !running.ok()) return running.error();
  Result<Stores> stores = OpenStores(options.store, options.profiles, engine->store_thread.get());
  if (!stores.ok()) return stores.error();
  engine->stores = *std::move(stores);
  if (parts.store != nullptr) {
    // These belong to the store that the options name.
    engine->stores.spool.reset();
    engine->stores.no_spool.clear();
    engine->stores.ledger.reset();
    engine->stores.spending.reset();
    engine->stores.posts = std::move(parts.store);
  }
  if (engine->stores.spool != nullptr) engine->stores.spool->Start();
  if (parts.profiles != nullptr) engine->stores.profiles = std::move(parts.profiles);
  if (options.require_kol && engine->stores.profiles == nullptr) {
    return Error(Code::kInvalidConfig,
                 "require_kol needs somewhere to look KOLs up: set profiles.url or store.url",
                 "require_kol");
  }

  engine->reactor = std::make_shared<EventLoop>("postgen-reactor");
  if (const Status& running = engine->reactor->status(); !running.ok()) return running.error();
  Result<std::unique_ptr<RedisClient>> shared_redis =
      ConnectRedis(&options.shared.url, "shared.url");
  if (!shared_redis.ok()) return shared_redis.error();
  if (engine->shared = *std::move(shared_redis); engine->shared) {
    engine->shared->WaitUntilTried(engine->reactor->Now() + kFirstConnection);
    engine->roll =
        std::make_unique<ProcessRoll>(engine->shared.get(), KeyScope(options.llm), engine->reactor);
    engine->limits = NewRedisLimits(engine->shared.get(), engine->roll.get(), engine->reactor);
    engine->spending = NewRedisSpending(engine->shared.get());
  }
  if (options.budget_usd_per_day) {
    SpendingLedger* const ledger =
        engine->spending ? engine->spending.get() : engine->stores.spending.get();
    if (ledger == nullptr) {
      return Error(Code::kInvalidConfig,
                   "budget_usd_per_day needs somewhere that lasts to add up what was spent: set "
                   "shared.url, or store.url to PostgreSQL or SQLite",
                   "budget_usd_per_day");
    }
    engine->budget = NewBudget(options, ledger, engine->roll.get(), engine->reactor);
  }
  engine->template_writer = NewTemplateClient();
  if (parts.llm != nullptr) {
    engine->llm = std::move(parts.llm);
  } else if (options.llm.provider == "template") {
    engine->llm = NewTemplateClient();
  } else {
    Result<std::unique_ptr<LlmClient>> llm =
        NewOpenAiClient(options.llm, engine->reactor.get(), engine->limits.get());
    if (!llm.ok()) return llm.error();
    engine->llm = *std::move(llm);
  }
  if (Status opened = OpenCache(&options, std::move(parts.cache), engine.get()); !opened.ok()) {
    return opened.error();
  }
  engine->calls = NewCalls(options, *engine);

  auto shared = std::make_shared<PostParts>();
  shared->options = std::move(options);
  shared->executor = engine->reactor;
  shared->provider = engine->llm->provider();
  shared->llm = engine->llm.get();
  shared->calls = engine->calls.get();
  shared->template_writer = engine->template_writer.get();
  shared->store = engine->stores.posts.get();
  shared->spool = engine->stores.spool.get();
  shared->no_spool = engine->stores.no_spool;
  shared->ledger = engine->stores.ledger.get();
  shared->profiles = engine->stores.profiles.get();
  shared->prompts = engine->prompts.get();
  // The offline writer costs nothing.
  if (shared->options.llm.provider != "template") shared->budget = engine->budget;
  shared->metrics = &engine->metrics;
  shared->recent = &engine->recent;
  shared->rng = &engine->rng;
  // Posts do not read the keys, so they are not kept twice.
  Wipe(&shared->options.llm.api_key);
  for (LlmEndpoint& endpoint : shared->options.llm.endpoints) Wipe(&endpoint.api_key);
  shared->options.llm.endpoints.clear();
  engine->parts = std::move(shared);
  // So that the first post of a short-lived process finds it.
  if (engine->redis) engine->redis->WaitUntilTried(engine->reactor->Now() + kFirstConnection);
  return std::unique_ptr<PostGenerator>(new GeneratorImpl(std::move(engine)));
}

Status GeneratorImpl::OpenCache(Options* options, std::unique_ptr<ResponseCache> given,
                                Engine* engine) {
  if (given != nullptr || options->cache.url == "none:") {
    engine->cache = std::move(given);
    return {};
  }
  Result<std::unique_ptr<RedisClient>> redis = ConnectRedis(&options->cache.url, "cache.url");
  if (!redis.ok()) return redis.error();
  engine->memory = NewMemoryCache(static_cast<std::size_t>(options->cache.max_bytes));
  engine->cache = engine->memory;
  engine->redis = *std::move(redis);
  // Those who share limits share calls in flight too, and so the texts.
  RedisClient* const common = engine->redis ? engine->redis.get() : engine->shared.get();
  if (common == nullptr) return {};
  engine->cache = NewRedisCache(common, engine->memory);
  engine->lock = std::make_unique<FlightLock>(common);
  return {};
}

std::unique_ptr<CachedCalls> GeneratorImpl::NewCalls(const Options& options, const Engine& engine) {
  CachedCalls::Parts parts;
  parts.executor = engine.reactor;
  parts.llm = engine.llm.get();
  parts.cache = engine.cache.get();
  parts.memory = engine.memory.get();
  parts.lock = engine.lock.get();
  parts.scope = CacheScope(options.cache, options.llm);
  parts.endpoint = CacheEndpoint(options.llm);
  parts.ttl = std::chrono::seconds(options.cache.ttl_s);
  parts.keeps = [](const LlmReply& reply) { return !ParseReply(reply.text).content.empty(); };
  return std::make_unique<CachedCalls>(std::move(parts));
}

GeneratorImpl::~GeneratorImpl() {
  if (forked()) {
    // The threads, sockets and files are the parent's: what is left here is given up, not closed.
    static_cast<void>(engine_.release());
    return;
  }
  static_cast<void>(Close(milliseconds(0)));
  // What posts did cost less than was reserved for them is told before the ledger goes.
  if (engine_->budget) engine_->budget->WaitSettled(engine_->reactor->Now() + kLastSettlements);
  // Stores answer on their thread, transfers end on the reactor: both are quiet before anything is
  // destroyed.
  engine_->store_thread->Stop();
  if (engine_->redis) engine_->redis->Stop();
  if (engine_->shared) engine_->shared->Stop();
  engine_->reactor->Stop();
}

Result<PostResult> GeneratorImpl::Generate(PostRequest request) {
  if (!forked() && engine_->reactor->InThread()) return ReentrantError();
  const std::shared_ptr<const PostResult> result =
      Start(std::move(request), nullptr, /*stream=*/false, /*restarts=*/false)->Wait();
  if (!result->ok()) return *result->error;
  return *result;
}

Status GeneratorImpl::Admit(const PostRequest& request) {
  if (Status valid = ValidateRequest(request); !valid.ok()) return valid.error();
  const bool lasting = engine_->stores.ledger != nullptr && request.store;
  if (request.idempotency_key.has_value() && !lasting) {
    return Error(Code::kInvalidRequest,
                 "idempotency_key needs a store that lasts: a PostgreSQL or SQLite store.url, and "
                 "not store: false",
                 "idempotency_key");
  }
  const auto limit = static_cast<std::size_t>(engine_->parts->options.max_pending_posts);
  const MutexLock lock(&engine_->mutex);
  if (engine_->closed) return Error(Code::kClosed, "the generator is closed");
  if (engine_->places >= limit) {
    return Error(Code::kBusy,
                 "max_pending_posts (" + std::to_string(limit) +
                     ") posts are pending; try again when some have ended",
                 "max_pending_posts");
  }
  ++engine_->places;
  ++engine_->pending;
  return {};
}

std::shared_ptr<Call> GeneratorImpl::Refuse(const PostRequest& request,
                                            const std::shared_ptr<Observer>& observer,
                                            Error error) {
  if (!forked()) engine_->metrics.PostRefused(error.code);
  const auto result = RefusedResult(request, std::move(error));
  auto call = std::make_shared<CallState>(nullptr, [](std::uint64_t) {});
  call->End(result);
  if (observer == nullptr) return call;
  if (forked()) {  // there is no reactor here to call the observer on
    EmitRefused(observer.get(), call->id(), result);
  } else {
    engine_->reactor->Post(
        [observer, result, id = call->id()] { EmitRefused(observer.get(), id, result); });
  }
  return call;
}

std::shared_ptr<Call> GeneratorImpl::Start(PostRequest request, std::shared_ptr<Observer> observer,
                                           bool stream, bool restarts) {
  if (forked()) return Refuse(request, observer, ForkedError());
  if (Status admitted = Admit(request); !admitted.ok()) {
    return Refuse(request, observer, admitted.error());
  }
  Engine* const engine = engine_.get();
  engine->metrics.PostStarted();
  auto call = std::make_shared<CallState>(engine->reactor, [engine](std::uint64_t id) {
    engine->reactor->Post([engine, id] {
      const auto job = engine->jobs.find(id);
      if (job == engine->jobs.end()) return;
      const std::shared_ptr<PostJob> running = job->second;  // ending erases the entry
      running->Cancel(Error(Code::kCancelled, "the caller cancelled the post"));
    });
  });

  PostJob::Spec spec;
  spec.request = std::move(request);
  spec.call_id = call->id();
  spec.observer = std::move(observer);
  spec.stream = stream;
  spec.restarts = restarts;
  spec.on_ending = [engine] {
    const MutexLock lock(&engine->mutex);
    --engine->places;
  };
  spec.started_at = engine->reactor->Now();
  engine->reactor->Post([engine, call, spec = std::move(spec)]() mutable {
    const std::uint64_t id = spec.call_id;
    const TimePoint started_at = spec.started_at;
    auto job = std::make_shared<PostJob>(
        engine->parts, std::move(spec),
        [engine, call, id, started_at](std::shared_ptr<const PostResult> end) {
          engine->jobs.erase(id);
          call->End(std::move(end));
          const TimePoint now = engine->reactor->Now();
          if (now - started_at < kQuickPost) engine->reactor->StayAwakeUntil(now + kAwake);
          const MutexLock lock(&engine->mutex);
          --engine->pending;
          engine->changed.notify_all();
        });
    engine->jobs.emplace(id, job);
    if (engine->ending) return job->Cancel(GeneratorClosedError());
    job->Start();
  });
  return call;
}

Status GeneratorImpl::Close(milliseconds drain) {
  if (forked()) return ForkedError();
  Engine* const engine = engine_.get();
  if (engine->reactor->InThread()) return ReentrantError();
  const TimePoint until = engine->reactor->Now() + Bounded(drain);
  {
    const MutexLock lock(&engine->mutex);
    engine->closed = true;
    while (engine->pending > 0) {
      if (engine->changed.wait_until(engine->mutex, until) == std::cv_status::timeout) break;
    }
    if (engine->pending == 0) return {};
  }
  engine->reactor->Post([engine] {
    engine->ending = true;
    // Ending a job erases it from the map.
    const auto jobs = engine->jobs;
    for (const auto& [id, job] : jobs) {
      job->Cancel(GeneratorClosedError());
    }
  });
  const MutexLock lock(&engine->mutex);
  while (engine->pending > 0) engine->changed.wait(engine->mutex);
  return {};
}

std::string GeneratorImpl::MetricsJson() const {
  if (forked()) return "{}";
  MetricsParts parts;
  parts.cache = engine_->calls->Look();
  parts.llm = engine_->llm->MetricsJson();
  if (engine_->redis) parts.redis = RedisJson(engine_->redis->Look());
  if (engine_->shared) parts.shared = RedisJson(engine_->shared->Look(), engine_->roll->count());
  if (engine_->stores.spool != nullptr) parts.spool = engine_->stores.spool->status();
  if (engine_->budget) parts.budget = engine_->budget->Look();
  return engine_->metrics.ToJson(parts);
}

Diagnosis GeneratorImpl::DiagnoseCache(TimePoint deadline) {
  using Level = Diagnosis::Level;
  if (engine_->cache == nullptr) return {"cache", Level::kOk, "none"};
  const std::string& url = engine_->parts->options.cache.url;
  if (engine_->redis == nullptr) return {"cache", Level::kOk, url};
  // Posts go on without it.
  const Status status =
      TryWrite(engine_->redis.get(), TryCache(), deadline, engine_->reactor->Now());
  if (status.ok()) return {"cache", Level::kOk, url + " with memory in front"};
  return {"cache", Level::kWarning, status.error().message + "; posts do without"};
}

Diagnosis GeneratorImpl::DiagnoseShared(TimePoint deadline) {
  using Level = Diagnosis::Level;
  const std::string& url = engine_->parts->options.shared.url;
  const Status status =
      TryWrite(engine_->shared.get(), TryShared(), deadline, engine_->reactor->Now());
  const std::string processes = std::to_string(engine_->roll->count());
  if (status.ok()) return {"shared", Level::kOk, url + ", " + processes + " processes"};
  return {"shared", Level::kWarning,
          status.error().message + "; each process keeps to its share, one of " + processes};
}

Diagnosis GeneratorImpl::DiagnoseBudget(TimePoint deadline) {
  using Level = Diagnosis::Level;
  Answer<void> answer([&](std::function<void(Status)> done) {
    engine_->budget->Refresh(deadline, std::move(done));
  });
  const Status status =
      answer.Wait(deadline + milliseconds(500) - engine_->reactor->Now(), "the budget's ledger");
  const SpendingBudget::View view = engine_->budget->Look();
  if (!status.ok()) {
    std::string text = status.error().message;
    if (status.error().details.transient) {
      text += view.known ? "; this process keeps to its share"
                         : "; until its ledger tells, posts are refused";
    }
    return {"budget", Level::kError, text};
  }
  const std::string text = SpendingBudget::Usd(view.spent) + " of " +
                           SpendingBudget::Usd(view.limit) + " reserved or spent today (UTC)";
  return {"budget", view.spent < view.limit ? Level::kOk : Level::kWarning, text};
}

std::vector<Diagnosis> GeneratorImpl::Diagnose(milliseconds timeout) {
  using Level = Diagnosis::Level;
  if (forked()) return {{"generator", Level::kError, ForkedError().message}};
  if (engine_->reactor->InThread()) {
    return {{"generator", Level::kError, ReentrantError().message}};
  }
  timeout = Bounded(timeout);
  const TimePoint deadline = engine_->reactor->Now() + timeout;
  // All are asked before any answer is waited for.
  Answer<void> llm(
      [&](LlmClient::CheckCallback done) { engine_->llm->Check(deadline, std::move(done)); });
  std::optional<Answer<void>> posts;
  if (PostStore* store = engine_->stores.posts.get()) {
    posts.emplace([&](PostStore::DoneCallback done) { store->Check(deadline, std::move(done)); });
  }
  std::optional<Answer<void>> spool;
  if (engine_->stores.spool != nullptr) {
    spool.emplace(
        [&](Spool::DoneCallback done) { engine_->stores.spool->Check(deadline, std::move(done)); });
  }
  std::optional<Answer<void>> profiles;
  if (ProfileStore* store = engine_->stores.profiles.get()) {
    profiles.emplace([&](const PostStore::DoneCallback& done) {
      store->Find(0, deadline, [done](Result<FoundProfile> profile) {
        done(profile.ok() ? Status() : Status(profile.error()));
      });
    });
  }

  std::vector<Diagnosis> found;
  const auto report = [&](std::string subject, std::string_view what, Answer<void>* answer,
                          const std::string& good) {
    // Answers come at the deadline at the latest; a little more for a part that breaks that rule.
    const Status status =
        answer->Wait(deadline + milliseconds(500) - engine_->reactor->Now(), what);
    found.push_back({std::move(subject), status.ok() ? Level::kOk : Level::kError,
                     status.ok() ? good : status.error().message});
  };
  report("llm", "the provider", &llm, engine_->llm->provider() + " answers and takes the key");
  if (posts) {
    report("store", "the store", &*posts, "reachable, and post_records has the columns we need");
  } else {
    found.push_back({"store", Level::kWarning, "none: posts are returned but not stored"});
  }
  if (spool) {
    report("spool", "the spool", &*spool, "");
    if (found.back().level == Level::kOk) found.back() = DescribeSpool(*engine_->stores.spool);
  } else if (!engine_->stores.no_spool.empty()) {
    found.push_back({"spool", Level::kWarning, "none: " + engine_->stores.no_spool});
  }
  if (profiles) {
    report("profiles", "the profile store", &*profiles, "readable");
  } else {
    found.push_back({"profiles", Level::kWarning, "none: personas come from the requests alone"});
  }
  found.push_back(DiagnoseCache(deadline));
  if (engine_->shared) found.push_back(DiagnoseShared(deadline));
  if (engine_->budget) found.push_back(DiagnoseBudget(deadline));
  return found;
}

void GeneratorImpl::RefreshProfiles() {
  if (!forked() && engine_->stores.profiles != nullptr) engine_->stores.profiles->Refresh();
}

Result<std::vector<SpooledPostInfo>> GeneratorImpl::ListSpool(milliseconds timeout) {
  if (forked()) return ForkedError();
  if (engine_->reactor->InThread()) return ReentrantError();
  Spool* const spool = engine_->stores.spool.get();
  if (!engine_->stores.no_spool.empty()) return NoSpoolError(engine_->stores.no_spool);
  if (spool == nullptr) return std::vector<SpooledPostInfo>();
  timeout = Bounded(timeout);
  Answer<std::vector<SpooledPost>> answer([&](Spool::ListCallback done) {
    spool->List(engine_->reactor->Now() + timeout, std::move(done));
  });
  auto posts = answer.Wait(timeout + milliseconds(500), "the spool");
  if (!posts.ok()) return posts.error();
  std::vector<SpooledPostInfo> listed;
  for (SpooledPost& post : *posts) {
    listed.push_back({std::move(post.row), std::move(post.refusal)});
  }
  return listed;
}

Status GeneratorImpl::FlushSpool(milliseconds timeout) {
  if (forked()) return ForkedError();
  if (engine_->reactor->InThread()) return ReentrantError();
  Spool* const spool = engine_->stores.spool.get();
  if (!engine_->stores.no_spool.empty()) return NoSpoolError(engine_->stores.no_spool);
  if (spool == nullptr) return {};
  timeout = Bounded(timeout);
  Answer<void> answer([&](Spool::DoneCallback done) {
    spool->Flush(engine_->reactor->Now() + timeout, std::move(done));
  });
  return answer.Wait(timeout + milliseconds(500), "the spool");
}

Result<std::vector<std::string>> GeneratorImpl::Migrate(milliseconds timeout) {
  if (forked()) return ForkedError();
  if (engine_->reactor->InThread()) return ReentrantError();
  if (engine_->stores.posts == nullptr) {
    return Error(Code::kInvalidConfig, "store.url is none: there is nothing to migrate",
                 "store.url");
  }
  timeout = Bounded(timeout);
  const TimePoint deadline = engine_->reactor->Now() + timeout;
  Answer<std::vector<std::string>> answer([&](PostStore::MigrateCallback done) {
    engine_->stores.posts->Migrate(deadline, std::move(done));
  });
  return answer.Wait(timeout + milliseconds(500), "the store");
}

}  // namespace

Result<std::unique_ptr<PostGenerator>> PostGenerator::Create(Options options, Parts parts) {
  return GeneratorImpl::Make(std::move(options), std::move(parts));
}

}  // namespace postgen
