// The profile store: KOL personas by serial number. Built-in ones read `kol_profiles` in PostgreSQL
// or SQLite, or a JSON file.
#ifndef POSTGEN_PROFILE_STORE_H_
#define POSTGEN_PROFILE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postgen/export.h"
#include "postgen/types.h"

namespace postgen {

struct FoundProfile {
  std::optional<KolProfile> profile;  // absent: there is no such KOL
  bool stale = false;  // the store cannot be read now: this is what it said the last time
};

class ProfileStore {
 public:
  // An error: the store could not be read (Code::kStore); a missing table is such an error and not
  // an absent KOL.
  using FindCallback = std::function<void(Result<FoundProfile>)>;

  ProfileStore() = default;
  ProfileStore(const ProfileStore&) = delete;
  ProfileStore& operator=(const ProfileStore&) = delete;
  // By then every operation has called back.
  virtual ~ProfileStore() = default;

  // Calls back exactly once by `deadline`, from any thread, possibly before returning. Thread-safe.
  virtual void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) = 0;

  // What is cached is read anew at its next use. Thread-safe.
  virtual void Refresh() {}
};

// The given profiles, by their `serial`.
POSTGEN_EXPORT std::unique_ptr<ProfileStore> NewMemoryProfileStore(
    std::vector<KolProfile> profiles);

}  // namespace postgen

#endif  // POSTGEN_PROFILE_STORE_H_
