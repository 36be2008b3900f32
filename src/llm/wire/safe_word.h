// Words of a provider that we repeat (codes, finish reasons, request ids).
#ifndef POSTGEN_SRC_LLM_WIRE_SAFE_WORD_H_
#define POSTGEN_SRC_LLM_WIRE_SAFE_WORD_H_

#include <string>
#include <string_view>

namespace postgen {

// `text` if it looks like an identifier (up to 64 characters of A-Z a-z 0-9 _ - . : /), else
// empty: what is no identifier may be anything, an echoed prompt included.
std::string SafeWord(std::string_view text);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_SAFE_WORD_H_
