#include "core/recent_choices.h"

#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("RecentChoices knows the order of the last texts of each KOL of each tenant") {
  RecentChoices recent;
  recent.Add("a", 1, "x");
  recent.Add("a", 1, "y");
  CHECK(recent.LastChosen("a", 1, "x") > 0);
  CHECK(recent.LastChosen("a", 1, "y") > recent.LastChosen("a", 1, "x"));
  recent.Add("a", 1, "x");
  CHECK(recent.LastChosen("a", 1, "x") > recent.LastChosen("a", 1, "y"));
  CHECK(recent.LastChosen("a", 1, "z") == 0);
  CHECK(recent.LastChosen("a", 2, "x") == 0);
  CHECK(recent.LastChosen("b", 1, "x") == 0);
  CHECK(recent.LastChosen("1:a", 1, "x") == 0);
}

TEST_CASE("RecentChoices is bounded: old texts go, and KOLs that are not used") {
  RecentChoices recent;
  for (std::size_t i = 0; i <= RecentChoices::kTexts; ++i) recent.Add("", 1, std::to_string(i));
  CHECK(recent.LastChosen("", 1, "0") == 0);
  CHECK(recent.LastChosen("", 1, "1") > 0);
  recent.Add("", 2, "x");
  for (std::size_t i = 0; i < RecentChoices::kKols - 1; ++i) {
    recent.Add("", 100 + static_cast<std::int64_t>(i), "x");
    recent.Add("", 1, "1");
  }
  CHECK(recent.LastChosen("", 1, "1") > 0);
  CHECK(recent.LastChosen("", 2, "x") == 0);
}

}  // namespace
}  // namespace postgen
