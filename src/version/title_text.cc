#include "version/title_text.h"

#include <algorithm>
#include <array>

#include "text/utf8.h"
#include "version/body_cleaner.h"
#include "version/brackets.h"
#include "version/reply_label.h"

namespace postgen {
namespace {

// Cutting at punctuation must not leave a stump.
constexpr std::size_t kMinCutWords = 8;

// How far into a body its first sentence is looked for: beyond that it is no text.
constexpr std::size_t kMaxSearchedWords = 1000;

// Ends of clauses; these go when a title is cut there.
constexpr std::array<std::string_view, 11> kClauseEnds = {"，", "。", "；", "：", "、", ",",
                                                          ";",  ":",  "—",  "…",  " "};
// Those of them that no title ends with.
constexpr std::array<std::string_view, 6> kCommas = {"，", "；", "、", "：", ",", ";"};
// Ends that belong to the title.
constexpr std::array<std::string_view, 4> kMarkedEnds = {"？", "！", "?", "!"};

template <std::size_t N>
std::size_t EndingSize(std::string_view text, const std::array<std::string_view, N>& endings) {
  for (const std::string_view ending : endings) {
    if (text.ends_with(ending)) return ending.size();
  }
  return 0;
}

template <std::size_t N>
std::string_view WithoutEndings(std::string_view text,
                                const std::array<std::string_view, N>& endings) {
  for (std::size_t size = EndingSize(text, endings); size > 0; size = EndingSize(text, endings)) {
    text.remove_suffix(size);
  }
  return text;
}

std::string_view CutTitle(std::string_view title) {
  if (CountCodePoints(title) <= kMaxTitleWords) return title;
  const std::string_view longest = TakeCodePoints(title, kMaxTitleWords);
  for (std::size_t words = kMaxTitleWords; words > kMinCutWords; --words) {
    const std::string_view cut = TakeCodePoints(longest, words);
    if (EndingSize(cut, kMarkedEnds) > 0) return cut;
    if (EndingSize(cut, kClauseEnds) > 0) return WithoutEndings(cut, kClauseEnds);
  }
  return longest;
}

std::string WithoutMarkdown(std::string_view line) {
  std::string text;
  BodyCleaner cleaner;
  cleaner.Push(line, &text);
  cleaner.End(&text);
  return text;
}

// Without brackets and commas that are not the title's own.
std::string_view StripAround(std::string_view text) {
  return WithoutEndings(StripLooseCloser(StripBrackets(text)), kCommas);
}

// With the mark that ends it.
std::size_t SentenceSize(std::string_view text) {
  std::size_t size = text.size();
  for (const std::string_view end : {"。", "？", "！", "?", "!", "\n"}) {
    const std::size_t at = text.find(end);
    if (at != std::string_view::npos) size = std::min(size, at + end.size());
  }
  return size;
}

}  // namespace

std::string CleanTitle(std::string_view line) {
  const std::string text = WithoutMarkdown(line);
  std::string_view title = StripAround(text);
  for (LabelMatch label = MatchLabel(title, /*complete=*/true);
       label.kind != LabelMatch::Kind::kNone; label = MatchLabel(title, /*complete=*/true)) {
    title = StripAround(title.substr(label.value));
  }
  return std::string(WithoutEndings(CutTitle(title), kCommas));
}

std::string DeriveTitle(std::string_view body) {
  std::string title;
  body = TakeCodePoints(body, kMaxSearchedWords);
  while (title.empty() && !body.empty()) {
    const std::size_t size = SentenceSize(body);
    std::string_view sentence = body.substr(0, size);
    body.remove_prefix(size);
    if (sentence.ends_with("。")) sentence.remove_suffix(std::string_view("。").size());
    title = CleanTitle(sentence);
  }
  return title;
}

}  // namespace postgen
