// Guesses what a misspelt name was meant to be.
#ifndef POSTGEN_SRC_REQUEST_EDIT_DISTANCE_H_
#define POSTGEN_SRC_REQUEST_EDIT_DISTANCE_H_

#include <cstddef>
#include <string_view>

namespace postgen {

// Levenshtein distance in bytes; both lengths count, so keep the texts short.
std::size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_EDIT_DISTANCE_H_
