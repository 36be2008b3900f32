// The URLs of store.url and profiles.url.
#ifndef POSTGEN_SRC_STORE_STORE_URL_H_
#define POSTGEN_SRC_STORE_STORE_URL_H_

#include <string>

#include "store/postgres_url.h"

namespace postgen {

struct StoreLocation {
  enum class Kind { kNone, kMemory, kSqlite, kFile, kPostgres };
  Kind kind = Kind::kNone;
  std::string path;         // kSqlite, kFile: absolute
  PostgresTarget postgres;  // kPostgres

  friend bool operator==(const StoreLocation&, const StoreLocation&) = default;
};

// Fails with kInvalidConfig naming `field` and never a password. Looks at folders and files that
// the URL names, but not into them, and connects to nothing.
Result<StoreLocation> ParseStoreUrl(const std::string& url, const std::string& field);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_STORE_URL_H_
