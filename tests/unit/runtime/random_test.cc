#include "runtime/random.h"

#include <cctype>
#include <cstddef>
#include <set>
#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

TEST_CASE("a UUID has the form of RFC 4122 version 4") {
  for (int n = 0; n < 100; ++n) {
    const std::string uuid = NewUuid();
    REQUIRE(uuid.size() == 36);
    for (std::size_t i = 0; i < uuid.size(); ++i) {
      CAPTURE(uuid);
      CHECK((i == 8 || i == 13 || i == 18 || i == 23 ? uuid[i] == '-' : IsLowerHex(uuid[i])));
    }
    CHECK(uuid[14] == '4');
    CHECK(std::string("89ab").find(uuid[19]) != std::string::npos);
  }
}

TEST_CASE("identifiers and seeds do not repeat") {
  std::set<std::string> uuids;
  std::set<std::uint64_t> seeds;
  for (int n = 0; n < 10000; ++n) {
    uuids.insert(NewUuid());
    seeds.insert(RandomSeed());
  }
  CHECK(uuids.size() == 10000);
  CHECK(seeds.size() == 10000);
}

}  // namespace
}  // namespace postgen
