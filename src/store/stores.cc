#include "store/stores.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "store/postgres_stores.h"
#include "store/profile_cache.h"
#include "store/profile_file.h"
#include "store/spool_folder.h"
#include "store/sqlite_stores.h"
#include "store/store_url.h"

namespace postgen {
namespace {

using Kind = StoreLocation::Kind;

PostgresPoolSize PoolSize(const StoreOptions& options) {
  PostgresPoolSize size;
  size.max = static_cast<std::size_t>(std::max<std::int64_t>(options.pool_max, 1));
  size.min =
      std::min(size.max, static_cast<std::size_t>(std::max<std::int64_t>(options.pool_min, 0)));
  return size;
}

// What stores of one place share; null where the place is of another kind.
struct Place {
  std::shared_ptr<PostgresPool> pool;
  std::shared_ptr<SqliteDatabase> database;
};

Place OpenPlace(const StoreLocation& location, SqliteUse use, const StoreOptions& options,
                EventLoop* loop) {
  Place place;
  if (location.kind == Kind::kPostgres) {
    place.pool = std::make_shared<PostgresPool>(location.postgres, PoolSize(options), loop);
  } else if (location.kind == Kind::kSqlite) {
    place.database = std::make_shared<SqliteDatabase>(location.path, use);
  }
  return place;
}

std::unique_ptr<PostStore> NewPosts(const StoreLocation& location, const Place& place,
                                    EventLoop* loop) {
  switch (location.kind) {
    case Kind::kMemory: return NewMemoryPostStore();
    case Kind::kSqlite: return NewSqlitePostStore(place.database, loop);
    case Kind::kPostgres: return NewPostgresPostStore(place.pool, loop);
    case Kind::kNone:
    case Kind::kFile: break;
  }
  return nullptr;
}

Result<std::unique_ptr<ProfileStore>> NewProfiles(const StoreLocation& location, const Place& place,
                                                  EventLoop* loop) {
  switch (location.kind) {
    case Kind::kMemory: return NewMemoryProfileStore({});
    case Kind::kSqlite: return NewSqliteProfileStore(place.database, loop);
    case Kind::kPostgres: return NewPostgresProfileStore(place.pool, loop);
    case Kind::kFile: return NewProfileFile(location.path, loop);
    case Kind::kNone: break;
  }
  return std::unique_ptr<ProfileStore>();
}

// PostgreSQL can be away for long, so it has a spool unless the options say otherwise; a file is
// rarely away, so it has one where they name a folder.
std::string SpoolFolderOf(const StoreLocation& location, const std::string& option) {
  const bool can_be_away = location.kind == Kind::kPostgres || location.kind == Kind::kSqlite;
  if (option == "none:" || !can_be_away) return {};
  if (!option.empty()) return option;
  return location.kind == Kind::kPostgres ? DefaultSpoolFolder() : std::string();
}

}  // namespace

Result<Stores> OpenStores(const StoreOptions& store, const ProfileOptions& profiles,
                          EventLoop* loop) {
  const auto posts_at = ParseStoreUrl(store.url, "store.url");
  if (!posts_at.ok()) return posts_at.error();
  const auto profiles_at =
      profiles.url.empty() ? posts_at : ParseStoreUrl(profiles.url, "profiles.url");
  if (!profiles_at.ok()) return profiles_at.error();

  const Place posts_place = OpenPlace(*posts_at, SqliteUse::kStorePosts, store, loop);
  const Place profiles_place = *profiles_at == *posts_at
                                   ? posts_place
                                   : OpenPlace(*profiles_at, SqliteUse::kReadProfiles, store, loop);
  auto found = NewProfiles(*profiles_at, profiles_place, loop);
  if (!found.ok()) return std::move(found).error();

  Stores stores;
  stores.posts = NewPosts(*posts_at, posts_place, loop);
  if (posts_place.pool) {
    stores.ledger = NewPostgresLedger(posts_place.pool, loop);
    stores.spending = NewPostgresSpending(posts_place.pool, loop);
  }
  if (posts_place.database) {
    stores.ledger = NewSqliteLedger(posts_place.database, loop);
    stores.spending = NewSqliteSpending(posts_place.database, loop);
  }
  if (std::string folder = SpoolFolderOf(*posts_at, store.spool); !folder.empty()) {
    SpoolSettings settings;
    settings.folder = std::move(folder);
    settings.target = posts_at->kind == Kind::kPostgres ? posts_at->postgres.shown : posts_at->path;
    settings.max_bytes = store.spool_max_bytes;
    stores.spool = std::make_unique<Spool>(std::move(settings), stores.posts.get(), loop);
  } else if (posts_at->kind == Kind::kPostgres && store.spool.empty()) {
    stores.no_spool = "this user has no home folder; set store.spool";
  }
  if (*found) {
    stores.profiles =
        NewProfileCache(*std::move(found), std::chrono::seconds(profiles.ttl_s), loop);
  }
  return stores;
}

}  // namespace postgen
