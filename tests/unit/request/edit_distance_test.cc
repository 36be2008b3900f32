#include "request/edit_distance.h"

#include <doctest/doctest.h>

#include <string_view>

namespace postgen {
namespace {

TEST_CASE("edit distance counts insertions, deletions and replacements") {
  struct Row {
    std::string_view a;
    std::string_view b;
    std::size_t distance;
  };
  const Row rows[] = {
      {"", "", 0},
      {"", "abc", 3},
      {"abc", "abc", 0},
      {"max_word", "max_words", 1},
      {"maxWords", "max_words", 2},
      {"versoins", "versions", 2},
      {"kitten", "sitting", 3},
  };
  for (const Row& row : rows) {
    CAPTURE(row.a);
    CHECK(EditDistance(row.a, row.b) == row.distance);
    CHECK(EditDistance(row.b, row.a) == row.distance);
  }
}

}  // namespace
}  // namespace postgen
