#include "version/choice.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

VersionResult Version(int number, bool within_limit = true, Source source = Source::kLlm) {
  VersionResult version;
  version.version_number = number;
  version.within_limit = within_limit;
  version.source = source;
  return version;
}

VersionResult Failed(int number) {
  VersionResult version = Version(number);
  version.error = Error(Code::kTruncated, "cut");
  return version;
}

std::map<int, int> ChooseOften(const std::vector<VersionResult>& versions, int times) {
  Rng rng(7);
  std::map<int, int> chosen;
  for (int i = 0; i < times; ++i) ++chosen[ChooseVersion(Choice::kRandom, versions, &rng)];
  return chosen;
}

TEST_CASE("ChooseVersion is uniform among the good ones") {
  const std::map<int, int> chosen =
      ChooseOften({Version(1), Version(2), Failed(3), Version(4), Version(5)}, 4000);
  CHECK(chosen.size() == 4);
  CHECK(chosen.count(3) == 0);
  for (const std::pair<const int, int>& entry : chosen) {
    CAPTURE(entry.first);
    CHECK(entry.second > 850);
    CHECK(entry.second < 1150);
  }
}

TEST_CASE("ChooseVersion prefers the model's versions, then those within the limit") {
  using Numbers = std::vector<int>;
  const auto numbers = [](const std::vector<VersionResult>& versions) {
    Numbers result;
    for (const auto& entry : ChooseOften(versions, 200)) result.push_back(entry.first);
    return result;
  };
  CHECK(numbers({Version(1, false), Version(2), Version(3)}) == Numbers{2, 3});
  CHECK(numbers({Version(1, false), Version(2, false)}) == Numbers{1, 2});
  CHECK(numbers({Version(1, true, Source::kTemplate), Version(2, false)}) == Numbers{2});
  CHECK(numbers({Version(1, true, Source::kCache), Version(2)}) == Numbers{1, 2});
  CHECK(numbers({Version(1, true, Source::kTemplate), Failed(2)}) == Numbers{1});
  CHECK(numbers({Failed(1), Failed(2)}) == Numbers{0});
  CHECK(numbers({}) == Numbers{0});
}

TEST_CASE("ChooseVersion repeats itself for a seed, in whatever order the versions finished") {
  std::vector<VersionResult> versions = {Version(1), Version(2), Version(3), Version(4),
                                         Version(5)};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    const int chosen = ChooseVersion(Choice::kRandom, versions, &rng);
    std::reverse(versions.begin(), versions.end());
    Rng again(seed);
    CHECK(ChooseVersion(Choice::kRandom, versions, &again) == chosen);
  }
}

TEST_CASE("ChooseVersion takes what was not chosen for longest, of those it prefers anyway") {
  const std::vector<VersionResult> versions = {Version(1), Version(2), Version(3),
                                               Version(4, /*within_limit=*/false)};
  std::map<int, std::uint64_t> when;
  const LastChosen last_chosen = [&when](const VersionResult& v) { return when[v.version_number]; };
  Rng rng(7);
  std::vector<int> chosen;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    chosen.push_back(ChooseVersion(Choice::kRandom, versions, &rng, last_chosen));
    when[chosen.back()] = i;
  }
  CHECK(std::set<int>(chosen.begin(), chosen.begin() + 3) == std::set<int>{1, 2, 3});
  CHECK(std::equal(chosen.begin(), chosen.begin() + 3, chosen.begin() + 3));
}

}  // namespace
}  // namespace postgen
