#include "version/word_limit.h"

#include <algorithm>

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

}  // namespace

bool MustEndInQuestion(std::string_view posting_type) { return posting_type == "interaction"; }

std::optional<SentenceEnd> SentenceScanner::Push(char32_t c, std::size_t bytes) {
  const bool is_end = IsOneOf(c, kSentenceEnds);
  const bool is_closer = IsOneOf(c, kClosers);
  std::optional<SentenceEnd> before;
  if (!is_end && !(is_closer && ended_)) {
    before = End();
    ended_ = false;
  }
  bytes_ += bytes;
  ++words_;
  if (IsOneOf(c, kOpeners)) ++depth_;
  if (is_closer) --depth_;
  if (c == U'\n') {
    depth_ = 0;  // a bracket that was forgotten does not reach over lines
  } else {
    const bool question = IsOneOf(c, kQuestionMarks) || (ended_ && is_closer && here_.question);
    here_ = {bytes_, words_, question};
  }
  ended_ = ended_ || is_end;
  return before;
}

std::optional<SentenceEnd> SentenceScanner::End() const {
  if (!ended_ || depth_ > 0 || here_.words == 0) return std::nullopt;
  return here_;
}

LimitedText HoldWordLimit(std::string_view content, std::int64_t max_words,
                          std::string_view posting_type) {
  LimitedText text;
  text.content = std::string(content);
  text.words = static_cast<std::int64_t>(CountCodePoints(content));
  text.within_limit = text.words <= max_words;
  if (text.within_limit) return text;

  const bool needs_question = MustEndInQuestion(posting_type);
  std::optional<SentenceEnd> best;
  const auto consider = [&](const std::optional<SentenceEnd>& end) {
    if (end && end->words <= max_words && (end->question || !needs_question)) best = end;
  };
  SentenceScanner scanner;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t begin = at;
    const char32_t c = NextCodePoint(content, &at);
    consider(scanner.Push(c, at - begin));
  }
  consider(scanner.End());
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
