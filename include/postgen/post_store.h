// The post store: where finished posts become rows. Built-in ones are PostgreSQL, SQLite and
// memory.
//
// The generator calls Check() before it pays for anything and Put() afterwards.
#ifndef POSTGEN_POST_STORE_H_
#define POSTGEN_POST_STORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postgen/export.h"
#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

class PostStore {
 public:
  using DoneCallback = std::function<void(Status)>;
  using RowCallback = std::function<void(Result<std::optional<PostRow>>)>;
  // One line for each thing that was created or altered; empty: everything was there already.
  using MigrateCallback = std::function<void(Result<std::vector<std::string>>)>;

  PostStore() = default;
  PostStore(const PostStore&) = delete;
  PostStore& operator=(const PostStore&) = delete;
  // By then every operation has called back.
  virtual ~PostStore() = default;

  // All functions return at once, are thread-safe, and call back exactly once by `deadline`, from
  // any thread, possibly before returning. Errors are Code::kStore except where said otherwise.

  // Can a post be written? Asks whether the store answers now; the schema is looked at once, and a
  // good look remembered.
  virtual void Check(TimePoint deadline, DoneCallback done) = 0;

  // Writes one row; durable when it calls back. The same row again is success and changes nothing;
  // other content under the same post_id is Code::kConflict.
  virtual void Put(PostRow row, TimePoint deadline, DoneCallback done) = 0;

  // Reads one row; absent: std::nullopt.
  virtual void Get(std::string post_id, TimePoint deadline, RowCallback done) = 0;

  // Creates or completes the tables it needs; idempotent.
  virtual void Migrate(TimePoint deadline, MigrateCallback done) = 0;
};

// The store that `options` name, by itself, with a thread of its own: to read and write rows
// without making posts, or to wrap it and hand the wrapper to PostGenerator::Create. It keeps no
// spool. Callbacks come on that thread, which must not destroy the store. Connects to nothing yet;
// fails with Code::kInvalidConfig naming the option, or Code::kNomem where the system has no thread
// or descriptor left. Not for use after fork(). Thread-safe.
POSTGEN_EXPORT Result<std::unique_ptr<PostStore>> NewPostStore(const StoreOptions& options);

// Rows in memory, for tests and for trying things out.
POSTGEN_EXPORT std::unique_ptr<PostStore> NewMemoryPostStore();

}  // namespace postgen

#endif  // POSTGEN_POST_STORE_H_
