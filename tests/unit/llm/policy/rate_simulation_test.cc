// The limiter against servers that enforce their limits, over many seeded schedules in virtual
// time: what share of the quota is used, and how many calls are refused.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "llm/policy/concurrency.h"
#include "llm/policy/rate_limiter.h"
#include "runtime/random.h"
#include "unit/llm/policy/limit_server.h"

namespace postgen {
namespace {

using testing::FromSeconds;
using testing::Heads;
using testing::LimitServer;
using testing::Scenario;
using testing::Seconds;

const TimePoint kStart = TimePoint(std::chrono::hours(1));
const std::string kModel = "model";

struct Outcome {
  int sent = 0;
  int refused = 0;
  int sent_late = 0;  // in the last third
  int refused_late = 0;
  double accepted_tokens = 0;  // reserved, less what the server gave back
  int accepted = 0;
  double quota_use = 0;
  double over_burst = 0;  // requests sent beyond the rate and one burst; at most 0 is right
  std::uint64_t trace = 14695981039346656037U;
  double refused_share_late() const {
    return sent_late == 0 ? 0 : double(refused_late) / sent_late;
  }
  double refused_share() const { return sent == 0 ? 0 : double(refused) / sent; }
};

struct Call {
  double reserved = 0;
  double used = 0;
  TimePoint sent;
  RateLimiter::Ticket ticket;
};

// A client with more to send than the limits allow.
class Simulation {
 public:
  Simulation(const Scenario& scenario, std::uint64_t seed)
      : s_(scenario),
        rng_(seed),
        server_(scenario),
        limiter_(scenario.configured ? RateLimits{static_cast<std::int64_t>(s_.rpm),
                                                  static_cast<std::int64_t>(s_.tpm)}
                                     : RateLimits{},
                 kStart),
        concurrency_(scenario.max_in_flight) {}

  Outcome Run() {
    Send();
    while (!events_.empty()) {
      auto event = events_.extract(events_.begin());
      now_ = event.key().first;
      if (NowSeconds() > s_.seconds) break;
      event.mapped()();
      Send();
    }
    // What the server would have let a perfect client have, by the limit that binds.
    const double free = 1 - s_.hidden_share;
    const double burst = s_.slice_s > 0 || s_.window_s > 0 ? 0 : std::max(s_.burst_s, 0.0);
    const double allowed_s = s_.seconds * free + burst;
    out_.quota_use = std::max(out_.accepted / (s_.rpm / 60 * allowed_s),
                              out_.accepted_tokens / (s_.tpm / 60 * allowed_s));
    return out_;
  }

 private:
  bool IsLate(TimePoint at) const { return Seconds(at - kStart).count() > s_.seconds * 2 / 3; }
  double NowSeconds() const { return Seconds(now_ - kStart).count(); }
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(rng_);
  }
  Duration Network() { return FromSeconds(0.005 + std::exponential_distribution<>(100)(rng_)); }
  template <typename Function>
  void At(TimePoint when, Function function) {
    events_.emplace(std::pair(when, ++sequence_), std::move(function));
  }
  void Trace(std::uint64_t value) { out_.trace = (out_.trace ^ value) * 1099511628211U; }

  void Send() {
    while (concurrency_.HasRoom()) {
      if (!next_) {
        next_.emplace();
        const double prompt = std::floor(Uniform(300, 700));
        next_->reserved = prompt + std::floor(Uniform(200, 400));
        next_->used = prompt + std::floor(Uniform(100, 200));
      }
      const auto tokens = static_cast<std::int64_t>(next_->reserved);
      const TimePoint ready = s_.limiter ? limiter_.ReadyAt(kModel, tokens, now_) : now_;
      if (ready > now_) {
        if (ready == TimePoint::max() || wake_ == ready) return;
        wake_ = ready;
        At(ready, [] {});
        return;
      }
      auto call = std::make_shared<Call>(*next_);
      next_.reset();
      call->sent = now_;
      call->ticket = limiter_.Take(kModel, tokens, now_);
      concurrency_.Start();
      ++out_.sent;
      if (IsLate(now_)) ++out_.sent_late;
      Trace(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
      // The rate's bucket, overdrawn by so much.
      const double since = NowSeconds();
      drawn_ = std::max(0.0, drawn_ - (since - drawn_at_) * s_.rpm / 60) + 1;
      drawn_at_ = since;
      if (now_ < heard_at_) drawn_ = 0;  // the limit is not known yet
      out_.over_burst = std::max(out_.over_burst, drawn_ - s_.rpm);
      At(now_ + Network(), [this, call] { Arrive(call); });
    }
  }

  void Arrive(const std::shared_ptr<Call>& call) {
    const std::optional<LimitKind> refused = server_.Admit(NowSeconds(), call->reserved);
    const RateReadings readings = server_.Read();
    Trace(refused ? 1 : 0);
    if (refused) {
      const Duration retry_after = server_.RetryAfter();
      At(now_ + Network(), [this, call, readings, retry_after, kind = *refused] {
        ++out_.refused;
        if (IsLate(call->sent)) ++out_.refused_late;
        const bool known = limiter_.Look(now_).rpm.has_value();
        limiter_.OnHead(&call->ticket, readings, now_);
        limiter_.OnRefused(&call->ticket, kind, readings, retry_after, now_);
        limiter_.End(&call->ticket, std::nullopt, now_);
        concurrency_.End(known ? Strain::kNone : Strain::kHighest, call->sent, now_);
        heard_at_ = std::min(heard_at_, now_);
      });
      return;
    }
    ++out_.accepted;
    out_.accepted_tokens += s_.settles ? call->used : call->reserved;
    const double ttft = std::lognormal_distribution<>(std::log(s_.ttft_s), 0.45)(rng_);
    const double rest = Uniform(1, 4);
    At(now_ + FromSeconds(ttft) + Network(), [this, call, readings] {
      heard_at_ = std::min(heard_at_, now_);
      limiter_.OnHead(&call->ticket, readings, now_);
    });
    At(now_ + FromSeconds(ttft + rest),
       [this, call] { server_.GiveBack(NowSeconds(), call->reserved - call->used); });
    At(now_ + FromSeconds(ttft + rest) + Network(), [this, call] {
      limiter_.End(&call->ticket, static_cast<std::int64_t>(call->used), now_);
      concurrency_.End(Strain::kNone, call->sent, now_);
    });
  }

  const Scenario s_;
  Rng rng_;
  LimitServer server_;
  RateLimiter limiter_;
  Concurrency concurrency_;
  TimePoint now_ = kStart;
  TimePoint wake_ = TimePoint::min();
  std::uint64_t sequence_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
  std::optional<Call> next_;
  TimePoint heard_at_ = TimePoint::max();
  double drawn_ = 0;
  double drawn_at_ = 0;
  Outcome out_;
};

struct Figures {
  double least_use = 1e9;
  double mean_use = 0;
  double mean_refused = 0;
  double most_refused = 0;
  double most_over = -1e9;
  double mean_refused_late = 0;
};

Figures RunSeeds(const Scenario& scenario, std::uint64_t seeds) {
  Figures f;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome out = Simulation(scenario, seed).Run();
    f.least_use = std::min(f.least_use, out.quota_use);
    f.mean_use += out.quota_use / static_cast<double>(seeds);
    f.mean_refused += out.refused_share() / static_cast<double>(seeds);
    f.most_refused = std::max(f.most_refused, out.refused_share());
    f.most_over = std::max(f.most_over, out.over_burst);
    f.mean_refused_late += out.refused_share_late() / static_cast<double>(seeds);
  }
  return f;
}

std::string Show(const char* name, const Figures& f) {
  const auto percent = [](double share) {
    std::string text = std::to_string(share * 100);
    return text.substr(0, text.find('.') + 3) + " %";
  };
  return std::string(name) + ": quota used " + percent(f.mean_use) + " (least " +
         percent(f.least_use) + "), refused " + percent(f.mean_refused) + " (most " +
         percent(f.most_refused) + "), in the last third " + percent(f.mean_refused_late);
}

TEST_CASE("saturated") {
  struct Case {
    const char* name;
    Scenario scenario;
    double least_use;
    double most_refused;
  };
  Scenario base;
  const auto with = [&base](auto change) {
    Scenario scenario = base;
    change(&scenario);
    return scenario;
  };
  const Case cases[] = {
      {"600 rpm, 120k tpm", base, 0.95, 0.005},
      {"500 rpm, 200k tpm", with([](auto* s) { s->rpm = 500, s->tpm = 200000; }), 0.95, 0.005},
      {"requests bind", with([](auto* s) { s->tpm = 1e7; }), 0.95, 0.005},
      {"server settles", with([](auto* s) { s->settles = true; }), 0.95, 0.005},
      {"bucket of 5 s", with([](auto* s) { s->burst_s = 5; }), 0.95, 0.015},
      {"heads late", with([](auto* s) { s->ttft_s = 3; }), 0.95, 0.015},
      {"slices of 1 s", with([](auto* s) { s->tpm = 1e7, s->slice_s = 1; }), 0.88, 0.015},
      {"windows of a minute", with([](auto* s) { s->window_s = 60; }), 0.95, 0.015},
      {"windows, requests bind", with([](auto* s) { s->window_s = 60, s->tpm = 1e7; }), 0.95,
       0.005},
      {"hidden client", with([](auto* s) { s->hidden_share = 0.3; }), 0.95, 0.005},
      {"configured, no heads",
       with([](auto* s) { s->heads = Heads::kAbsent, s->configured = true; }), 0.95, 0.005},
      {"configured, no heads, settles",
       with([](auto* s) { s->heads = Heads::kAbsent, s->configured = true, s->settles = true; }),
       0.95, 0.005},
      {"stale heads", with([](auto* s) { s->heads = Heads::kStale; }), 0.95, 0.005},
      {"always a minute to the reset", with([](auto* s) { s->heads = Heads::kSteady; }), 0.95,
       0.015},
      {"a bucket of 20 s, always a minute",
       with([](auto* s) { s->heads = Heads::kSteady, s->burst_s = 20; }), 0.95, 0.015},
      {"nothing is told", with([](auto* s) { s->heads = Heads::kAbsent; }), 0.95, 0.25},
  };
  for (const Case& c : cases) {
    const Figures figures = RunSeeds(c.scenario, 30);
    MESSAGE(Show(c.name, figures) << ", seeds 1..30");
    CAPTURE(c.name);
    CHECK(figures.least_use >= c.least_use);
    CHECK(figures.mean_refused <= c.most_refused);
    if (c.scenario.heads == Heads::kLive) CHECK(figures.most_over <= 1);
  }
}

// A limit that shows in refusals only is found out by them, and then left in peace.
TEST_CASE("a server that tells nothing is hardly refused once its limit is known") {
  Scenario scenario;
  scenario.heads = Heads::kAbsent;
  scenario.seconds = 900;
  const Figures figures = RunSeeds(scenario, 10);
  MESSAGE(Show("nothing is told, 15 minutes", figures) << ", seeds 1..10");
  CHECK(figures.least_use >= 0.95);
  CHECK(figures.mean_refused_late <= 0.005);
}

// Whatever the server is like, over many seeds: the known limits are not exceeded by more than one
// burst, and the quota is used.
Scenario RandomScenario(Rng* rng) {
  const auto pick = [rng](double low, double high) {
    return std::exp(std::uniform_real_distribution<double>(std::log(low), std::log(high))(*rng));
  };
  Scenario s;
  s.rpm = std::floor(pick(200, 2000));
  s.tpm = std::floor(s.rpm * pick(200, 3000));
  s.burst_s = pick(5, 60);
  s.settles = std::bernoulli_distribution(0.3)(*rng);
  s.hidden_share = std::bernoulli_distribution(0.3)(*rng) ? pick(0.05, 0.5) : 0;
  s.ttft_s = pick(0.2, 3);
  s.max_in_flight = 10000;  // the limits bind, not the places
  s.seconds = 60;
  return s;
}

TEST_CASE("any server that tells its limits") {
  constexpr std::uint64_t kSchedules = 400;
  double refused = 0;
  double use = 0;
  double most_over = -1e9;
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    Rng rng(seed);
    const Outcome out = Simulation(RandomScenario(&rng), seed).Run();
    refused += out.refused_share() / kSchedules;
    use += std::min(1.0, out.quota_use) / kSchedules;
    most_over = std::max(most_over, out.over_burst);
  }
  MESSAGE("400 servers: quota used " << use * 100 << " %, refused " << refused * 100 << " %");
  CHECK(most_over <= 1);
  CHECK(use >= 0.97);
  CHECK(refused <= 0.02);
}

TEST_CASE("without the limiter all of this fails") {
  Scenario scenario;
  scenario.limiter = false;
  const Outcome out = Simulation(scenario, 1).Run();
  CHECK(out.refused_share() > 0.3);
  CHECK(out.over_burst > 10);
}

TEST_CASE("the same seed twice gives the same trace") {
  Rng rng(7);
  const Scenario scenario = RandomScenario(&rng);
  const Outcome first = Simulation(scenario, 3).Run();
  CHECK(first.trace == Simulation(scenario, 3).Run().trace);
  CHECK(first.trace != Simulation(scenario, 4).Run().trace);
}

}  // namespace
}  // namespace postgen
