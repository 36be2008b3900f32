// The sentence parts from which posts are made. Notation inside a part:
//   {S} stock name with code   {N} stock name   [a|b|c] one of these
// Parts for falling stocks never speak of opportunities, and only the directed ones say that a
// stock rose or fell to its limit.
#ifndef POSTGEN_EMULATOR_PHRASES_H_
#define POSTGEN_EMULATOR_PHRASES_H_

#include <span>
#include <string_view>

#include "prompt_reader.h"

namespace emulator {

using Phrases = std::span<const std::string_view>;

// First sentences; each names the stock with its code.
Phrases Openings(Direction direction);
Phrases Observations(Angle angle);  // kAny: those that fit every angle
Phrases Closings(Direction direction);
Phrases Fillers();  // 5 to 12 characters, for what is left of the limit

// Parts of a post that asks one question. Leads name the stock with its code.
Phrases QuestionLeads(Direction direction);
Phrases Questions(Angle angle);

// At most about 20 characters with a name of three.
Phrases Titles(Direction direction);
Phrases QuestionTitles();

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_PHRASES_H_
