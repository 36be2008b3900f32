// The word limit: counted in code points and held where that is possible without cutting a
// sentence.
#ifndef POSTGEN_SRC_VERSION_WORD_LIMIT_H_
#define POSTGEN_SRC_VERSION_WORD_LIMIT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postgen {

// Where a text may end: after a sentence and the marks and brackets that close it, outside of
// brackets.
struct SentenceEnd {
  std::size_t bytes = 0;
  std::int64_t words = 0;  // code points up to here, trailing line ends not counted
  bool question = false;
};

// Interaction posts are one question.
bool MustEndInQuestion(std::string_view posting_type);

// Finds the ends of sentences in a text that comes character by character. A full stop in half
// width is none: it may be a decimal point.
class SentenceScanner {
 public:
  // The next character, `bytes` long. Tells of the end that lies before it: only what follows shows
  // that a sentence was over.
  std::optional<SentenceEnd> Push(char32_t c, std::size_t bytes);
  // No more will come.
  std::optional<SentenceEnd> End() const;
  std::int64_t words() const { return words_; }

 private:
  SentenceEnd here_;
  std::size_t bytes_ = 0;
  std::int64_t words_ = 0;
  int depth_ = 0;       // of brackets
  bool ended_ = false;  // the last character was a sentence's end or closed one
};

struct LimitedText {
  std::string content;
  std::int64_t words = 0;
  bool within_limit = false;
  bool shortened = false;  // sentences were dropped at the end to hold the limit
};

// Drops whole sentences at the end of a text that is too long, if at least 60 % of the limit remain
// and what remains ends in a question where it must; else leaves the text as it is, over the limit.
// REQUIRES: valid UTF-8.
LimitedText HoldWordLimit(std::string_view content, std::int64_t max_words,
                          std::string_view posting_type);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_WORD_LIMIT_H_
