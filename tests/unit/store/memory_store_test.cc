#include <doctest/doctest.h>

#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"

namespace postgen {
namespace {

TEST_CASE("the memory store keeps the contract of PostStore") {
  CheckPostStoreContract([] { return NewMemoryPostStore(); });
}

TEST_CASE("profiles in memory keep the contract of ProfileStore") {
  CheckProfileStoreContract([] { return NewMemoryProfileStore(TestProfiles()); });
}

}  // namespace
}  // namespace postgen
