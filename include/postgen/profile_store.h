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

class ProfileStore {
 public:
  // std::nullopt: there is no such KOL. An error: the store could not be read (Code::kStore); a
  // missing table is such an error and not an absent KOL.
  using FindCallback = std::function<void(Result<std::optional<KolProfile>>)>;

  ProfileStore() = default;
  ProfileStore(const ProfileStore&) = delete;
  ProfileStore& operator=(const ProfileStore&) = delete;
  virtual ~ProfileStore() = default;

  // Calls back exactly once by `deadline`, from any thread, possibly before returning. Thread-safe.
  virtual void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) = 0;
};

// The given profiles, by their `serial`.
POSTGEN_EXPORT std::unique_ptr<ProfileStore> NewMemoryProfileStore(
    std::vector<KolProfile> profiles);

}  // namespace postgen

#endif  // POSTGEN_PROFILE_STORE_H_
