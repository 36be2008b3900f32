// What every ProfileStore must do, whatever it is made of.
#ifndef POSTGEN_TESTS_CONTRACT_PROFILE_STORE_CONTRACT_H_
#define POSTGEN_TESTS_CONTRACT_PROFILE_STORE_CONTRACT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "contract/post_store_contract.h"
#include "postgen/profile_store.h"

namespace postgen {

// Opens a store of TestProfiles(). Call it inside a TEST_CASE; its parts are SUBCASEs.
void CheckProfileStoreContract(const std::function<std::unique_ptr<ProfileStore>()>& open);

// KOL 208 with everything, KOL 7 with nothing but its serial and nickname, and one whose serial is
// the text "0009".
std::vector<KolProfile> TestProfiles();

// INSERT statements for them, with hostile texts in the standard's quotes.
std::string TestProfilesSql();

Result<FoundProfile> FindAndWait(ProfileStore* store, std::int64_t kol_serial,
                                 TimePoint deadline = Soon());

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_PROFILE_STORE_CONTRACT_H_
