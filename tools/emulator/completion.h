// A chat request's answer: the text of each choice, cut where the token limit says, as the pieces
// in which it is generated.
#ifndef POSTGEN_EMULATOR_COMPLETION_H_
#define POSTGEN_EMULATOR_COMPLETION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chat_request.h"
#include "faults.h"
#include "settings.h"

namespace emulator {

struct Choice {
  enum class Field { kContent, kRefusal, kNull };

  std::int64_t index = 0;
  Field field = Field::kContent;
  std::string text;                 // as it was meant, before faults of the encoding
  std::vector<std::string> pieces;  // a token each, as the inside of a JSON string
  std::string finish_reason = "stop";
};

struct Completion {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  std::vector<Choice> choices;
  std::int64_t prompt_tokens = 0;
  std::int64_t reasoning_tokens = 0;  // of all choices

  std::vector<std::int64_t> ChoiceTokens() const;
};

// Depends on the seed, the index, the request and the fault alone, except for `created`.
Completion Complete(const ChatRequest& request, const Settings& settings, std::uint64_t index,
                    const std::optional<Fault>& fault);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_COMPLETION_H_
