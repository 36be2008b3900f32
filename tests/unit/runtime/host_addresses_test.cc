#include "runtime/host_addresses.h"

#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("an address as it stands, of either family, is no name") {
  for (const char* address : {"127.0.0.1", "::1", "fe80::1", "::ffff:10.0.0.1"}) {
    CHECK_MESSAGE(IsAddress(address), address);
  }
  // Also what the resolver alone takes for an address.
  for (const char* name : {"", "localhost", "redis.internal", "127.1", "1.2.3.4.", "[::1]"}) {
    CHECK_MESSAGE(!IsAddress(name), name);
  }
}

TEST_CASE("a name's addresses are numbers, and one that is none has the resolver's reason") {
  const auto found = LookUpAddresses("localhost");
  REQUIRE(found.ok());
  REQUIRE(!found->empty());
  for (const std::string& address : *found) CHECK_MESSAGE(IsAddress(address), address);
  const auto none = LookUpAddresses(std::string(300, 'a'));  // asks no server
  REQUIRE(!none.ok());
  CHECK(!none.error().message.empty());
}

}  // namespace
}  // namespace postgen
