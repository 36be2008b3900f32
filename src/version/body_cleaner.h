// Takes the marks of Markdown out of a body and makes its white space even, piece by piece: bold
// and fence marks, headings, rules, list marks at the start of a line; single asterisks, hashtags
// and numbering stay.
#ifndef POSTGEN_SRC_VERSION_BODY_CLEANER_H_
#define POSTGEN_SRC_VERSION_BODY_CLEANER_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace postgen {

class BodyCleaner {
 public:
  // Appends to *out what is certain of the text so far. REQUIRES: whole code points, normalised
  // (text_normalizer.h).
  void Push(std::string_view text, std::string* out);
  // No more will come: appends what was held back.
  void End(std::string* out);

  // Nothing was handed out yet.
  bool empty() const { return empty_; }

 private:
  void PushInLine(char c, std::string* out);
  void ReadLineHead(bool complete, std::string* out);
  void EndLine(std::string* out);
  void WriteMarks(std::string* out);
  void Write(std::string_view text, std::string* out);

  std::string head_;  // start of a line, not yet known to be mark or text
  bool in_head_ = true;
  char mark_ = 0;  // the run of asterisks or backquotes before the next character
  std::size_t marks_ = 0;
  std::string spaces_;         // since the last character written, in this line
  std::size_t line_ends_ = 0;  // since the last character written
  bool empty_ = true;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_BODY_CLEANER_H_
