// How many tokens a text of so many words may need. Formula and sources: docs/tokens.md.
#ifndef POSTGEN_SRC_PROMPT_TOKEN_BUDGET_H_
#define POSTGEN_SRC_PROMPT_TOKEN_BUDGET_H_

#include <cstdint>
#include <string_view>

namespace postgen {

// Tokens of visible text (title, labels and body) that a call for `max_words` words gets on
// `model`: enough for a model that writes 37 % too long, bounded by what the model can put out. A
// reasoning allowance is added by the client, which knows the parameter families.
std::int64_t VisibleTokenBudget(std::string_view model, std::int64_t max_words);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_TOKEN_BUDGET_H_
