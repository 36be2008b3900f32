// A stand-in for a byte-pair vocabulary of the o200k kind: about 0.93 token a Chinese character and
// 0.25 token an ASCII character. It is an estimate for budgets and pacing, not the real tokenizer.
#ifndef POSTGEN_EMULATOR_TOKENS_H_
#define POSTGEN_EMULATOR_TOKENS_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace emulator {

// Byte offsets where the tokens of `text` end, rising, the last one text.size(). Tokens never split
// a code point. The same neighbours always merge, as they would in a real vocabulary.
std::vector<std::size_t> TokenEnds(std::string_view text);

std::size_t CountTokens(std::string_view text);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_TOKENS_H_
