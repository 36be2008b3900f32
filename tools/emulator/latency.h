// When the tokens of a call come: drawn from (seed, request index), so that a run repeats.
// The figures are assumptions, not measurements of any provider.
#ifndef POSTGEN_EMULATOR_LATENCY_H_
#define POSTGEN_EMULATOR_LATENCY_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "clock.h"
#include "settings.h"

namespace emulator {

// The timetable of one call. Token i of every choice is due at first + i * per_token; the call is
// over one step after the last token of its longest choice.
struct GenerationPace {
  Duration first{};
  Duration per_token{};
  std::int64_t reasoning_tokens = 0;        // generated evenly before the first visible token
  std::vector<std::int64_t> choice_tokens;  // visible tokens of each choice

  Duration TokenDue(std::int64_t token) const { return first + per_token * token; }
  Duration End() const { return TokenDue(LongestChoice()); }
  std::int64_t LongestChoice() const;
  std::int64_t TotalTokens() const;

  // Tokens generated within `elapsed` after the start.
  std::int64_t TokensBy(Duration elapsed) const;
};

// The pace of a call that will generate so many tokens.
GenerationPace DrawPace(const Settings& settings, std::string_view model, std::uint64_t index,
                        std::int64_t reasoning_tokens, std::vector<std::int64_t> choice_tokens);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_LATENCY_H_
