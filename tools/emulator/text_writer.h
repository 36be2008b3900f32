// Writes forum posts in Traditional Chinese from seeded sentence parts.
#ifndef POSTGEN_EMULATOR_TEXT_WRITER_H_
#define POSTGEN_EMULATOR_TEXT_WRITER_H_

#include <cstdint>
#include <string>

#include "prompt_reader.h"
#include "random.h"
#include "settings.h"

namespace emulator {

struct Post {
  std::string title;
  std::string body;
};

// Whole sentences that name the stock. The body has 75 to 98 % of the limit's code points, or about
// `length_factor` times the limit if that is not 1; limits too small for a sentence get the
// shortest text there is. The title has at most 20. Posts with neighbouring `turn`s open and close
// with different sentences where the limit allows.
Post WritePost(const PromptHints& hints, double length_factor, std::uint64_t turn, Rng& rng);

// The reply to the prompt: one post, or as many as it asks for, in the shape given.
std::string WriteAnswer(const PromptHints& hints, Shape shape, double length_factor,
                        std::uint64_t turn, std::uint64_t seed);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_TEXT_WRITER_H_
