// The angles from which the versions of a post are written.
#ifndef POSTGEN_SRC_PROMPT_ANGLES_H_
#define POSTGEN_SRC_PROMPT_ANGLES_H_

#include <string_view>

namespace postgen {

struct Angle {
  std::string_view name;      // as stored and shown: 技術面分析
  std::string_view guidance;  // how to open, what to argue with, how the sentences run
};

// Every posting type has ten; posting types other than `interaction` share theirs. Static storage.
// REQUIRES: 1 <= version_number <= 10.
const Angle& AngleOf(std::string_view posting_type, int version_number);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_ANGLES_H_
