// Makes the text of a reply uniform before it is read: one kind of line end and of space,
// no invisible characters.
#ifndef POSTGEN_SRC_VERSION_TEXT_NORMALIZER_H_
#define POSTGEN_SRC_VERSION_TEXT_NORMALIZER_H_

#include <string>
#include <string_view>

namespace postgen {

class TextNormalizer {
 public:
  // Appends the next fragment, cut anywhere, to *out; whole code points only. REQUIRES: the
  // fragments joined are valid UTF-8.
  void Push(std::string_view fragment, std::string* out);

 private:
  void Append(char32_t code_point, std::string* out);

  std::string unfinished_;  // the beginning of a code point
  bool after_cr_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_TEXT_NORMALIZER_H_
