// Keeps profiles for a while, so that not every post reads a row that hardly ever changes.
#ifndef POSTGEN_SRC_STORE_PROFILE_CACHE_H_
#define POSTGEN_SRC_STORE_PROFILE_CACHE_H_

#include <memory>

#include "postgen/profile_store.h"
#include "runtime/executor.h"

namespace postgen {

// Answers from memory for `ttl` after a read (absent KOLs too), reads each KOL once however many
// ask at the same time, and says what it last read, marked stale, where the read fails or takes
// longer than the caller can wait. REQUIRES: `executor` outlives the store.
std::unique_ptr<ProfileStore> NewProfileCache(std::unique_ptr<ProfileStore> inner, Duration ttl,
                                              Executor* executor);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_PROFILE_CACHE_H_
