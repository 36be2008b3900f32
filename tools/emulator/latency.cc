#include "latency.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "random.h"

namespace emulator {
namespace {

struct Speed {
  double ttft_ms;
  double token_ms;
};

Speed DrawSpeed(const Settings& settings, std::string_view model, std::uint64_t index) {
  Speed speed{settings.ttft_ms, 0};
  double rate = settings.tokens_per_s;
  if (auto found = settings.model_speeds.find(std::string(model));
      found != settings.model_speeds.end()) {
    speed.ttft_ms = found->second.ttft_ms;
    rate = found->second.tokens_per_s;
  }
  // All draws are made whether used or not: changing one setting leaves the others' luck alone.
  Rng rng(Mix(static_cast<std::uint64_t>(settings.seed), index));
  double ttft_spread = std::exp(settings.ttft_sigma * rng.Normal());
  bool straggler = rng.Chance(settings.straggler_share);
  double rate_spread = std::exp(settings.rate_sigma * rng.Normal());
  bool slow = rng.Chance(settings.slow_rate_share);

  speed.ttft_ms *= ttft_spread * (straggler ? settings.straggler_factor : 1);
  rate *= rate_spread / (slow ? settings.slow_rate_factor : 1);
  if (rate > 0) speed.token_ms = 1000 / rate;
  return speed;
}

}  // namespace

std::int64_t GenerationPace::LongestChoice() const {
  auto longest = std::max_element(choice_tokens.begin(), choice_tokens.end());
  return longest == choice_tokens.end() ? 0 : *longest;
}

std::int64_t GenerationPace::TotalTokens() const {
  return std::accumulate(choice_tokens.begin(), choice_tokens.end(), reasoning_tokens);
}

std::int64_t GenerationPace::TokensBy(Duration elapsed) const {
  if (elapsed < first) {
    double share = static_cast<double>(elapsed.count()) / static_cast<double>(first.count());
    return static_cast<std::int64_t>(share * static_cast<double>(reasoning_tokens));
  }
  if (per_token <= Duration::zero()) return TotalTokens();
  std::int64_t each = 1 + (elapsed - first) / per_token;
  std::int64_t total = reasoning_tokens;
  for (std::int64_t tokens : choice_tokens) total += std::min(tokens, each);
  return total;
}

GenerationPace DrawPace(const Settings& settings, std::string_view model, std::uint64_t index,
                        std::int64_t reasoning_tokens, std::vector<std::int64_t> choice_tokens) {
  GenerationPace pace;
  pace.reasoning_tokens = reasoning_tokens;
  pace.choice_tokens = std::move(choice_tokens);
  double longest = static_cast<double>(pace.LongestChoice());

  double first_ms = settings.fixed_ms;
  double token_ms = 0;
  if (settings.fixed_ms > 0 && settings.fixed_spread) {
    first_ms = token_ms = settings.fixed_ms / (longest + 1);
  } else if (settings.fixed_ms <= 0) {
    Speed speed = DrawSpeed(settings, model, index);
    token_ms = speed.token_ms;
    first_ms = speed.ttft_ms + token_ms * static_cast<double>(reasoning_tokens);
  }
  pace.first = FromMs(first_ms / settings.time_scale);
  pace.per_token = FromMs(token_ms / settings.time_scale);
  return pace;
}

}  // namespace emulator
