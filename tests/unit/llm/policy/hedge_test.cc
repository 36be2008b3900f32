#include "llm/policy/hedge.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// A policy that has seen `count` calls whose first tokens took 100, 101, ... 199, 100, ... ms.
class Seen {
 public:
  explicit Seen(int count) {
    for (int i = 0; i < count; ++i) Call(milliseconds(100 + i % 100));
  }
  void Call(Duration after) {
    const std::uint64_t number = policy.OnSent(now);
    now += after;
    policy.OnFirstToken(number, now, after);
    policy.OnAttemptEnd(Code::kOk);
  }
  // One call that is late.
  bool Late() {
    const TimePoint sent = now;
    const std::uint64_t number = policy.OnSent(now);
    now += policy.Delay().value_or(seconds(1));
    const bool may = policy.MayHedge(now, now - sent);
    if (may) policy.OnHedge();
    policy.OnFirstToken(number, now, policy.Delay().value_or(seconds(1)));
    policy.OnAttemptEnd(Code::kOk);
    return may;
  }

  HedgePolicy policy;
  TimePoint now{std::chrono::hours(1)};
};

TEST_CASE("nothing is known before 40 first tokens, then the delay is 1.4 times their p95") {
  CHECK_FALSE(Seen(39).policy.Delay());
  CHECK_FALSE(Seen(39).Late());
  CHECK(Seen(40).policy.Delay() == std::chrono::microseconds(193200));  // of 100 to 139 ms: 138
  CHECK(Seen(200).policy.Delay() == std::chrono::microseconds(273000));
  CHECK(Seen(200).Late());
}

TEST_CASE("the delay follows what came last, and is never shorter than 100 ms") {
  Seen seen(400);
  for (int i = 0; i < 200; ++i) seen.Call(milliseconds(1));
  CHECK(seen.policy.Delay() == milliseconds(100));
}

TEST_CASE("second attempts are saved up from 3 % of the calls, ten at the most") {
  Seen few(60);
  CHECK(few.Late());
  for (int i = 0; i < 32; ++i) CHECK_FALSE(few.Late());

  Seen many(5000);
  int hedges = 0;
  for (int i = 0; i < 100; ++i) {
    if (many.Late()) ++hedges;
    for (int j = 0; j < 9; ++j) many.Call(milliseconds(100));
  }
  // Ten from before and three of each hundred, but for what a full account did not take.
  CHECK(hedges == 10 + 29);
}

TEST_CASE("off while many first tokens are late, on again when they are not") {
  Seen seen(2000);
  for (std::size_t i = 0; i < HedgePolicy::kMaxLate; ++i) CHECK(seen.Late());
  CHECK_FALSE(seen.Late());
  for (int i = 0; i < 40; ++i) seen.Call(milliseconds(110));
  CHECK(seen.Late());
}

TEST_CASE("calls that are late together are seen together") {
  for (const int together : {4, 5}) {
    Seen seen(2000);
    for (int i = 0; i < together; ++i) seen.policy.OnSent(seen.now);
    CHECK(seen.policy.MayHedge(seen.now + *seen.policy.Delay(), *seen.policy.Delay()) ==
          (together == 4));
  }
}

TEST_CASE("off while attempts fail by the server's trouble, and by nothing else") {
  for (const Code code : {Code::kRateLimited, Code::kUpstream, Code::kConnect,
                          Code::kTimeoutFirstToken, Code::kTruncated}) {
    Seen seen(2000);
    for (int i = 0; i < 2; ++i) seen.policy.OnAttemptEnd(code);
    CHECK(seen.Late());
    seen.policy.OnAttemptEnd(code);
    CHECK_FALSE(seen.Late());
    for (int i = 0; i < 50; ++i) seen.Call(milliseconds(110));
    CHECK(seen.Late());
  }
  for (const Code code : {Code::kRefused, Code::kAuth, Code::kProtocol, Code::kOk}) {
    Seen seen(2000);
    for (int i = 0; i < 10; ++i) seen.policy.OnAttemptEnd(code);
    CHECK(seen.Late());
  }
}

TEST_CASE("off while all are slower than they were of late; half an hour doubles what is usual") {
  Seen seen(2000);
  for (int i = 0; i < 300; ++i) seen.Call(milliseconds(310));
  CHECK_FALSE(seen.Late());
  seen.now += minutes(45);
  CHECK(seen.Late());
}

TEST_CASE("a wait that we broke off counts if it was long") {
  Seen seen(200);
  for (int i = 0; i < 20; ++i) {
    seen.policy.OnGone(seen.policy.OnSent(seen.now), seen.now, milliseconds(10));
  }
  CHECK(seen.policy.Delay() == std::chrono::microseconds(273000));
  for (int i = 0; i < 20; ++i) {
    seen.policy.OnGone(seen.policy.OnSent(seen.now), seen.now, milliseconds(400));
  }
  CHECK(seen.policy.Delay() == milliseconds(560));
}

// --- Simulation

double Lognormal(double median, double sigma, std::mt19937_64* rng) {
  return median * std::exp(std::normal_distribution<double>(0, sigma)(*rng));
}

struct World {
  const char* name;
  double late_tokens = 0;  // share of first tokens that come ten times later
  double slow_rates = 0;   // share of texts that are written ten times slower
  double all_slower = 1;   // first tokens of the second half of the posts
  double refusals = 0;     // share of attempts in the second half that end in 429
};

// What one attempt would do: first token lognormal 0.45 s sigma 0.45, 190 tokens at 75/s sigma
// 0.25.
struct Luck {
  double first_token;
  double text;
  bool refused;
  Luck(const World& world, bool second_half, std::mt19937_64* rng)
      : first_token(Lognormal(0.45, 0.45, rng)), text(190 / Lognormal(75, 0.25, rng)) {
    std::uniform_real_distribution<double> share;
    if (share(*rng) < world.late_tokens) first_token *= 10;
    if (share(*rng) < world.slow_rates) text *= 10;
    if (second_half) first_token *= world.all_slower;
    refused = share(*rng) < (second_half ? world.refusals : 0);
  }
};

Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

struct Figures {
  std::vector<double> first_half;  // seconds of each post
  std::vector<double> second_half;
  int calls[2] = {};
  int hedges[2] = {};
};

// Posts of five calls each, at random times, over one policy.
class Simulation {
 public:
  Simulation(const World& world, bool hedges, std::uint64_t seed)
      : world_(world), hedges_(hedges), seed_(seed), arrivals_(seed) {}

  Figures Run() {
    TimePoint at = executor_.Now();
    for (int i = 0; i < kPosts; ++i) {
      at += Seconds(std::exponential_distribution<double>(1 / kGap)(arrivals_));
      executor_.RunAt(at, [this, i] { StartPost(i); });
    }
    executor_.Advance(at - executor_.Now() + minutes(10));
    return std::move(figures_);
  }

  static constexpr int kPosts = 600;
  static constexpr double kGap = 0.5;  // seconds between posts

 private:
  struct Post {
    TimePoint start;
    int open = 5;
    bool second_half = false;
  };
  struct Call {
    std::shared_ptr<Post> post;
    std::mt19937_64 rng;
    std::uint64_t number = 0;
    TimePoint sent;
    bool has_token = false;
    int tries = 0;
  };

  void StartPost(int index) {
    auto post = std::make_shared<Post>(Post{executor_.Now(), 5, index >= kPosts / 2});
    for (int i = 0; i < 5; ++i) {
      auto call = std::make_shared<Call>();
      call->post = post;
      // The same luck for every plan.
      std::seed_seq seed{seed_, static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(i)};
      call->rng.seed(seed);
      ++figures_.calls[post->second_half ? 1 : 0];
      Send(call);
    }
  }

  void Send(const std::shared_ptr<Call>& call) {
    const TimePoint now = executor_.Now();
    call->sent = now;
    call->number = policy_.OnSent(now);
    const Luck luck(world_, call->post->second_half, &call->rng);
    if (luck.refused && ++call->tries < 10) {
      executor_.RunAt(now + milliseconds(50), [this, call] {
        policy_.OnLost(call->number);
        policy_.OnAttemptEnd(Code::kRateLimited);
        Send(call);
      });
      return;
    }
    Await(call, luck, /*second=*/false);
    const std::optional<Duration> delay = policy_.Delay();
    if (!hedges_ || !delay) return;
    executor_.RunAt(now + *delay, [this, call, number = call->number] {
      if (call->has_token || call->number != number) return;
      if (!policy_.MayHedge(executor_.Now(), executor_.Now() - call->sent)) return;
      policy_.OnHedge();
      ++figures_.hedges[call->post->second_half ? 1 : 0];
      Await(call, Luck(world_, call->post->second_half, &call->rng), /*second=*/true);
    });
  }

  void Await(const std::shared_ptr<Call>& call, const Luck& luck, bool second) {
    executor_.RunAt(executor_.Now() + Seconds(luck.first_token), [this, call, luck, second] {
      if (std::exchange(call->has_token, true)) return;
      const TimePoint now = executor_.Now();
      if (second) {
        policy_.OnGone(call->number, now, now - call->sent);
      } else {
        policy_.OnFirstToken(call->number, now, now - call->sent);
      }
      executor_.RunAt(now + Seconds(luck.text), [this, call] { EndCall(*call->post); });
    });
  }

  void EndCall(Post& post) {
    policy_.OnAttemptEnd(Code::kOk);
    if (--post.open > 0) return;
    const double took = std::chrono::duration<double>(executor_.Now() - post.start).count();
    (post.second_half ? figures_.second_half : figures_.first_half).push_back(took);
  }

  const World world_;
  const bool hedges_;
  const std::uint64_t seed_;
  std::mt19937_64 arrivals_;
  ManualExecutor executor_;
  HedgePolicy policy_;
  Figures figures_;
};

constexpr int kSeeds = 12;

struct Totals {
  std::vector<double> times;  // of both halves
  int calls[2] = {};
  int hedges[2] = {};

  double At(double share) {
    const auto place =
        times.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(times.size()));
    std::nth_element(times.begin(), place, times.end());
    return *place;
  }
  double Extra(int half) const { return 100.0 * hedges[half] / calls[half]; }
  std::string Show() {
    std::ostringstream out;
    out.precision(3);
    out << "p50 " << At(0.5) << " s, p95 " << At(0.95) << " s, p99 " << At(0.99) << " s, extra "
        << Extra(0) << " % then " << Extra(1) << " %";
    return out.str();
  }
};

Totals RunAll(const World& world, bool hedges) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Figures figures = Simulation(world, hedges, seed).Run();
    for (const auto* half : {&figures.first_half, &figures.second_half}) {
      totals.times.insert(totals.times.end(), half->begin(), half->end());
    }
    for (int i = 0; i < 2; ++i) {
      totals.calls[i] += figures.calls[i];
      totals.hedges[i] += figures.hedges[i];
    }
  }
  return totals;
}

TEST_CASE("simulation: posts of five versions with and without second attempts") {
  const World worlds[] = {
      {.name = "2 % of first tokens ten times later", .late_tokens = 0.02},
      {.name = "no stragglers"},
      {.name = "2 % of texts ten times slower", .slow_rates = 0.02},
      {.name = "then all first tokens ten times later", .late_tokens = 0.02, .all_slower = 10},
      {.name = "then one attempt in five is refused", .late_tokens = 0.02, .refusals = 0.2},
  };
  for (const World& world : worlds) {
    Totals off = RunAll(world, false);
    Totals on = RunAll(world, true);
    MESSAGE(std::string(world.name)
            << " (seeds 1.." << kSeeds << ", " << Simulation::kPosts << " posts each)\n"
            << "  off: " << off.Show() << "\n  on:  " << on.Show());
    CHECK(off.hedges[0] + off.hedges[1] == 0);
    for (const int half : {0, 1}) CHECK(on.hedges[half] <= 0.03 * on.calls[half] + 1);
    if (&world == &worlds[0]) {
      CHECK(on.hedges[0] > 0.01 * on.calls[0]);
      CHECK(on.At(0.99) <= 1.6 * on.At(0.5));
      CHECK(on.At(0.99) <= 0.6 * off.At(0.99));
    }
    if (world.all_slower > 1 || world.refusals > 0) {
      CHECK(on.hedges[0] > 0.01 * on.calls[0]);  // it was on before
      CHECK(on.hedges[1] <= 0.001 * on.calls[1]);
    }
  }
}

}  // namespace
}  // namespace postgen
