// Posts of five versions with and without second attempts: what the policy is worth, by simulation.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "llm/policy/hedge.h"
#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

double Lognormal(double median, double sigma, std::mt19937_64* rng) {
  return median * std::exp(std::normal_distribution<double>(0, sigma)(*rng));
}

struct World {
  const char* name;
  double late_tokens = 0;   // share of first tokens that come ten times later
  double slow_rates = 0;    // share of texts that are written ten times slower
  double all_slower = 1;    // first tokens and texts, of the second half of the posts ...
  bool from_start = false;  // ... or of all
  double refusals = 0;      // share of attempts in the second half that end in 429
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
    if (second_half || world.from_start) {
      first_token *= world.all_slower;
      text *= world.all_slower;
    }
    refused = share(*rng) < (second_half ? world.refusals : 0);
  }
};

Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

struct Figures {
  std::vector<double> times;  // seconds of each post
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
    figures_.times.push_back(took);
  }

  const World world_;
  const bool hedges_;
  const std::uint64_t seed_;
  std::mt19937_64 arrivals_;
  ManualExecutor executor_;
  HedgePolicy policy_;
  Figures figures_;
};

double At(double share, std::vector<double> values) {
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size()));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

// The runs of many seeds, and each by itself.
struct Totals {
  Figures all;
  std::vector<double> p50s;
  std::vector<double> p99s;
  double most_extra = 0;  // of one seed, in percent

  double Extra(int half) const { return 100.0 * all.hedges[half] / all.calls[half]; }
  std::string Show() const {
    std::ostringstream out;
    out.precision(3);
    out << "p50 " << At(0.5, all.times) << " s, p95 " << At(0.95, all.times) << " s, p99 "
        << At(0.99, all.times) << " s, extra " << Extra(0) << " % then " << Extra(1)
        << " %, at most " << most_extra << " % with one seed";
    return out.str();
  }
};

Totals RunAll(const World& world, bool hedges, std::uint64_t seeds) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Figures figures = Simulation(world, hedges, seed).Run();
    totals.all.times.insert(totals.all.times.end(), figures.times.begin(), figures.times.end());
    totals.p50s.push_back(At(0.5, figures.times));
    totals.p99s.push_back(At(0.99, figures.times));
    int calls = 0;
    int extra = 0;
    for (int i = 0; i < 2; ++i) {
      calls += figures.calls[i];
      extra += figures.hedges[i];
      totals.all.calls[i] += figures.calls[i];
      totals.all.hedges[i] += figures.hedges[i];
    }
    totals.most_extra = std::max(totals.most_extra, 100.0 * extra / calls);
  }
  return totals;
}

// "0.50 0.58 0.67": the 5th, 50th and 95th percentile of a[i] / b[i].
std::string Spread(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  std::ostringstream out;
  out.precision(3);
  out << At(0.05, ratios) << " " << At(0.5, ratios) << " " << At(0.95, ratios);
  return out.str();
}

TEST_CASE("simulation: posts of five versions with and without second attempts") {
  constexpr std::uint64_t kSeeds = 200;
  constexpr std::uint64_t kFewSeeds = 25;
  const World worlds[] = {
      {.name = "2 % of first tokens ten times later", .late_tokens = 0.02},
      {.name = "no stragglers"},
      {.name = "2 % of texts ten times slower", .slow_rates = 0.02},
      {.name = "then everything ten times slower", .late_tokens = 0.02, .all_slower = 10},
      {.name = "everything ten times slower from the start",
       .late_tokens = 0.02,
       .all_slower = 10,
       .from_start = true},
      {.name = "then one attempt in five is refused", .late_tokens = 0.02, .refusals = 0.2},
  };
  for (const World& world : worlds) {
    const bool main = &world == &worlds[0];
    const std::uint64_t seeds = main ? kSeeds : kFewSeeds;
    const Totals off = RunAll(world, false, seeds);
    const Totals on = RunAll(world, true, seeds);
    MESSAGE(std::string(world.name)
            << " (seeds 1.." << seeds << ", " << Simulation::kPosts
            << " posts each)\n  off: " << off.Show() << "\n  on:  " << on.Show()
            << "\n  of single seeds, 5th 50th 95th percentile: p99/p50 " << Spread(on.p99s, on.p50s)
            << ", p99 on/off " << Spread(on.p99s, off.p99s));
    CHECK(off.all.hedges[0] + off.all.hedges[1] == 0);
    CHECK(on.most_extra <= 3);
    if (main) {
      CHECK(on.Extra(0) > 1);
      CHECK(At(0.99, on.all.times) <= 1.6 * At(0.5, on.all.times));
      CHECK(At(0.99, on.all.times) <= 0.6 * At(0.99, off.all.times));
    }
    if (world.all_slower > 1 || world.refusals > 0) {
      if (!world.from_start) CHECK(on.Extra(0) > 1);  // it was on before
      CHECK(on.Extra(1) <= 0.1);
    }
    if (world.from_start) CHECK(on.all.hedges[0] + on.all.hedges[1] == 0);
  }
}

}  // namespace
}  // namespace postgen
