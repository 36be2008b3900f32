// What made the post: the trigger in words, and what it says about the direction of the price.
#ifndef POSTGEN_SRC_PROMPT_TRIGGER_H_
#define POSTGEN_SRC_PROMPT_TRIGGER_H_

#include <string>
#include <string_view>

namespace postgen {

struct Trigger {
  std::string description;     // what happened; an unknown trigger is quoted
  std::string_view direction;  // how the text must and must not read it
};

// The app's keys exactly, older and own ones by the words in them.
Trigger DescribeTrigger(std::string_view trigger_type);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_TRIGGER_H_
