// Brackets and quotes that a model copies around a value, 【...】 or 「...」.
#ifndef POSTGEN_SRC_VERSION_BRACKETS_H_
#define POSTGEN_SRC_VERSION_BRACKETS_H_

#include <string_view>

namespace postgen {

// Without spaces and line ends at both ends. REQUIRES: normalised text (text_normalizer.h).
std::string_view TrimSpaces(std::string_view text);

bool StartsWithBracket(std::string_view text);

// Without a closing bracket at its end that was never opened, and trimmed: 量增】 gives 量增.
std::string_view StripLooseCloser(std::string_view text);

// Without the pairs that enclose all of `text` (up to kMaxNestedPairs of them), and trimmed:
// 【量增】 gives 量增, while 「量」增「價」 stays.
inline constexpr int kMaxNestedPairs = 8;
std::string_view StripBrackets(std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_BRACKETS_H_
