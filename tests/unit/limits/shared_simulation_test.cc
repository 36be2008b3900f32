// Several processes on one key over one Redis, against a provider that enforces its limits: the
// real dispatcher, gate and script, over many seeded schedules in virtual time.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "limits/redis_limits.h"
#include "llm/dispatcher.h"
#include "runtime/manual_executor.h"
#include "runtime/random.h"
#include "unit/limits/script_redis.h"
#include "unit/llm/policy/limit_server.h"

namespace postgen {
namespace {

using testing::FromSeconds;
using testing::Heads;
using testing::LimitServer;
using testing::Scenario;
using testing::ScriptRedis;
using testing::Seconds;

const std::string kModel = "gpt-4o-mini";

struct Fleet {
  int processes = 4;
  double redis_s = 0.0005;  // there and back, on average
  double away_from_s = 1e9;
  double away_until_s = 1e9;
  bool forgets = false;               // while it is away
  bool shares = true;                 // false: each process keeps the limits as if it were alone
  std::vector<double> starts_s = {};  // of the processes; absent: all at 0
};

// What the processes have in common: time, provider, Redis.
struct World {
  World(const Scenario& scenario, const Fleet& fleet_, std::uint64_t seed)
      : s(scenario), fleet(fleet_), rng(seed), server(scenario) {}

  double NowSeconds() const { return Seconds(executor.Now() - start).count(); }
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(rng);
  }
  double Network() { return 0.005 + std::exponential_distribution<>(100)(rng); }
  void In(double seconds, Task task) {
    executor.RunAt(executor.Now() + FromSeconds(seconds), std::move(task));
  }
  bool RedisAway() const {
    return NowSeconds() >= fleet.away_from_s && NowSeconds() < fleet.away_until_s;
  }

  const Scenario s;
  const Fleet fleet;
  Rng rng;
  LimitServer server;
  ScriptRedis redis;
  ManualExecutor executor;
  const TimePoint start = executor.Now();
  std::int64_t asks = 0;
};

class SimulatedLimits final : public SharedLimits {
 public:
  SimulatedLimits(World* world, std::string name) : world_(world), name_(std::move(name)) {}

  void Ask(SharedAsk ask, AnswerCallback done) override {
    ++world_->asks;
    ask.asker = name_;
    world_->In(world_->fleet.redis_s / 2, [this, ask = std::move(ask), done = std::move(done)] {
      const SharedAnswer answer =
          world_->RedisAway() ? SharedAnswer()
                              : ReadAnswer(ask, world_->redis.Run(AskCommand(ask), RedisTime()));
      world_->In(world_->fleet.redis_s / 2, [answer, done] { done(answer); });
    });
  }
  void Tell(SharedHead head, std::function<void()> done) override {
    world_->In(world_->fleet.redis_s / 2, [this, head = std::move(head), done = std::move(done)] {
      if (!world_->RedisAway()) world_->redis.Run(HeadCommand(head), RedisTime());
      done();
    });
  }
  std::int64_t processes() const override { return world_->fleet.processes; }

 private:
  double RedisTime() const { return 1.7e9 + world_->NowSeconds(); }

  World* const world_;
  const std::string name_;
};

struct Outcome {
  int sent = 0;
  int refused = 0;
  double accepted = 0;
  double accepted_tokens = 0;
  std::vector<double> sent_at;
  double used = 0;           // of what the limits allow
  double most_window = 0;    // requests sent in a minute, by limit and one burst
  double least_process = 0;  // share of the one that got least
  std::uint64_t trace = 14695981039346656037U;
  double refused_share() const { return sent == 0 ? 0 : double(refused) / sent; }
};

// One process with more to send than the limits allow.
class Process {
 public:
  Process(World* world, Outcome* out, int number)
      : world_(world), out_(out), limits_(world, std::to_string(number)) {
    LlmOptions options;
    options.max_in_flight = world->s.max_in_flight;
    if (world->s.configured) {
      options.rpm = static_cast<std::int64_t>(world->s.rpm);
      options.tpm = static_cast<std::int64_t>(world->s.tpm);
    }
    std::vector<std::unique_ptr<Provider>> providers;
    providers.push_back(std::make_unique<Provider>("test", std::vector<std::string>{}, nullptr,
                                                   options, world->executor.Now()));
    dispatcher_ = std::make_unique<Dispatcher>(options, &world->executor, std::move(providers));
    if (world->fleet.shares) {
      dispatcher_->Share(dispatcher_->providers()[0].get(), "key", &limits_);
    }
  }

  void Start() {
    constexpr int kWaiting = 100;
    for (int i = 0; i < kWaiting; ++i) Next();
  }
  int sent() const { return sent_; }

 private:
  struct Call final : Dispatcher::Asker {
    Process* process = nullptr;
    Permit permit;
    double used = 0;
    void OnTurn(Permit given) override { process->Send(this, std::move(given)); }
    void OnNoTurn(Error error) override { FAIL(error.message); }
    TimePoint Due() const override { return TimePoint::max(); }
  };

  void Next() {
    Call& call = calls_.emplace_back();
    call.process = this;
    call.routes = dispatcher_->RoutesFor(kModel);
    call.closed.resize(1);
    call.tried.resize(1);
    const double scale = world_->s.tpm / world_->s.rpm / 800;  // both limits bind
    const double prompt = std::floor(world_->Uniform(300, 700) * scale);
    call.tokens = static_cast<std::int64_t>(prompt + std::floor(world_->Uniform(200, 400) * scale));
    call.used = prompt + std::floor(world_->Uniform(100, 200) * scale);
    dispatcher_->Ask(&call);
  }

  void Send(Call* call, Permit permit) {
    call->permit = std::move(permit);
    ++sent_;
    ++out_->sent;
    out_->sent_at.push_back(world_->NowSeconds());
    out_->trace =
        (out_->trace ^ static_cast<std::uint64_t>(world_->NowSeconds() * 1e6)) * 1099511628211U;
    world_->In(world_->Network(), [this, call] { Arrive(call); });
    // The queue is as long as before.
    world_->executor.Post([this] { Next(); });
  }

  void Arrive(Call* call) {
    const auto tokens = static_cast<double>(call->tokens);
    const auto refused = world_->server.Admit(world_->NowSeconds(), tokens);
    const RateReadings readings = world_->server.Read();
    if (refused) {
      ++out_->refused;
      const Duration retry_after = world_->server.RetryAfter();
      world_->In(world_->Network(), [this, call, readings, retry_after, kind = *refused] {
        dispatcher_->OnHead(&call->permit, readings);
        Error error(Code::kRateLimited, "refused");
        error.details.http_status = 429;
        AttemptEnd end;
        end.error = &error;
        end.limit = kind;
        end.retry_after = retry_after;
        dispatcher_->End(&call->permit, end);
      });
      return;
    }
    ++out_->accepted;
    out_->accepted_tokens += world_->s.settles ? call->used : tokens;
    const double ttft =
        std::lognormal_distribution<>(std::log(world_->s.ttft_s), 0.45)(world_->rng);
    const double rest = world_->Uniform(1, 4);
    world_->In(ttft + world_->Network(),
               [this, call, readings] { dispatcher_->OnHead(&call->permit, readings); });
    world_->In(ttft + rest, [this, call, tokens] {
      world_->server.GiveBack(world_->NowSeconds(), tokens - call->used);
    });
    world_->In(ttft + rest + world_->Network() + 0.5, [this, call] {
      AttemptEnd end;
      end.used_tokens = static_cast<std::int64_t>(call->used);
      dispatcher_->End(&call->permit, end);
    });
  }

  World* const world_;
  Outcome* const out_;
  SimulatedLimits limits_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::deque<Call> calls_;
  int sent_ = 0;
};

Outcome Run(const Scenario& scenario, const Fleet& fleet, std::uint64_t seed) {
  World world(scenario, fleet, seed);
  Outcome out;
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < fleet.processes; ++i) {
    processes.push_back(std::make_unique<Process>(&world, &out, i));
    const auto at = static_cast<std::size_t>(i);
    const double start = at < fleet.starts_s.size() ? fleet.starts_s[at] : 0;
    world.In(start, [process = processes.back().get()] { process->Start(); });
  }
  if (fleet.forgets) world.In(fleet.away_until_s, [&world] { world.redis.Clear(); });
  world.executor.Advance(FromSeconds(scenario.seconds));

  const double burst_s = scenario.window_s > 0 ? 0 : scenario.burst_s;
  const double allowed_s = scenario.seconds * (1 - scenario.hidden_share) + burst_s;
  out.used = std::max(out.accepted / (scenario.rpm / 60 * allowed_s),
                      out.accepted_tokens / (scenario.tpm / 60 * allowed_s));
  const double window = scenario.rpm + scenario.rpm / 60 * scenario.burst_s;
  std::size_t first = 0;
  for (std::size_t i = 0; i < out.sent_at.size(); ++i) {
    while (out.sent_at[first] <= out.sent_at[i] - 60) ++first;
    out.most_window = std::max(out.most_window, static_cast<double>(i - first + 1) / window);
  }
  int least = out.sent;
  for (const auto& process : processes) least = std::min(least, process->sent());
  out.least_process = out.sent == 0 ? 0 : double(least) / out.sent;
  return out;
}

struct Figures {
  double used = 0, least_used = 1e9, refused = 0, most_refused = 0, most_window = 0,
         least_process = 1;
};

Figures RunSeeds(const Scenario& scenario, const Fleet& fleet, std::uint64_t seeds) {
  Figures f;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome out = Run(scenario, fleet, seed);
    f.used += out.used / static_cast<double>(seeds);
    f.least_used = std::min(f.least_used, out.used);
    f.refused += out.refused_share() / static_cast<double>(seeds);
    f.most_refused = std::max(f.most_refused, out.refused_share());
    f.most_window = std::max(f.most_window, out.most_window);
    f.least_process = std::min(f.least_process, out.least_process);
  }
  return f;
}

std::string Percent(double share) {
  const std::string text = std::to_string(share * 100);
  return text.substr(0, text.find('.') + 3) + " %";
}

void Report(const std::string& name, const Figures& f, std::uint64_t seeds) {
  MESSAGE(name << " (seeds 1.." << seeds << "): used " << Percent(f.used) << " (least "
               << Percent(f.least_used) << "), refused " << Percent(f.refused) << " (most "
               << Percent(f.most_refused) << "), fullest minute " << Percent(f.most_window)
               << " of limit and burst, least process " << Percent(f.least_process));
}

TEST_CASE("processes on one key keep its limits together") {
  struct Case {
    const char* name;
    Scenario scenario;
    Fleet fleet;
    double least_used = 0.95;
    double most_refused = 0.005;
  };
  const auto with = [](auto change) {
    Scenario scenario;
    scenario.seconds = 75;
    change(&scenario);
    return scenario;
  };
  const auto fleet = [](auto change) {
    Fleet fleet;
    change(&fleet);
    return fleet;
  };
  const auto nothing = [](auto*) {};
  const Case cases[] = {
      {"4 processes, 600 rpm, 120k tpm", with(nothing), fleet(nothing)},
      {"4 processes, bucket of 10 s", with([](auto* s) { s->burst_s = 10; }), fleet(nothing)},
      {"4 processes, 6000 rpm, 1.2m tpm", with([](auto* s) {
         s->rpm = 6000, s->tpm = 1200000, s->seconds = 20, s->max_in_flight = 2000;
       }),
       fleet(nothing)},
      {"12 processes", with(nothing), fleet([](auto* f) { f->processes = 12; })},
      {"one process of four starts late", with(nothing), fleet([](auto* f) {
         f->starts_s = {0, 0, 0, 40};
       })},
      {"windows of a minute", with([](auto* s) { s->window_s = 60, s->seconds = 180; }),
       fleet(nothing), 0.95, 0.01},
      {"configured, no heads",
       with([](auto* s) { s->heads = Heads::kAbsent, s->configured = true; }), fleet(nothing)},
      {"Redis 10 ms away", with(nothing), fleet([](auto* f) { f->redis_s = 0.01; })},
      {"someone else takes 30 %", with([](auto* s) { s->hidden_share = 0.3; }), fleet(nothing),
       0.95, 0.02},
      {"Redis gone for good after 30 s", with(nothing), fleet([](auto* f) { f->away_from_s = 30; }),
       0.9},
      {"Redis away for 30 s", with(nothing),
       fleet([](auto* f) { f->away_from_s = 30, f->away_until_s = 60; }), 0.93},
      {"Redis restarted empty after 30 s", with(nothing),
       fleet([](auto* f) { f->away_from_s = 30, f->away_until_s = 31, f->forgets = true; }), 0.93},
  };
  constexpr std::uint64_t kSeeds = 2;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Figures figures = RunSeeds(c.scenario, c.fleet, kSeeds);
    Report(c.name, figures, kSeeds);
    CHECK(figures.least_used >= c.least_used);
    CHECK(figures.refused <= c.most_refused);
    CHECK(figures.most_window <= 1);
  }
}

TEST_CASE("each for itself, the same processes are refused") {
  Scenario scenario;
  scenario.burst_s = 10;
  scenario.seconds = 60;
  Fleet fleet;
  fleet.shares = false;
  const Figures figures = RunSeeds(scenario, fleet, 3);
  Report("4 processes that do not share", figures, 3);
  CHECK(figures.refused > 0.02);
}

TEST_CASE("the same seed twice gives the same trace, another one another") {
  Scenario scenario;
  scenario.seconds = 20;
  const Outcome first = Run(scenario, Fleet(), 3);
  CHECK(first.trace == Run(scenario, Fleet(), 3).trace);
  CHECK(first.trace != Run(scenario, Fleet(), 4).trace);
}

}  // namespace
}  // namespace postgen
