#include "store/spool.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "runtime/failpoint.h"
#include "runtime/mutex.h"
#include "store/call_registry.h"
#include "store/spool_folder.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBatch = 64;               // posts moved at once
constexpr auto kMoveTimeout = seconds(5);        // of one of them
constexpr auto kFirstPause = milliseconds(250);  // after the store was found away; doubles
constexpr auto kLongestPause = seconds(2);
constexpr auto kAdoptInterval = seconds(10);
constexpr auto kLockedPause = milliseconds(10);  // how long to leave a file alone that is locked

Status LateStatus() {
  return Error(Code::kStore, "the spool did not answer before the deadline", "store.spool");
}

}  // namespace

// All functions but status(): on the executor's thread.
class Spool::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(SpoolSettings settings, PostStore* store, Executor* executor)
      : max_bytes_(settings.max_bytes),
        folder_(std::move(settings.folder), settings.target),
        store_(store),
        executor_(executor),
        calls_(std::make_shared<CallRegistry>(executor)) {}

  void Start() {
    Adopt();
    Move();
  }

  void Check(TimePoint deadline, DoneCallback done) {
    auto finish = calls_->Begin<void>(deadline, LateStatus, std::move(done));
    if (finish) finish(CheckNow());
  }

  void Keep(SpooledPost post, TimePoint deadline, DoneCallback done) {
    if (Status checked = CheckRow(post.row); !checked.ok()) return done(std::move(checked));
    auto finish = calls_->Begin<void>(deadline, LateStatus, std::move(done));
    if (!finish) return;
    keeping_.push_back({std::move(post), deadline, std::move(finish)});
    WriteSoon();
  }

  void Forget(std::string post_id) {
    forgotten_.push_back(std::move(post_id));
    WriteSoon();
  }

  void Release(std::string post_id) {
    released_.push_back(std::move(post_id));
    WriteNow();
  }

  void Flush(TimePoint deadline, DoneCallback done) {
    auto finish = calls_->Begin<void>(deadline, LateStatus, std::move(done));
    if (!finish) return;
    WriteNow();
    flushing_.push_back(std::move(finish));
    retry_refused_ = true;
    Adopt();
    Move();
  }

  void List(TimePoint deadline, ListCallback done) {
    auto finish = calls_->Begin<std::vector<SpooledPost>>(
        deadline, [] { return Result<std::vector<SpooledPost>>(LateStatus().error()); },
        std::move(done));
    if (!finish) return;
    Adopt();
    std::vector<SpooledPost> posts;
    for (const SpoolState state : {SpoolState::kReady, SpoolState::kRefused}) {
      for (const auto& held : held_) {
        if (held->file == nullptr) continue;
        auto found = held->file->Read(state, SIZE_MAX >> 1U);
        if (!found.ok()) return finish(std::move(found).error());
        std::move(found->begin(), found->end(), std::back_inserter(posts));
      }
    }
    finish(std::move(posts));
  }

  void Close() {
    WriteNow();
    executor_->CancelTimer(write_timer_);
    executor_->CancelTimer(move_timer_);
    executor_->CancelTimer(adopt_timer_);
    calls_->Close();
    for (const auto& held : held_) CloseIfEmpty(held.get());
    held_.clear();
  }

  SpoolStatus status() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    return status_;
  }

  const std::string& folder() const { return folder_.folder(); }

 private:
  // A file that this process has the lock of.
  struct Held {
    std::unique_ptr<SpoolClaim> claim;
    std::unique_ptr<SpoolFile> file;  // null after a failed write, until it is opened anew
    bool unsettled = false;           // a write failed, and it was not settled since

    // After a failed write nobody knows what the file's pages in memory are worth.
    void Distrust() {
      file.reset();
      unsettled = true;
    }
  };
  struct Keeping {
    SpooledPost post;
    TimePoint deadline;
    DoneCallback finish;
  };
  // Posts on their way to the store.
  struct Batch {
    std::shared_ptr<Held> from;
    std::vector<SpooledPost> posts;
    std::vector<std::optional<Status>> ends;
    std::size_t open = 0;
  };

  // --- Writing

  Status CheckNow() {
    if (Status opened = EnsureOpen(); !opened.ok()) return opened;
    if (Status room = folder_.CheckRoom(); !room.ok()) return room;
    const SpoolTotals totals = status().totals;
    if (totals.bytes < max_bytes_) return {};
    return Error(Code::kBusy,
                 "the store is away and the spool is full (" + std::to_string(totals.posts()) +
                     " posts); nothing was paid. See: postgen spool list",
                 "store.spool_max_bytes");
  }

  // What waits at the same moment shares one transaction, and so one fsync.
  void WriteSoon() {
    if (write_posted_) return;
    write_posted_ = true;
    executor_->Post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->WriteNow();
    });
  }

  // Another program holds the file's lock.
  void WriteLater() {
    write_posted_ = true;
    executor_->CancelTimer(write_timer_);
    write_timer_ = executor_->RunAt(executor_->Now() + kLockedPause, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->WriteNow();
    });
  }

  void WriteNow() {
    write_posted_ = false;
    // Whoever asked has been told that it was late.
    std::erase_if(keeping_,
                  [now = executor_->Now()](const Keeping& keep) { return keep.deadline <= now; });
    if (keeping_.empty() && held_.empty()) {
      forgotten_.clear();
      released_.clear();
    }
    if (!keeping_.empty() || !forgotten_.empty()) WriteKept();
    // What is released may be what was to be kept first.
    if (!released_.empty() && keeping_.empty()) WriteReleased();
    // A flush is of all that was to be kept when it was asked for.
    if (!flushing_.empty() && !write_posted_) Move();
  }

  void WriteKept() {
    std::vector<Keeping> keeping = std::exchange(keeping_, {});
    std::vector<std::string> forgotten = std::exchange(forgotten_, {});
    std::vector<const SpooledPost*> posts;
    for (const Keeping& keep : keeping) posts.push_back(&keep.post);
    POSTGEN_FAILPOINT("spool.before_write");
    Status written = Apply(posts, forgotten);
    if (!written.ok() && written.error().code == Code::kBusy) {
      keeping_ = std::move(keeping);
      forgotten_ = std::move(forgotten);
      return WriteLater();
    }
    if (!written.ok() && !written.error().details.transient) {
      if (!held_.empty()) held_.front()->Distrust();
      written = Apply(posts, forgotten);
    }
    POSTGEN_FAILPOINT("spool.after_write");
    Note(written);
    if (written.ok()) RemoveOlder(posts);
    CountNow();
    bool ready = false;
    for (const Keeping& keep : keeping) {
      ready = ready || keep.post.state == SpoolState::kReady;
      keep.finish(written);
    }
    if (!written.ok()) return EndFlush(written);
    // What was to be forgotten and is not: a row of the same id in the store ends it later.
    if (ready) MoveLater();
  }

  void WriteReleased() {
    const Status released = ReleaseAll();
    Note(released);
    CountNow();
    if (released.ok()) return Move();
    // Other failures last: tried again with the next write, at the latest when Adopt() is next due.
    if (released.error().code == Code::kBusy) WriteLater();
  }

  Status ReleaseAll() {
    if (Status opened = EnsureOpen(); !opened.ok()) return opened;
    Held* const own = held_.front().get();
    while (!released_.empty()) {
      if (Status released = own->file->Release(released_.back()); !released.ok()) {
        if (!released.error().details.transient) own->Distrust();
        return released;
      }
      released_.pop_back();
    }
    return {};
  }

  // In the file that new posts are written to.
  Status Apply(const std::vector<const SpooledPost*>& posts,
               const std::vector<std::string>& removed) {
    if (!held_.empty() && held_.front()->file != nullptr && held_.front()->file->HasMoved()) {
      held_.erase(held_.begin());
    }
    if (Status opened = EnsureOpen(); !opened.ok()) return opened;
    const std::shared_ptr<Held> own = held_.front();
    if (Status applied = own->file->Apply(posts, removed); !applied.ok()) return applied;
    if (!own->file->HasMoved()) return {};
    return Error(Code::kStore, "the spool's file was removed while it was written", "store.spool");
  }

  // In the file that they came from.
  Status ApplyTo(Held* held, const std::vector<const SpooledPost*>& posts,
                 const std::vector<std::string>& removed) {
    if (Status opened = Open(held); !opened.ok()) return opened;
    Status applied = held->file->Apply(posts, removed);
    if (!applied.ok() && !applied.error().details.transient) held->Distrust();
    return applied;
  }

  // What was taken over of the same posts: snapshots of what is kept now.
  void RemoveOlder(const std::vector<const SpooledPost*>& posts) {
    for (std::size_t i = 1; i < held_.size(); ++i) {
      std::vector<std::string> older;
      for (const SpooledPost* post : posts) {
        if (held_[i]->file != nullptr && held_[i]->file->Has(post->row.post_id)) {
          older.push_back(post->row.post_id);
        }
      }
      if (!older.empty()) Note(ApplyTo(held_[i].get(), {}, older));
    }
  }

  // The first of the files, or a new one.
  Status EnsureOpen() {
    if (held_.empty()) {
      auto claim = folder_.New();
      if (!claim.ok()) return std::move(claim).error();
      held_.push_back(std::make_shared<Held>());
      held_.back()->claim = *std::move(claim);
    }
    Status opened = Open(held_.front().get());
    if (opened.ok() || !SqliteFile::SaysDamaged(opened.error())) return opened;
    SetAside(held_.front()->claim.get());
    held_.erase(held_.begin());
    return EnsureOpen();
  }

  Status Open(Held* held) {
    if (held->file != nullptr) return {};
    auto file = SpoolFile::Open(held->claim->path());
    if (!file.ok()) return std::move(file).error();
    if (held->unsettled) {
      if (Status settled = (*file)->Settle(); !settled.ok()) return settled;
      held->unsettled = false;
    }
    held->file = *std::move(file);
    CountNow();
    return {};
  }

  static bool CloseIfEmpty(Held* held) {
    if (held->file == nullptr || held->file->totals().posts() > 0) return false;
    held->file.reset();
    held->claim->Remove();
    return true;
  }

  void SetAside(SpoolClaim* claim) {
    const std::string kept = claim->SetAside();
    const MutexLock lock(&mutex_);
    ++status_.set_aside;
    status_.trouble = "a spool was damaged; it is kept as " + kept;
  }

  // --- Taking over

  void Adopt() {
    executor_->CancelTimer(adopt_timer_);
    const auto own = static_cast<std::int64_t>(held_.size());
    for (auto& orphan : folder_.Orphans()) AdoptOne(std::move(orphan));
    CountOthers(std::max<std::int64_t>(0, folder_.taken() - own));
    CountNow();
    adopt_timer_ = executor_->RunAt(executor_->Now() + kAdoptInterval, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->WriteNow();
      self->Adopt();
      self->Move();
    });
  }

  // The file itself changes hands: nothing is read or copied, however much it holds.
  void AdoptOne(std::unique_ptr<SpoolClaim> orphan) {
    const auto held = std::make_shared<Held>();
    held->claim = std::move(orphan);
    Status adopted = Open(held.get());
    if (adopted.ok()) adopted = held->file->Release("");
    if (!adopted.ok()) {
      held->file.reset();
      if (SqliteFile::SaysDamaged(adopted.error())) SetAside(held->claim.get());
      return;
    }
    POSTGEN_FAILPOINT("spool.adopted");
    if (CloseIfEmpty(held.get())) return;
    held_.push_back(held);
    const MutexLock lock(&mutex_);
    status_.adopted += held->file->totals().posts();
  }

  // --- Moving

  void MoveLater() {
    if (move_timer_ != 0 || batch_ != nullptr) return;
    move_timer_ = executor_->RunAt(executor_->Now() + pause_, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->move_timer_ = 0;
      self->Move();
    });
  }

  void Move() {
    if (batch_ != nullptr) return;
    for (const auto& held : held_) {
      const Status opened = Open(held.get());
      if (opened.ok()) continue;
      Note(opened);
      EndFlush(opened);
      return MoveLater();
    }
    if (const Status retried = RetryRefused(); !retried.ok()) {
      // Tried again, and the flush ended, when the file is free.
      if (retried.error().code == Code::kBusy) return WriteLater();
      Note(retried);
      EndFlush(retried);
      return MoveLater();
    }
    const auto from = std::find_if(held_.begin(), held_.end(),
                                   [](const auto& held) { return held->file->totals().ready > 0; });
    if (from == held_.end()) {
      if (!write_posted_) EndFlush(DescribeRefused());
      return;
    }
    auto posts = (*from)->file->Read(SpoolState::kReady, kBatch);
    if (!posts.ok()) {
      Note(posts.error());
      return EndFlush(posts.error());
    }
    // Their bytes were not what was written, and they are refused by now.
    if (posts->empty()) return Move();
    batch_ = std::make_shared<Batch>();
    batch_->from = *from;
    batch_->posts = *std::move(posts);
    batch_->ends.resize(batch_->posts.size());
    batch_->open = batch_->posts.size();
    const TimePoint deadline = executor_->Now() + kMoveTimeout;
    for (std::size_t i = 0; i < batch_->posts.size(); ++i) {
      store_->Put(batch_->posts[i].row, deadline, [weak = weak_from_this(), i](Status status) {
        const auto self = weak.lock();
        if (!self) return;
        self->executor_->Post([weak, i, status = std::move(status)]() mutable {
          if (const auto still = weak.lock()) still->OnMoved(i, std::move(status));
        });
      });
    }
  }

  // For a flush: what a store refused it may take by now, as when a column was made wider.
  // REQUIRES: all files are open.
  Status RetryRefused() {
    if (!retry_refused_) return {};
    for (const auto& held : held_) {
      if (held->file->totals().refused == 0) continue;
      if (Status retried = held->file->RetryRefused(); !retried.ok()) {
        if (!retried.error().details.transient) held->Distrust();
        return retried;
      }
    }
    retry_refused_ = false;
    CountNow();
    return {};
  }

  // An error if posts are left that the store refuses. REQUIRES: all files are open.
  Status DescribeRefused() {
    std::int64_t count = 0;
    std::string first;
    for (const auto& held : held_) {
      const std::int64_t refused = held->file->totals().refused;
      count += refused;
      if (refused == 0 || !first.empty()) continue;
      const auto posts = held->file->Read(SpoolState::kRefused, 1);
      if (!posts.ok()) return posts.error();
      if (!posts->empty()) first = posts->front().refusal;
    }
    if (count == 0) return {};
    return Error(Code::kStore,
                 std::to_string(count) + (count == 1 ? " post stays" : " posts stay") +
                     " in the spool, refused: " + first + ". See: postgen spool list --json");
  }

  void OnMoved(std::size_t index, Status status) {
    batch_->ends[index] = std::move(status);
    if (--batch_->open > 0) return;
    POSTGEN_FAILPOINT("spool.moved");
    std::vector<std::string> stored;
    std::optional<Error> away;
    bool refused = false;
    for (std::size_t i = 0; i < batch_->posts.size(); ++i) {
      const Status& end = *batch_->ends[i];
      const SpooledPost& post = batch_->posts[i];
      const bool conflict = !end.ok() && end.error().code == Code::kConflict;
      if (end.ok() || (conflict && post.is_snapshot)) {
        stored.push_back(post.row.post_id);
      } else if (!end.error().details.transient) {
        refused = true;
        away = end.error();
      } else {
        away = end.error();
      }
    }
    const Status removed = ApplyTo(batch_->from.get(), {}, stored);
    Note(removed);
    // They will be read, and put, once more: not at once.
    if (!removed.ok()) return EndBatch(removed.error());
    {
      const MutexLock lock(&mutex_);
      status_.moved += static_cast<std::int64_t>(stored.size());
    }
    if (refused) return JudgeRefused();
    EndBatch(std::move(away));
  }

  // Is it the posts, or the store as a whole (its tables, our permissions)?
  void JudgeRefused() {
    store_->Check(executor_->Now() + kMoveTimeout, [weak = weak_from_this()](Status status) {
      const auto self = weak.lock();
      if (!self) return;
      self->executor_->Post([weak, status = std::move(status)] {
        if (const auto still = weak.lock()) still->OnJudged(status);
      });
    });
  }

  void OnJudged(const Status& store) {
    if (!store.ok()) return EndBatch(store.error());
    std::optional<Error> away;
    std::vector<SpooledPost> refused;
    for (std::size_t i = 0; i < batch_->posts.size(); ++i) {
      const Status& end = *batch_->ends[i];
      SpooledPost& post = batch_->posts[i];
      if (end.ok() || (end.error().code == Code::kConflict && post.is_snapshot)) continue;
      if (end.error().details.transient) {
        away = end.error();
        continue;
      }
      post.state = SpoolState::kRefused;
      post.refusal = end.error().message;
      refused.push_back(std::move(post));
    }
    std::vector<const SpooledPost*> kept;
    for (const SpooledPost& post : refused) kept.push_back(&post);
    if (Status written = ApplyTo(batch_->from.get(), kept, {}); !written.ok()) {
      away = written.error();
    }
    EndBatch(std::move(away));
  }

  void EndBatch(std::optional<Error> away) {
    const auto from = std::find(held_.begin(), held_.end(), batch_->from);
    batch_.reset();
    const bool adopted = from != held_.end() && from != held_.begin();
    if (adopted && CloseIfEmpty(from->get())) held_.erase(from);
    CountNow();
    if (away.has_value()) {
      Note(*away);
      EndFlush(*away);
      MoveLater();
      pause_ = std::min<Duration>(pause_ * 2, kLongestPause);
      return;
    }
    pause_ = kFirstPause;
    Move();
  }

  void EndFlush(const Status& status) {
    for (const DoneCallback& finish : std::exchange(flushing_, {})) finish(status);
  }

  // --- Status

  void Note(const Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    status_.trouble = status.ok() ? "" : status.error().message;
  }

  void CountOthers(std::int64_t at_work) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::int64_t of_other_stores = folder_.CountOthers();
    const MutexLock lock(&mutex_);
    status_.of_other_stores = of_other_stores;
    status_.of_others_at_work = at_work;
  }

  void CountNow() ABSL_LOCKS_EXCLUDED(mutex_) {
    SpoolTotals sum;
    for (const auto& held : held_) {
      if (held->file == nullptr) return;  // as it was before
      const SpoolTotals& totals = held->file->totals();
      sum.open += totals.open;
      sum.ready += totals.ready;
      sum.refused += totals.refused;
      sum.bytes += totals.bytes;
    }
    const MutexLock lock(&mutex_);
    status_.totals = sum;
  }

  const std::int64_t max_bytes_;
  SpoolFolder folder_;
  PostStore* const store_;
  Executor* const executor_;
  const std::shared_ptr<CallRegistry> calls_;

  mutable Mutex mutex_;
  SpoolStatus status_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::shared_ptr<Held>> held_;  // what is written goes to the first
  std::vector<Keeping> keeping_;
  std::vector<std::string> forgotten_;
  std::vector<std::string> released_;
  bool write_posted_ = false;
  std::shared_ptr<Batch> batch_;
  std::vector<DoneCallback> flushing_;
  bool retry_refused_ = false;  // a flush was asked for, and has not come so far
  Duration pause_ = kFirstPause;
  TimerId write_timer_ = 0;
  TimerId move_timer_ = 0;
  TimerId adopt_timer_ = 0;
};

Spool::Spool(SpoolSettings settings, PostStore* store, Executor* executor)
    : executor_(executor), impl_(std::make_shared<Impl>(std::move(settings), store, executor)) {}

Spool::~Spool() {
  RunAndWait(executor_, [this] {
    impl_->Close();
    impl_.reset();  // the file is closed on its thread
  });
}

void Spool::Start() {
  executor_->Post([impl = impl_] { impl->Start(); });
}

void Spool::Check(TimePoint deadline, DoneCallback done) {
  executor_->Post([impl = impl_, deadline, done = std::move(done)]() mutable {
    impl->Check(deadline, std::move(done));
  });
}

void Spool::Keep(PostRow row, SpoolState state, TimePoint deadline, DoneCallback done) {
  SpooledPost post;
  post.row = std::move(row);
  post.state = state;
  executor_->Post(
      [impl = impl_, post = std::move(post), deadline, done = std::move(done)]() mutable {
        impl->Keep(std::move(post), deadline, std::move(done));
      });
}

void Spool::Forget(std::string post_id) {
  executor_->Post(
      [impl = impl_, post_id = std::move(post_id)]() mutable { impl->Forget(std::move(post_id)); });
}

void Spool::Release(std::string post_id) {
  executor_->Post([impl = impl_, post_id = std::move(post_id)]() mutable {
    impl->Release(std::move(post_id));
  });
}

void Spool::Flush(TimePoint deadline, DoneCallback done) {
  executor_->Post([impl = impl_, deadline, done = std::move(done)]() mutable {
    impl->Flush(deadline, std::move(done));
  });
}

void Spool::List(TimePoint deadline, ListCallback done) {
  executor_->Post([impl = impl_, deadline, done = std::move(done)]() mutable {
    impl->List(deadline, std::move(done));
  });
}

SpoolStatus Spool::status() const { return impl_->status(); }

const std::string& Spool::folder() const { return impl_->folder(); }

}  // namespace postgen
