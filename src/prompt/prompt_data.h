// Texts of others inside a prompt: made harmless, and fenced where they are long.
#ifndef POSTGEN_SRC_PROMPT_PROMPT_DATA_H_
#define POSTGEN_SRC_PROMPT_PROMPT_DATA_H_

#include <string>
#include <string_view>
#include <vector>

namespace postgen {

// A fence opens and closes data; no text that went through OneLine or Block contains either.
inline constexpr std::string_view kDataOpen = "<<<DATA";
inline constexpr std::string_view kDataClose = "DATA>>>";

// On one line: line ends, controls and runs of white space are single spaces; invisible characters
// are gone, trimmed. REQUIRES: valid UTF-8, as for all functions here.
std::string OneLine(std::string_view text);

// With its lines, blank lines at the ends and invisible characters gone.
std::string Block(std::string_view text);

// One piece of data: what it is and its text.
struct DataItem {
  std::string label;
  std::string text;
};

// The items that have a text, each behind its label, between the fences; empty: none has.
std::string QuoteData(const std::vector<DataItem>& items);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_PROMPT_DATA_H_
