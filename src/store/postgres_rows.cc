#include "store/postgres_rows.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

namespace postgen {
namespace {

using std::chrono::milliseconds;

// At most so many rows in a transaction, and so many transactions at once. Each transaction keeps
// one of the server's processes busy; larger ones store no more rows a second, and leave its other
// cores idle: 64 posts at a time are stored 1.4 times as fast in two halves (`scripts/bench
// store`).
constexpr std::size_t kMaxBatch = 32;
constexpr std::size_t kBatchesAtOnce = 4;

// While a transaction is under way, another one is worth its parsing, planning and commit from so
// many rows on; fewer wait for the end of that one, though not for long: it may be held up.
constexpr std::size_t kWorthwhile = 16;
constexpr auto kPatience = milliseconds(10);

Error NotKept() {
  return {Code::kStore,
          "table post_records took the row and did not keep it; look for a trigger or rule on "
          "post_records that drops rows, for row security that hides them, or for somebody who "
          "deletes them",
          std::string(kPostTable)};
}

}  // namespace

void PostgresRows::Put(PostRow row, Layout layout, TimePoint deadline,
                       PostStore::DoneCallback finish) {
  waiting_.push_back({std::move(row), std::move(layout), deadline, std::move(finish)});
  WriteSoon();
}

// After what else comes at this moment.
void PostgresRows::WriteSoon() {
  if (std::exchange(write_posted_, true)) return;
  loop()->Post([this, weak = weak_from_this()] {
    if (weak.expired()) return;
    write_posted_ = false;
    WriteWaiting();
  });
}

void PostgresRows::WriteWaiting() {
  while (batches_ < kBatchesAtOnce && (batches_ == 0 || waiting_.size() >= kWorthwhile)) {
    if (!WriteBatch()) return;
  }
  if (waiting_.empty() || std::exchange(patient_, true)) return;
  loop()->RunAt(loop()->Now() + kPatience, [this, weak = weak_from_this()] {
    if (weak.expired()) return;
    patient_ = false;
    if (batches_ < kBatchesAtOnce) WriteBatch();
    WriteWaiting();
  });
}

bool PostgresRows::WriteBatch() {
  Batch batch = TakeBatch();
  if (batch.empty()) return false;
  ++batches_;
  Write(std::move(batch));
  return true;
}

PostgresRows::Batch PostgresRows::TakeBatch() {
  Batch batch;
  const TimePoint now = loop()->Now();
  while (!waiting_.empty() && batch.size() < kMaxBatch) {
    WaitingRow& next = waiting_.front();
    if (!batch.empty() && (next.alone || batch.back().alone)) break;
    // Those who are late have heard that it was not written.
    if (next.deadline > now) batch.push_back(std::move(next));
    waiting_.pop_front();
  }
  return batch;
}

void PostgresRows::Write(Batch batch) {
  PostgresTransaction inserts;
  inserts.reserve(batch.size());
  TimePoint deadline = TimePoint::min();
  for (const WaitingRow& waiting : batch) {
    inserts.push_back(InsertStatement(waiting.row, *waiting.layout));
    deadline = std::max(deadline, waiting.deadline);  // each has its own timer, too
  }
  const auto shared = std::make_shared<Batch>(std::move(batch));
  RunAll(
      std::move(inserts), deadline,
      [this, shared](const PostgresFailure& failure) {
        OnWriteFailed(std::move(*shared), failure);
      },
      [this, shared](const std::vector<PostgresResult>& results) { OnWritten(*shared, results); });
}

void PostgresRows::OnWritten(const Batch& batch, const std::vector<PostgresResult>& results) {
  --batches_;
  WriteWaiting();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (PQntuples(results[i].get()) == 1) {
      batch[i].finish({});
    } else {
      Compare(batch[i]);
    }
  }
}

// None of them is written. A row that the server refuses is left out, the others go again; if it
// does not say which one, each goes alone.
void PostgresRows::OnWriteFailed(Batch batch, const PostgresFailure& failure) {
  --batches_;
  Batch ended;
  if (failure.error.details.transient || failure.never_connected || batch.size() == 1) {
    ended = std::exchange(batch, {});
  } else if (failure.refused) {
    const auto refused = batch.begin() + static_cast<std::ptrdiff_t>(*failure.refused);
    ended.push_back(std::move(*refused));
    batch.erase(refused);
  } else {
    for (WaitingRow& waiting : batch) waiting.alone = true;
  }
  waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()),
                  std::make_move_iterator(batch.end()));
  WriteWaiting();
  for (const WaitingRow& waiting : ended) waiting.finish(failure.error);
}

// The post was there already: is it this one, written by an attempt whose answer was lost?
void PostgresRows::Compare(const WaitingRow& waiting) {
  Get(waiting.row.post_id, waiting.layout, waiting.deadline,
      [row = waiting.row, layout = waiting.layout,
       finish = waiting.finish](const Result<std::optional<PostRow>>& stored) {
        if (!stored.ok()) return finish(stored.error());
        // Not a conflict: that would say that a row is in the table.
        if (!*stored) return finish(NotKept());
        if (SameContent(**stored, row, *layout)) return finish({});
        finish(Error(Code::kConflict, "another post is stored under this post_id", "post_id"));
      });
}

void PostgresRows::Get(const std::string& post_id, const Layout& layout, TimePoint deadline,
                       const PostStore::RowCallback& finish) {
  Run(SelectStatement(post_id, *layout), deadline, finish,
      [layout, finish](const PGresult* result) { finish(ReadRow(result, *layout)); });
}

}  // namespace postgen
