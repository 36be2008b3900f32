#include "version/word_limit.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "text/utf8.h"

namespace postgen {
namespace {

// A shortened text that says less than this part of the limit is worse than a long one.
constexpr double kMinKept = 0.6;

constexpr std::u32string_view kSentenceEnds = U"。！？!?…\n";
constexpr std::u32string_view kOpeners = U"「『（(【《";
constexpr std::u32string_view kClosers = U"」』）)】》";
constexpr std::u32string_view kQuestionMarks = U"？?";

bool IsOneOf(char32_t c, std::u32string_view set) {
  return set.find(c) != std::u32string_view::npos;
}

// Where a text may end: after a sentence and the marks and brackets that close it, outside of
// brackets.
struct SentenceEnd {
  std::size_t bytes = 0;
  std::int64_t words = 0;  // code points up to here, trailing line ends not counted
  bool question = false;
};

std::vector<SentenceEnd> FindSentenceEnds(std::string_view text) {
  std::vector<SentenceEnd> ends;
  SentenceEnd here;
  int depth = 0;
  bool ended = false;  // the last character was a sentence's end or closed one
  const auto finish = [&] {
    if (ended && depth <= 0 && here.words > 0) ends.push_back(here);
  };
  std::int64_t words = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, &at);
    ++words;
    const bool is_end = IsOneOf(c, kSentenceEnds);
    const bool is_closer = IsOneOf(c, kClosers);
    if (!is_end && !(is_closer && ended)) {
      finish();
      ended = false;
    }
    if (IsOneOf(c, kOpeners)) ++depth;
    if (is_closer) --depth;
    if (c == U'\n') {
      depth = 0;  // a bracket that was forgotten does not reach over lines
    } else {
      const bool question = IsOneOf(c, kQuestionMarks) || (ended && is_closer && here.question);
      here = {at, words, question};
    }
    ended = ended || is_end;
  }
  finish();
  return ends;
}

}  // namespace

LimitedText HoldWordLimit(std::string_view content, std::int64_t max_words,
                          std::string_view posting_type) {
  LimitedText text;
  text.content = std::string(content);
  text.words = static_cast<std::int64_t>(CountCodePoints(content));
  text.within_limit = text.words <= max_words;
  if (text.within_limit) return text;

  const bool needs_question = posting_type == "interaction";
  std::optional<SentenceEnd> best;
  for (const SentenceEnd& end : FindSentenceEnds(content)) {
    if (end.words <= max_words && (end.question || !needs_question)) best = end;
  }
  if (!best || static_cast<double>(best->words) < kMinKept * static_cast<double>(max_words)) {
    return text;
  }
  text.content.resize(best->bytes);
  text.words = best->words;
  text.within_limit = true;
  text.shortened = true;
  return text;
}

}  // namespace postgen
