// A prompt with placeholders: {name}, {obj.key}, {list[0]} or {list[0].key}.
//
//   標的：{stock}
//   參考素材：{material}
//
// Values go in once, in a single pass: braces inside a value stay as they are. A line with
// placeholders none of which has a value is left out, so that no label stands there empty. Braces
// around anything that does not start like a name ({"json": 1}, {標題}) are text.
#ifndef POSTGEN_SRC_PROMPT_PROMPT_TEMPLATE_H_
#define POSTGEN_SRC_PROMPT_PROMPT_TEMPLATE_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/error.h"

namespace postgen {

class PromptTemplate {
 public:
  using IsKnown = std::function<bool(std::string_view placeholder)>;
  using AppendValue = std::function<void(std::string_view placeholder, std::string* out)>;

  PromptTemplate() = default;

  // `source` names the template in errors: kInvalidConfig for a placeholder that is not known or
  // not closed.
  static Result<PromptTemplate> Parse(std::string_view text, std::string_view source,
                                      const IsKnown& is_known);

  // Without blank lines at both ends and without two blank lines of its own in a row.
  std::string Expand(const AppendValue& append_value) const;

  // Does any placeholder fit `predicate`?
  bool Mentions(const IsKnown& predicate) const;

 private:
  struct Piece {
    std::string text;  // literal text, or the placeholder without its braces
    bool is_placeholder = false;
  };
  using Line = std::vector<Piece>;

  static Result<Line> ParseLine(std::string_view text, std::string_view source,
                                const IsKnown& is_known);

  std::vector<Line> lines_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_PROMPT_TEMPLATE_H_
