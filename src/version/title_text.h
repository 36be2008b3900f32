// Titles: cleaned, cut to what the forum shows, or made from the body where a reply has none.
#ifndef POSTGEN_SRC_VERSION_TITLE_TEXT_H_
#define POSTGEN_SRC_VERSION_TITLE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace postgen {

inline constexpr std::size_t kMaxTitleWords = 25;

// One line of a reply as a title: without marks, labels and brackets, at most kMaxTitleWords long.
// Empty: nothing but those. REQUIRES: normalised text (text_normalizer.h).
std::string CleanTitle(std::string_view line);

// The first sentence of a cleaned body, cut as a title.
std::string DeriveTitle(std::string_view body);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_TITLE_TEXT_H_
