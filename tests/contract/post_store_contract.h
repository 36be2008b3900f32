// What every PostStore must do, whatever it is made of.
//
//   TEST_CASE("the memory store keeps the contract of PostStore") {
//     CheckPostStoreContract([] { return NewMemoryPostStore(); });
//   }
#ifndef POSTGEN_TESTS_CONTRACT_POST_STORE_CONTRACT_H_
#define POSTGEN_TESTS_CONTRACT_POST_STORE_CONTRACT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postgen/post_store.h"

namespace postgen {

// Opens a store with all 22 columns and no rows. Call it inside a TEST_CASE; its parts are
// SUBCASEs.
void CheckPostStoreContract(const std::function<std::unique_ptr<PostStore>()>& open);

// A row with something in every column, hostile texts included.
PostRow TestRow(const std::string& post_id);

// Long enough for every operation that can succeed.
TimePoint Soon();

// Operations, waited for.
Status CheckAndWait(PostStore* store, TimePoint deadline = Soon());
Status PutAndWait(PostStore* store, const PostRow& row, TimePoint deadline = Soon());
Result<std::optional<PostRow>> GetAndWait(PostStore* store, const std::string& post_id,
                                          TimePoint deadline = Soon());
Result<std::vector<std::string>> MigrateAndWait(PostStore* store, TimePoint deadline = Soon());

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_POST_STORE_CONTRACT_H_
