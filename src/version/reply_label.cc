#include "version/reply_label.h"

#include <algorithm>
#include <array>
#include <optional>

#include "text/utf8.h"

namespace postgen {
namespace {

using Kind = LabelMatch::Kind;

struct Word {
  std::string_view text;  // lower case
  Kind kind;
};

// No word is the beginning of another.
constexpr Word kWords[] = {
    {"標題", Kind::kTitle},       {"标题", Kind::kTitle},       {"title", Kind::kTitle},
    {"貼文標題", Kind::kTitle},   {"文章標題", Kind::kTitle},   {"內容", Kind::kContent},
    {"内容", Kind::kContent},     {"內文", Kind::kContent},     {"内文", Kind::kContent},
    {"正文", Kind::kContent},     {"content", Kind::kContent},  {"body", Kind::kContent},
    {"貼文內容", Kind::kContent}, {"文章內容", Kind::kContent},
};

constexpr std::string_view kSpacesAndMarks = " \t*_`#";
constexpr std::string_view kLead = " \t*_`#-+>.0123456789";
constexpr std::array<std::string_view, 3> kBullets = {"•", "·", "、"};
constexpr std::array<std::string_view, 4> kColons = {"：", ":", "﹕", "︰"};

// The first three make a label even without a colon; the others also quote words in running text.
constexpr std::size_t kSquareBrackets = 3;
constexpr std::array<std::string_view, 9> kOpeners = {"【", "[",  "［", "「", "『",
                                                      "《", "〈", "<",  "“"};
constexpr std::array<std::string_view, 9> kClosers = {"】", "]",  "］", "」", "』",
                                                      "》", "〉", ">",  "”"};

// A model may repeat a hint between word and colon, as in 標題（15 字）：.
constexpr std::size_t kMaxHintBytes = 60;
constexpr std::array<std::string_view, 2> kHintOpeners = {"（", "("};
constexpr std::array<std::string_view, 2> kHintClosers = {"）", ")"};

// Titles and preambles are short; looking further would cost time and find phrases.
constexpr std::size_t kMaxInnerOffset = 1024;

// Marks, word, hint and colon of a label inside a line.
constexpr std::size_t kMaxInnerLabelBytes = 256;

// What may stand before a label inside a line; else the word is part of a phrase (會議內容：...).
constexpr std::array<std::string_view, 17> kBoundaries = {
    " ", "\t", "*", "|", "/", "。", "！", "？", "!", "?", "，", ",", "；", ";", "：", "】", "]"};

bool IsSymbol(char32_t c) {
  return (c >= 0x2190 && c <= 0x2BFF) || (c >= 0x1F000 && c <= 0x1FAFF) ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0x200D;
}

// Walks along a line.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : line_(line) {}

  std::string_view rest() const { return line_.substr(at_); }
  std::size_t at() const { return at_; }
  bool at_end() const { return at_ == line_.size(); }
  void Skip(std::size_t bytes) { at_ += bytes; }

  // Skips the ASCII characters of `set` that stand here; false: none does.
  bool SkipAll(std::string_view set) {
    const std::size_t begin = at_;
    at_ = std::min(line_.find_first_not_of(set, at_), line_.size());
    return at_ > begin;
  }

  // Skips one of `texts` and tells which.
  template <std::size_t N>
  std::optional<std::size_t> SkipOne(const std::array<std::string_view, N>& texts) {
    for (std::size_t i = 0; i < N; ++i) {
      if (rest().starts_with(texts[i])) {
        at_ += texts[i].size();
        return i;
      }
    }
    return std::nullopt;
  }

  // Skips arrows, ornaments and emoji.
  bool SkipSymbols() {
    const std::size_t begin = at_;
    for (std::size_t next = at_; next < line_.size(); at_ = next) {
      if (!IsSymbol(NextCodePoint(line_, &next))) break;
    }
    return at_ > begin;
  }

 private:
  std::string_view line_;
  std::size_t at_ = 0;
};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The longest common beginning, ASCII letters of `text` in either case.
std::size_t CommonPrefix(std::string_view text, std::string_view lower) {
  std::size_t i = 0;
  while (i < text.size() && i < lower.size() && Lower(text[i]) == lower[i]) ++i;
  return i;
}

// How far a hint reaches that starts here: 0: none starts; npos: it does not end within bounds.
std::size_t HintSize(std::string_view text) {
  const bool starts = std::any_of(kHintOpeners.begin(), kHintOpeners.end(),
                                  [&](std::string_view o) { return text.starts_with(o); });
  if (!starts) return 0;
  std::size_t size = std::string_view::npos;
  for (const std::string_view closer : kHintClosers) {
    const std::size_t at = text.substr(0, kMaxHintBytes).find(closer);
    if (at != std::string_view::npos) size = std::min(size, at + closer.size());
  }
  return size;
}

// `opener`: which bracket stands open around the word.
LabelMatch MatchAfterWord(Cursor cursor, Kind kind, std::optional<std::size_t> opener,
                          bool complete) {
  bool closed = false;
  while (!cursor.at_end()) {
    if (cursor.SkipOne(kColons)) return {kind, cursor.at(), opener && !closed};
    if (cursor.SkipAll(kSpacesAndMarks)) continue;
    if (opener && !closed && cursor.rest().starts_with(kClosers[*opener])) {
      cursor.Skip(kClosers[*opener].size());
      closed = true;
      continue;
    }
    const std::size_t hint = HintSize(cursor.rest());
    if (hint == std::string_view::npos && !complete && cursor.rest().size() < kMaxHintBytes) {
      return {Kind::kMaybe};
    }
    if (hint != 0 && hint != std::string_view::npos) {
      cursor.Skip(hint);
      continue;
    }
    const bool label = closed && *opener < kSquareBrackets;
    return label ? LabelMatch{kind, cursor.at()} : LabelMatch{};
  }
  // A line with nothing but the word is a label, too: a heading.
  return complete ? LabelMatch{kind, cursor.at()} : LabelMatch{Kind::kMaybe};
}

template <std::size_t N>
bool EndsWithOne(std::string_view text, const std::array<std::string_view, N>& endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return text.ends_with(ending); });
}

}  // namespace

LabelMatch MatchLabel(std::string_view line, bool complete) {
  Cursor cursor(line);
  while (cursor.SkipAll(kLead) || cursor.SkipOne(kBullets) || cursor.SkipSymbols()) {
  }
  const std::optional<std::size_t> opener = cursor.SkipOne(kOpeners);
  cursor.SkipAll(kSpacesAndMarks);
  bool maybe = cursor.at_end();
  for (const Word& word : kWords) {
    const std::size_t common = CommonPrefix(cursor.rest(), word.text);
    if (common == word.text.size()) {
      cursor.Skip(common);
      return MatchAfterWord(cursor, word.kind, opener, complete);
    }
    maybe = maybe || common == cursor.rest().size();
  }
  return maybe && !complete ? LabelMatch{Kind::kMaybe} : LabelMatch{};
}

std::size_t FindInnerLabel(std::string_view line, LabelMatch::Kind kind, InnerLabel where) {
  const std::size_t end = std::min(line.size(), kMaxInnerOffset);
  for (std::size_t at = 0; at < end; NextCodePoint(line, &at)) {
    const bool after_boundary = EndsWithOne(line.substr(0, at), kBoundaries);
    if (!after_boundary && where == InnerLabel::kAfterBoundary) continue;
    const LabelMatch match = MatchLabel(line.substr(at, kMaxInnerLabelBytes), /*complete=*/true);
    if (match.kind == kind && EndsWithOne(line.substr(at, match.value), kColons)) return at;
  }
  return std::string_view::npos;
}

}  // namespace postgen
