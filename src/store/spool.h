// The spool: where finished texts are durable while the store is away, and from where they move to
// it when it is back.
//
// A spool writes to one file, made when it is first needed. Files that dead processes left for the
// same store are taken over as they are, the first of them to be written to. What is moved is
// written under its own post id, so that a text that was moved twice is one row.
#ifndef POSTGEN_SRC_STORE_SPOOL_H_
#define POSTGEN_SRC_STORE_SPOOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postgen/post_store.h"
#include "runtime/executor.h"
#include "store/spool_file.h"

namespace postgen {

struct SpoolSettings {
  std::string folder;
  std::string target;  // the store's place; spools of other places are not touched
  std::int64_t max_bytes = 0;
};

// As of now; of the files that this process holds.
struct SpoolStatus {
  SpoolTotals totals;
  std::int64_t moved = 0;      // to the store, since the start
  std::int64_t adopted = 0;    // from files of dead processes
  std::int64_t set_aside = 0;  // damaged files, kept under another name
  // Files in the folder that this spool leaves alone, as of the last look for those of dead
  // processes.
  std::int64_t of_other_stores = 0;
  std::int64_t of_others_at_work = 0;  // of this store, held by others who live and move them
  std::string trouble;  // the last failure to write or to move; empty: none since a success
};

class Spool {
 public:
  using DoneCallback = std::function<void(Status)>;
  using ListCallback = std::function<void(Result<std::vector<SpooledPost>>)>;

  // REQUIRES: `store` and `executor`, on whose thread all files are used, outlive the spool.
  Spool(SpoolSettings settings, PostStore* store, Executor* executor);
  // By then every operation has called back.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // All functions return at once, are thread-safe, and call back once by `deadline`, from any
  // thread.

  // Takes over what dead processes left and begins to move it.
  void Start();

  // Is there room for one more post? kBusy: it is full; kStore: it cannot be written.
  void Check(TimePoint deadline, DoneCallback done);

  // Makes a post durable in place of what was kept under its id. kReady: it is to be moved.
  void Keep(PostRow row, SpoolState state, TimePoint deadline, DoneCallback done);

  // What was kept open of a post is not needed: its row is in the store, or nobody wants it.
  void Forget(std::string post_id);
  // What was kept open of a post is all there will be of it: to be moved.
  void Release(std::string post_id);

  // Tries at once to move everything, once more what the store refused before; success: nothing is
  // left. Posts that are refused stay, and the error names their count and the first refusal.
  void Flush(TimePoint deadline, DoneCallback done);

  // The posts of this spool that wait (kReady) and that the store refused.
  void List(TimePoint deadline, ListCallback done);

  SpoolStatus status() const;
  const std::string& folder() const;

 private:
  class Impl;
  Executor* const executor_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_SPOOL_H_
