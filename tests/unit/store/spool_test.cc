#include "store/spool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "runtime/manual_executor.h"
#include "store/spool_folder.h"
#include "support/locked_database.h"
#include "support/scoped.h"
#include "unit/store/faulty_vfs.h"

namespace postgen {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::LockedDatabase;

PostRow Row(const std::string& id, const std::string& text = "內文。") {
  PostRow row;
  row.post_id = id;
  row.created_at = WallTime(std::chrono::hours(500000));
  row.kol_serial = 208;
  row.title = "標題";
  row.content = text;
  return row;
}

// A store that is away until told; keeps the rows in the order of their coming.
class SwitchedStore final : public PostStore {
 public:
  void Check(TimePoint /*deadline*/, DoneCallback done) override { done(check); }
  void Put(PostRow row, TimePoint deadline, DoneCallback done) override {
    ++puts;
    if (on_put) on_put();
    if (!check.ok()) return done(check);
    if (row.content == poison) return done(Error(Code::kStore, "a text is too long"));
    inner->Put(row, TimePoint::max(), [&](Status status) {
      if (status.ok()) ids.push_back(row.post_id);
      if (lose_answers) status = Away();
      done(std::move(status));
    });
    (void)deadline;
  }
  void Get(std::string id, TimePoint /*deadline*/, RowCallback done) override {
    inner->Get(std::move(id), TimePoint::max(), std::move(done));
  }
  void Migrate(TimePoint /*deadline*/, MigrateCallback done) override {
    done(std::vector<std::string>());
  }

  static Error Away() {
    Error error(Code::kStore, "away");
    error.details.transient = true;
    return error;
  }

  std::optional<PostRow> Stored(const std::string& id) {
    std::optional<PostRow> found;
    Get(id, TimePoint::max(), [&](Result<std::optional<PostRow>> row) { found = *row; });
    return found;
  }

  Status check;
  std::string poison = "(none)";
  bool lose_answers = false;
  int puts = 0;
  std::function<void()> on_put;
  std::vector<std::string> ids;
  std::unique_ptr<PostStore> inner = NewMemoryPostStore();
};

struct Fixture {
  testing::TempFolder folder;
  ManualExecutor executor;
  SwitchedStore store;
  std::int64_t max_bytes = 1 << 20;

  std::unique_ptr<Spool> Open(const std::string& target = "here") {
    return std::make_unique<Spool>(SpoolSettings{folder.File("spool"), target, max_bytes}, &store,
                                   &executor);
  }
  Status Keep(Spool* spool, PostRow row, SpoolState state = SpoolState::kReady) {
    std::optional<Status> status;
    spool->Keep(std::move(row), state, executor.Now() + seconds(1),
                [&](Status s) { status = std::move(s); });
    executor.RunReady();
    REQUIRE(status.has_value());
    return *status;
  }
  Status Check(Spool* spool) {
    std::optional<Status> status;
    spool->Check(executor.Now() + seconds(1), [&](Status s) { status = std::move(s); });
    executor.RunReady();
    REQUIRE(status.has_value());
    return *status;
  }
  Status Flush(Spool* spool) {
    std::optional<Status> status;
    spool->Flush(executor.Now() + seconds(9), [&](Status s) { status = std::move(s); });
    executor.RunReady();
    if (!status.has_value()) executor.Advance(seconds(1));
    REQUIRE(status.has_value());
    return *status;
  }
  // In the file of the only spool, as another program.
  void Execute(const char* sql) const {
    sqlite3* file = nullptr;
    REQUIRE(sqlite3_open(Files(".spool").at(0).c_str(), &file) == SQLITE_OK);
    CHECK(sqlite3_exec(file, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(file);
  }
  std::vector<std::string> Files(const std::string& suffix) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder.File("spool"))) {
      if (entry.path().string().ends_with(suffix)) files.push_back(entry.path().string());
    }
    return files;
  }
};

// As a process that is killed while it holds a spool leaves its file: written by a child.
template <typename Work>
void RunAndKill(Work work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    (void)raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

TEST_CASE("a spool moves its posts when the store is back: in order, one row each") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  spool->Start();
  for (const char* const id : {"a", "b", "c"}) CHECK(f.Keep(spool.get(), Row(id)).ok());
  CHECK(spool->status().totals.ready == 3);
  f.executor.Advance(seconds(60));
  CHECK(f.store.ids.empty());
  CHECK(f.store.puts > 0);
  CHECK(spool->status().trouble == "away");

  f.store.check = {};
  f.executor.Advance(seconds(10));
  CHECK(f.store.ids == std::vector<std::string>{"a", "b", "c"});
  CHECK(f.store.Stored("b")->content == "內文。");
  CHECK(spool->status().totals.ready == 0);
  CHECK(spool->status().moved == 3);
  CHECK(spool->status().trouble.empty());
}

TEST_CASE("an answer of the store that is lost: the post stays, and is one row in the end") {
  Fixture f;
  f.store.lose_answers = true;
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  f.executor.Advance(seconds(5));
  CHECK(spool->status().totals.ready == 1);
  CHECK(f.store.Stored("a").has_value());
  f.store.lose_answers = false;
  f.executor.Advance(seconds(5));
  CHECK(spool->status().totals.ready == 0);
}

TEST_CASE("a post that the store refuses is kept and named, and the others move") {
  Fixture f;
  f.store.poison = "毒";
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  CHECK(f.Keep(spool.get(), Row("bad", "毒")).ok());
  CHECK(f.Keep(spool.get(), Row("c")).ok());
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"a", "c"});
  CHECK(spool->status().totals.refused == 1);
  std::vector<SpooledPost> listed;
  spool->List(f.executor.Now() + seconds(1),
              [&](Result<std::vector<SpooledPost>> posts) { listed = *std::move(posts); });
  f.executor.RunReady();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].row.post_id == "bad");
  CHECK(listed[0].refusal == "a text is too long");
}

TEST_CASE("trouble of the store as a whole refuses no post") {
  Fixture f;
  f.store.check = Error(Code::kStore, "a table is missing");
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  f.executor.Advance(seconds(30));
  CHECK(spool->status().totals.refused == 0);
  f.store.check = {};
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"a"});
}

TEST_CASE("what is open does not move, until it is released or forgotten") {
  Fixture f;
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a"), SpoolState::kOpen).ok());
  CHECK(f.Keep(spool.get(), Row("b"), SpoolState::kOpen).ok());
  f.executor.Advance(seconds(30));
  CHECK(f.store.ids.empty());
  spool->Forget("a");
  spool->Release("b");
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"b"});
  CHECK(spool->status().totals.open == 0);
}

TEST_CASE("what is released while the file is locked moves when it is free") {
  Fixture f;
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a"), SpoolState::kOpen).ok());
  {
    const LockedDatabase locked(f.Files(".spool").at(0));
    spool->Release("a");
    f.executor.Advance(milliseconds(50));
  }
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"a"});
  CHECK(spool->status().totals.open == 0);
}

TEST_CASE("a flush is of what is to be kept as well, while the file is locked") {
  Fixture f;
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a"), SpoolState::kOpen).ok());
  std::optional<LockedDatabase> locked(f.Files(".spool").at(0));
  std::optional<Status> kept;
  std::optional<Status> flushed;
  spool->Keep(Row("b"), SpoolState::kReady, f.executor.Now() + seconds(9),
              [&](Status status) { kept = std::move(status); });
  spool->Flush(f.executor.Now() + seconds(9), [&](Status status) { flushed = std::move(status); });
  f.executor.Advance(milliseconds(50));
  CHECK_FALSE(kept.has_value());
  CHECK_FALSE(flushed.has_value());
  locked.reset();
  f.executor.Advance(milliseconds(50));
  REQUIRE(flushed.has_value());
  CHECK(flushed->ok());
  CHECK(f.store.ids == std::vector<std::string>{"b"});
}

TEST_CASE("what is released while the file cannot be written moves when it can") {
  FaultyVfs disk;
  Fixture f;
  const auto spool = f.Open();
  spool->Start();
  CHECK(f.Keep(spool.get(), Row("a"), SpoolState::kOpen).ok());
  disk.FailSyncs(1000);
  CHECK(!f.Keep(spool.get(), Row("b")).ok());
  spool->Release("a");
  f.executor.RunReady();
  CHECK(!f.store.Stored("a").has_value());
  disk.FailSyncs(0);
  f.executor.Advance(seconds(15));
  CHECK(f.store.Stored("a").has_value());
  CHECK(spool->status().totals.open == 0);
}

TEST_CASE("posts that were moved and cannot be removed are not moved again without a pause") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  f.executor.Advance(seconds(1));
  f.store.check = {};
  f.store.puts = 0;
  std::optional<LockedDatabase> locked(f.Files(".spool").at(0));
  // So that the test ends even where there is no pause.
  f.store.on_put = [&] {
    if (f.store.puts == 50) locked.reset();
  };
  f.executor.Advance(seconds(10));
  CHECK(f.store.puts > 1);
  CHECK(f.store.puts < 20);
  CHECK(spool->status().totals.ready == 1);
  CHECK(spool->status().moved == 0);
  CHECK(!spool->status().trouble.empty());
  locked.reset();
  f.executor.Advance(seconds(5));
  CHECK(spool->status().totals.ready == 0);
  CHECK(spool->status().moved == 1);
}

TEST_CASE("a full spool takes no new posts, and still keeps those that were let in") {
  Fixture f;
  f.max_bytes = 1000;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  CHECK(f.Check(spool.get()).ok());
  CHECK(f.Keep(spool.get(), Row("a", std::string(2000, 'x'))).ok());
  CHECK(f.Check(spool.get()).error().code == Code::kBusy);
  CHECK(f.Keep(spool.get(), Row("b")).ok());
  f.store.check = {};
  f.executor.Advance(seconds(10));
  CHECK(f.Check(spool.get()).ok());
}

TEST_CASE("what a killed process left is taken over; a living one's is not, nor another store's") {
  Fixture f;
  RunAndKill([&] {
    f.store.check = SwitchedStore::Away();
    const auto spool = f.Open().release();
    (void)f.Keep(spool, Row("ready"));
    (void)f.Keep(spool, Row("open", "一"), SpoolState::kOpen);
    (void)f.Keep(spool, Row("written", "一"), SpoolState::kOpen);
    (void)f.Keep(f.Open("elsewhere").release(), Row("foreign"));
  });
  f.store.inner->Put(Row("written", "全文"), TimePoint::max(), [](Status) {});
  REQUIRE(f.Files(".spool").size() == 2);

  const auto living = f.Open();
  CHECK(f.Keep(living.get(), Row("mine"), SpoolState::kOpen).ok());
  const auto spool = f.Open();
  spool->Start();
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"ready", "open"});
  CHECK(spool->status().adopted == 3);
  CHECK(spool->status().totals.refused == 0);
  CHECK(f.store.Stored("written")->content == "全文");  // a row has more than what was left
  CHECK(f.Files(".spool").size() == 3);                 // the living one's, ours, the other store's
}

TEST_CASE("a damaged spool is kept under another name, and a new one begun") {
  Fixture f;
  std::string damaged;
  RunAndKill([&] {
    f.store.check = SwitchedStore::Away();
    (void)f.Keep(f.Open().release(), Row("a"));
  });
  REQUIRE(f.Files(".spool").size() == 1);
  damaged = f.Files(".spool")[0];
  const std::string bytes = "these are no SQLite pages at all, whatever one may think of them";
  std::ofstream(damaged, std::ios::trunc) << bytes;
  fs::remove(damaged + "-wal");

  const auto spool = f.Open();
  spool->Start();
  f.executor.RunReady();
  CHECK(spool->status().set_aside == 1);
  CHECK(f.Keep(spool.get(), Row("b")).ok());
  f.executor.Advance(seconds(5));
  CHECK(f.store.ids == std::vector<std::string>{"b"});
  std::ifstream kept(damaged + ".damaged");
  CHECK(std::string(std::istreambuf_iterator<char>(kept), {}) == bytes);
}

TEST_CASE("a spool's file that is removed while it is open: nothing is reported kept that is not") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  for (const std::string& file : f.Files("")) fs::remove(file);
  CHECK(f.Keep(spool.get(), Row("b")).ok());
  REQUIRE(f.Files(".spool").size() == 1);  // a new one, with the post in it
  CHECK(spool->status().totals.ready == 1);
}

TEST_CASE("a spool in a folder that cannot be written") {
  Fixture f;
  std::ofstream(f.folder.File("spool")) << "a file in its place";
  const auto spool = f.Open();
  CHECK(f.Check(spool.get()).error().code == Code::kStore);
  CHECK(f.Keep(spool.get(), Row("a")).error().code == Code::kStore);
}

TEST_CASE("an empty spool leaves no file behind; one with posts does") {
  Fixture f;
  CHECK(f.Check(f.Open().get()).ok());
  CHECK(f.Files(".spool").empty());
  f.store.check = SwitchedStore::Away();
  CHECK(f.Keep(f.Open().get(), Row("a")).ok());
  CHECK(f.Files(".spool").size() == 1);
}

TEST_CASE("flush says whether anything still waits") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  std::optional<Status> flushed;
  const auto flush = [&] {
    flushed.reset();
    spool->Flush(f.executor.Now() + seconds(5), [&](Status s) { flushed = std::move(s); });
    f.executor.RunReady();
    REQUIRE(flushed.has_value());
  };
  flush();
  CHECK(flushed->error().message == "away");
  f.store.check = {};
  flush();
  CHECK(flushed->ok());
  CHECK(f.store.ids.size() == 1);
}

TEST_CASE("spools of other stores are counted, however they came to be, and left alone") {
  Fixture f;
  const auto other = f.Open("elsewhere");
  CHECK(f.Keep(other.get(), Row("a"), SpoolState::kOpen).ok());
  f.folder.Write("spool/0123456789abcdef-1.spool", "left");
  f.folder.Write("spool/0123456789abcdef-2.spool.damaged", "no spool any more");
  const auto spool = f.Open();
  spool->Start();
  f.executor.RunReady();
  CHECK(spool->status().of_other_stores == 2);
  CHECK(f.Keep(spool.get(), Row("b"), SpoolState::kOpen).ok());
  spool->List(f.executor.Now() + seconds(1), [](const Result<std::vector<SpooledPost>>&) {});
  f.executor.RunReady();
  CHECK(spool->status().of_other_stores == 2);
  CHECK(f.folder.Read("spool/0123456789abcdef-1.spool") == "left");
  CHECK(f.Files(".lock").size() == 2);
}

TEST_CASE("spools of the same store that others hold are counted") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  auto other = f.Open();
  CHECK(f.Keep(other.get(), Row("a")).ok());
  const auto spool = f.Open();
  spool->Start();
  f.executor.RunReady();
  CHECK(f.Keep(spool.get(), Row("b")).ok());
  const auto list = [&] {
    std::size_t posts = 0;
    spool->List(f.executor.Now() + seconds(1), [&](const Result<std::vector<SpooledPost>>& found) {
      REQUIRE(found.ok());
      posts = found->size();
    });
    f.executor.RunReady();
    return posts;
  };
  CHECK(list() == 1);
  CHECK(spool->status().of_others_at_work == 1);
  other.reset();
  CHECK(list() == 2);
  CHECK(spool->status().of_others_at_work == 0);
  CHECK(list() == 2);
  CHECK(spool->status().of_others_at_work == 0);
}

TEST_CASE("flush tries once more what the store refused, and says what it still refuses") {
  Fixture f;
  f.store.poison = "毒";
  const auto spool = f.Open();
  for (const char* const id : {"a", "b"}) CHECK(f.Keep(spool.get(), Row(id, "毒")).ok());
  f.executor.Advance(seconds(5));
  CHECK(spool->status().totals.refused == 2);
  const Status refused = f.Flush(spool.get());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == Code::kStore);
  CHECK(refused.error().message.starts_with("2 posts stay in the spool"));
  CHECK(refused.error().message.find("a text is too long") != std::string::npos);
  CHECK(spool->status().totals.refused == 2);

  f.store.poison = "(none)";
  std::optional<LockedDatabase> locked;
  SUBCASE("at once") {}
  SUBCASE("when another program lets the file go") {
    locked.emplace(f.Files(".spool").at(0));
    spool->Flush(f.executor.Now() + seconds(9), [](const Status&) {});
    f.executor.Advance(milliseconds(50));
    CHECK(f.store.ids.empty());
    locked.reset();
  }
  CHECK(f.Flush(spool.get()).ok());
  CHECK(f.store.ids == std::vector<std::string>{"a", "b"});
  CHECK(spool->status().totals.posts() == 0);
}

TEST_CASE("a post whose bytes are not those that were written is never tried again") {
  Fixture f;
  f.store.check = SwitchedStore::Away();
  const auto spool = f.Open();
  CHECK(f.Keep(spool.get(), Row("a")).ok());
  f.Execute("UPDATE spooled SET content = 'else'");
  f.store.check = {};
  f.store.puts = 0;
  for (int i = 0; i < 2; ++i) {
    const Status flushed = f.Flush(spool.get());
    REQUIRE(!flushed.ok());
    CHECK(flushed.error().message.find("its bytes are not") != std::string::npos);
  }
  CHECK(f.store.puts == 0);
  CHECK(spool->status().totals.refused == 1);
}

}  // namespace
}  // namespace postgen
