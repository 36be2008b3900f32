// The spool's SQLite file: posts that are durable here and not yet in the store. One blocking call
// each; not thread-safe; used on the store thread only.
#ifndef POSTGEN_SRC_STORE_SPOOL_FILE_H_
#define POSTGEN_SRC_STORE_SPOOL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/sqlite_file.h"

namespace postgen {

enum class SpoolState {
  kOpen,     // what is finished of a post that its process still works on; not moved
  kReady,    // waits for the store
  kRefused,  // the store will not have it; kept for people to look at
};

struct SpooledPost {
  PostRow row;
  SpoolState state = SpoolState::kReady;
  // The post's process ended early: this is what was finished by then, and a row that the store may
  // have under the same id holds all of it.
  bool is_snapshot = false;
  std::string refusal;  // kRefused: why
};

struct SpoolTotals {
  std::int64_t open = 0;
  std::int64_t ready = 0;
  std::int64_t refused = 0;
  std::int64_t bytes = 0;  // of texts, over all states

  std::int64_t posts() const { return open + ready + refused; }
  // `posts` more, or fewer, in a state.
  void Add(SpoolState state, std::int64_t posts, std::int64_t more_bytes);
};

class SpoolFile {
 public:
  // Opens or creates the file. Fails with kStore where the file is damaged or not a spool
  // (damaged() tells) or cannot be written; it is left as it is.
  static Result<std::unique_ptr<SpoolFile>> Open(const std::string& path);

  // Writes posts, each in place of what was there under its id, and removes others, all or nothing;
  // durable on success.
  Status Apply(const std::vector<const SpooledPost*>& posts,
               const std::vector<std::string>& removed);

  // The oldest posts in that state, in the order of their writing. A post whose bytes are not those
  // that were written is refused instead of returned.
  Result<std::vector<SpooledPost>> Read(SpoolState state, std::size_t limit);

  // What is kept open, of that post or of all (empty), is all there will be: now kReady, as a
  // snapshot.
  Status Release(const std::string& post_id);

  // What the store refused waits for it again, as if it had never been tried; not the posts whose
  // bytes are not those that were written.
  Status RetryRefused();

  bool Has(const std::string& post_id);
  // After a failed write: syncs anew what the file may not have on the disk.
  Status Settle() { return file_->Settle(); }
  const SpoolTotals& totals() const { return totals_; }

  // The file was removed or replaced while it was open: what is written to it is lost.
  bool HasMoved() const { return file_->HasMoved(); }

 private:
  explicit SpoolFile(std::unique_ptr<SqliteFile> file) : file_(std::move(file)) {}
  Status Count();
  Status Write(const SpooledPost& post, SqliteStatement* insert);
  // Counts what it removes down in `totals`.
  Status Remove(const std::string& post_id, SqliteStatement* remove, SpoolTotals* totals);

  std::unique_ptr<SqliteFile> file_;
  SpoolTotals totals_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SPOOL_FILE_H_
