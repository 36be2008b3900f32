// The labels by which a model says what is title and what is body, at the start of a line: plain,
// bold, numbered, as a heading, in brackets, in full or half width, traditional or simplified.
#ifndef POSTGEN_SRC_VERSION_REPLY_LABEL_H_
#define POSTGEN_SRC_VERSION_REPLY_LABEL_H_

#include <cstddef>
#include <string_view>

namespace postgen {

struct LabelMatch {
  enum class Kind {
    kNone,
    kMaybe,  // more of the line is needed to tell
    kTitle,
    kContent,
  };
  Kind kind = Kind::kNone;
  std::size_t value = 0;      // kTitle, kContent: offset of what follows the label
  bool open_bracket = false;  // it stands inside a bracket that goes on: 【內容：...】
};

// What label `line` starts with. `complete`: the line has ended; then the answer is never kMaybe.
// An answer other than kMaybe stays the same however the line goes on.
LabelMatch MatchLabel(std::string_view line, bool complete);

// Where a label may stand inside a line: after a space or punctuation, or right after a word, where
// it may as well be the end of a phrase (會議內容：...).
enum class InnerLabel { kAfterBoundary, kAnywhere };

// Offset of the first label of that kind, with a colon, inside `line`; npos: none.
std::size_t FindInnerLabel(std::string_view line, LabelMatch::Kind kind, InnerLabel where);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_REPLY_LABEL_H_
