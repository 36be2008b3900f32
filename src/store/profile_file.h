// Profiles in a JSON file.
#ifndef POSTGEN_SRC_STORE_PROFILE_FILE_H_
#define POSTGEN_SRC_STORE_PROFILE_FILE_H_

#include <memory>
#include <string>

#include "postgen/profile_store.h"
#include "runtime/executor.h"

namespace postgen {

// Reads the file at once, and anew on the executor's thread whenever it has changed. Fails with
// kInvalidConfig naming profiles.url. REQUIRES: `executor` outlives the store.
Result<std::unique_ptr<ProfileStore>> NewProfileFile(std::string path, Executor* executor);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_PROFILE_FILE_H_
