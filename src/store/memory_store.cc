// Rows and profiles in memory: the simplest stores, and the reference for the others.
#include <string>
#include <unordered_map>
#include <utility>

#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "runtime/mutex.h"
#include "store/schema.h"

namespace postgen {
namespace {

bool IsPast(TimePoint deadline) { return deadline <= std::chrono::steady_clock::now(); }

Error Late() { return {Code::kStore, "the deadline had passed before the store was asked"}; }

class MemoryPostStore final : public PostStore {
 public:
  void Check(TimePoint deadline, DoneCallback done) override {
    done(IsPast(deadline) ? Status(Late()) : Status());
  }

  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    done(IsPast(deadline) ? Status(Late()) : Insert(row));
  }

  void Get(std::string post_id, TimePoint deadline, RowCallback done) override {
    if (IsPast(deadline)) {
      done(Late());
    } else {
      done(Find(post_id));
    }
  }

  void Migrate(TimePoint deadline, MigrateCallback done) override {
    if (IsPast(deadline)) {
      done(Late());
    } else {
      done(std::vector<std::string>());
    }
  }

 private:
  Status Insert(const PostRow& row) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (Status checked = CheckRow(row); !checked.ok()) return checked;
    const MutexLock lock(&mutex_);
    const auto stored = rows_.find(row.post_id);
    if (stored == rows_.end()) {
      rows_.emplace(row.post_id, row);
      return {};
    }
    if (SameContent(stored->second, row, PostColumns::kAll22)) return {};
    return Error(Code::kConflict, "another post is stored under this post_id", "post_id");
  }

  std::optional<PostRow> Find(const std::string& post_id) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    const auto row = rows_.find(post_id);
    if (row == rows_.end()) return std::nullopt;
    return row->second;
  }

  Mutex mutex_;
  std::unordered_map<std::string, PostRow> rows_ ABSL_GUARDED_BY(mutex_);
};

class MemoryProfileStore final : public ProfileStore {
 public:
  explicit MemoryProfileStore(std::vector<KolProfile> profiles) {
    for (KolProfile& profile : profiles) {
      std::string serial = profile.serial;
      profiles_.insert_or_assign(std::move(serial), std::move(profile));
    }
  }

  void Find(std::int64_t kol_serial, TimePoint deadline, FindCallback done) override {
    if (IsPast(deadline)) {
      done(Late());
      return;
    }
    FoundProfile found;
    const auto profile = profiles_.find(std::to_string(kol_serial));
    if (profile != profiles_.end()) found.profile = profile->second;
    done(std::move(found));
  }

 private:
  std::unordered_map<std::string, KolProfile> profiles_;
};

}  // namespace

std::unique_ptr<PostStore> NewMemoryPostStore() { return std::make_unique<MemoryPostStore>(); }

std::unique_ptr<ProfileStore> NewMemoryProfileStore(std::vector<KolProfile> profiles) {
  return std::make_unique<MemoryProfileStore>(std::move(profiles));
}

}  // namespace postgen
