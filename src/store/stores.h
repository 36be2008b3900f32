// Opens the store and the profile store that the options name.
#ifndef POSTGEN_SRC_STORE_STORES_H_
#define POSTGEN_SRC_STORE_STORES_H_

#include <memory>
#include <string>

#include "postgen/options.h"
#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "runtime/event_loop.h"
#include "store/request_ledger.h"
#include "store/spending_ledger.h"
#include "store/spool.h"

namespace postgen {

struct Stores {
  std::unique_ptr<PostStore> posts;  // null for "none:"
  std::unique_ptr<ProfileStore>
      profiles;  // null for "none:"; reads through the same pool or file as `posts` where
                 // both name the same place; TTL cache and single flight included
  std::unique_ptr<RequestLedger> ledger;     // beside `posts`; null where nothing would last
  std::unique_ptr<SpendingLedger> spending;  // the same
  std::unique_ptr<Spool> spool;              // of `posts`, which outlives it; null: there is none
  // Why there is no spool where there should be one, and what to set; else empty.
  std::string no_spool;
};

// Checks the URLs (kInvalidConfig naming store.url or profiles.url, never a password) and connects
// to nothing yet. Everything that blocks runs on `loop`, the store thread, which must outlive the
// stores.
Result<Stores> OpenStores(const StoreOptions& store, const ProfileOptions& profiles,
                          EventLoop* loop);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_STORES_H_
