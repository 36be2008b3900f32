// Rows of post_records, read and written.
#ifndef POSTGEN_SRC_STORE_POSTGRES_ROWS_H_
#define POSTGEN_SRC_STORE_POSTGRES_ROWS_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "postgen/post_store.h"
#include "store/postgres_calls.h"
#include "store/postgres_layout.h"

namespace postgen {

// Rows that wait at the same moment go in one transaction, and so with one wait for the server and
// one flush of its log.
class PostgresRows final : public PostgresCalls {
 public:
  // `on_failure` hears of every failure, before the others do.
  PostgresRows(std::shared_ptr<PostgresPool> pool, EventLoop* loop, FailureCallback on_failure)
      : PostgresCalls(std::move(pool), loop), on_failure_(std::move(on_failure)) {}

  using Layout = std::shared_ptr<const PostLayout>;

  // As PostStore has them, with the table's layout. `finish` is called at `deadline` by
  // whoever made it.
  void Put(PostRow row, Layout layout, TimePoint deadline, PostStore::DoneCallback finish);
  void Get(const std::string& post_id, const Layout& layout, TimePoint deadline,
           const PostStore::RowCallback& finish);

 private:
  struct WaitingRow {
    PostRow row;
    Layout layout;
    TimePoint deadline;
    PostStore::DoneCallback finish;
    bool alone = false;  // is not to share a transaction
  };
  using Batch = std::vector<WaitingRow>;

  void WriteSoon();
  void WriteWaiting();
  // False: nothing waits.
  bool WriteBatch();
  Batch TakeBatch();
  void Write(Batch batch);
  void OnWritten(const Batch& batch, const std::vector<PostgresResult>& results);
  void OnWriteFailed(Batch batch, const PostgresFailure& failure);
  void Compare(const WaitingRow& waiting);
  void OnFailure(const PostgresFailure& failure) override { on_failure_(failure); }

  const FailureCallback on_failure_;
  std::deque<WaitingRow> waiting_;
  std::size_t batches_ = 0;  // being written
  bool write_posted_ = false;
  bool patient_ = false;  // there is a timer
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_ROWS_H_
