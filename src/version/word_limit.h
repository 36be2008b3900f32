// The word limit: counted in code points and held where that is possible without cutting a
// sentence.
#ifndef POSTGEN_SRC_VERSION_WORD_LIMIT_H_
#define POSTGEN_SRC_VERSION_WORD_LIMIT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace postgen {

struct LimitedText {
  std::string content;
  std::int64_t words = 0;
  bool within_limit = false;
  bool shortened = false;  // sentences were dropped at the end to hold the limit
};

// Drops whole sentences at the end of a text that is too long, if at least 60 % of the limit remain
// and, for interaction posts, which are one question, what remains ends in a question; else leaves
// the text as it is, over the limit. REQUIRES: valid UTF-8.
LimitedText HoldWordLimit(std::string_view content, std::int64_t max_words,
                          std::string_view posting_type);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_WORD_LIMIT_H_
