// What a disk can do to the files of SQLite: the store's and the spool's.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "runtime/manual_executor.h"
#include "store/spool.h"
#include "store/sqlite_database.h"
#include "store/sqlite_stores.h"
#include "support/scoped.h"
#include "unit/store/faulty_vfs.h"

namespace postgen {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::TempFolder;

PostRow Row(int number, std::size_t size = 2000) {
  PostRow row;
  row.post_id = "post-" + std::to_string(number);
  row.title = "標題";
  row.content = std::string(size, static_cast<char>('a' + number % 26));
  return row;
}

// What keeps posts durably, as far as these tests care.
class Keeper {
 public:
  virtual ~Keeper() = default;
  virtual Status Keep(const PostRow& row) = 0;
  // In a folder like the one that it was made for.
  virtual std::set<std::string> Read(const std::string& folder) = 0;
};

class StoreKeeper final : public Keeper {
 public:
  explicit StoreKeeper(const std::string& folder) : database_(Open(folder)) {}
  Status Keep(const PostRow& row) override {
    const auto written = database_->Put({&row});
    return written.ok() ? written->front() : Status(written.error());
  }
  std::set<std::string> Read(const std::string& folder) override {
    const auto database = Open(folder);
    std::set<std::string> ids;
    for (int i = 0; i < kMostPosts; ++i) {
      const auto row = database->Get(Row(i).post_id);
      REQUIRE_MESSAGE(row.ok(), row.error().message);
      if (row->has_value()) ids.insert((*row)->post_id);
    }
    return ids;
  }
  static constexpr int kMostPosts = 30;

 private:
  static std::unique_ptr<SqliteDatabase> Open(const std::string& folder) {
    return std::make_unique<SqliteDatabase>(folder + "/posts.db", SqliteUse::kStorePosts);
  }
  const std::unique_ptr<SqliteDatabase> database_;
};

// A store that is away.
class NoStore final : public PostStore {
 public:
  void Check(TimePoint /*deadline*/, DoneCallback done) override { done(Away()); }
  void Put(PostRow /*row*/, TimePoint /*deadline*/, DoneCallback done) override { done(Away()); }
  void Get(std::string /*id*/, TimePoint /*deadline*/, RowCallback done) override { done(Away()); }
  void Migrate(TimePoint /*deadline*/, MigrateCallback done) override { done(Away()); }

 private:
  static Error Away() {
    Error error(Code::kStore, "away");
    error.details.transient = true;
    return error;
  }
};

class SpoolKeeper final : public Keeper {
 public:
  explicit SpoolKeeper(const std::string& folder, std::int64_t max_bytes = 1 << 30)
      : spool_(SpoolSettings{folder, "here", max_bytes}, &store_, &executor_) {
    spool_.Start();
    executor_.RunReady();
  }
  Status Keep(const PostRow& row) override {
    return Ask([&](Spool::DoneCallback done) {
      spool_.Keep(row, SpoolState::kReady, executor_.Now() + milliseconds(200), std::move(done));
    });
  }
  Status Check() {
    return Ask([&](Spool::DoneCallback done) {
      spool_.Check(executor_.Now() + seconds(1), std::move(done));
    });
  }
  std::set<std::string> Read(const std::string& folder) override {
    return SpoolKeeper(folder).Ids();
  }
  SpoolStatus status() const { return spool_.status(); }

 private:
  Status Ask(const std::function<void(Spool::DoneCallback)>& ask) {
    std::optional<Status> answer;
    ask([&](Status status) { answer = std::move(status); });
    executor_.Advance(seconds(2));
    REQUIRE(answer.has_value());
    return *answer;
  }
  std::set<std::string> Ids() {
    std::set<std::string> ids;
    spool_.List(executor_.Now() + seconds(1), [&](Result<std::vector<SpooledPost>> posts) {
      REQUIRE(posts.ok());
      for (const SpooledPost& post : *posts) {
        CHECK(post.refusal.empty());
        ids.insert(post.row.post_id);
      }
    });
    executor_.RunReady();
    CHECK(spool_.status().set_aside == 0);
    return ids;
  }

  NoStore store_;
  ManualExecutor executor_;
  Spool spool_;
};

// A plain database that is synced too rarely.
class CarelessKeeper final : public Keeper {
 public:
  explicit CarelessKeeper(const std::string& folder) : database_(Open(folder)) {
    Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE kept (id TEXT)");
  }
  ~CarelessKeeper() override { sqlite3_close(database_); }
  Status Keep(const PostRow& row) override {
    Execute("INSERT INTO kept VALUES ('" + row.post_id + "')");
    return {};
  }
  std::set<std::string> Read(const std::string& folder) override {
    sqlite3* const database = Open(folder);
    std::set<std::string> ids;
    const auto add = [](void* set, int /*columns*/, char** values, char** /*names*/) {
      static_cast<std::set<std::string>*>(set)->insert(values[0]);
      return 0;
    };
    sqlite3_exec(database, "SELECT id FROM kept", add, &ids, nullptr);
    sqlite3_close(database);
    return ids;
  }

 private:
  static sqlite3* Open(const std::string& folder) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((folder + "/kept.db").c_str(), &database) == SQLITE_OK);
    return database;
  }
  void Execute(const std::string& sql) {
    REQUIRE(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  sqlite3* const database_;
};

struct Loss {
  std::map<std::string, std::string> left;
  std::set<std::string> acknowledged;
};

// Has the logs in a folder written into their databases, as happens when they are long.
void Checkpoint(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".db") && !path.ends_with(".spool")) continue;
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_wal_checkpoint_v2(database, nullptr, SQLITE_CHECKPOINT_FULL, nullptr, nullptr) ==
          SQLITE_OK);
    sqlite3_close(database);
  }
}

// Posts that were acknowledged and are gone after one of the losses of power.
template <typename K>
int PostsLost(unsigned seed) {
  const TempFolder folder;
  std::vector<Loss> losses;
  {
    FaultyVfs disk;
    std::mt19937 random(seed);
    std::set<std::string> acknowledged;
    disk.OnChange([&] {
      if (random() % 6 == 0) losses.push_back({disk.PowerLoss(&random), acknowledged});
    });
    K keeper(folder.path());
    for (int i = 0; i < StoreKeeper::kMostPosts; ++i) {
      REQUIRE(keeper.Keep(Row(i)).ok());
      acknowledged.insert(Row(i).post_id);
      if (i % 10 == 9) Checkpoint(folder.path());
    }
    losses.push_back({disk.PowerLoss(&random), acknowledged});
    disk.OnChange(nullptr);
  }
  CHECK(losses.size() > 5);
  int lost = 0;
  for (const Loss& loss : losses) {
    const TempFolder after;
    for (const auto& [path, bytes] : loss.left) {
      std::ofstream(after.path() + path.substr(folder.path().size()), std::ios::binary) << bytes;
    }
    const TempFolder other;
    const std::set<std::string> kept = K(other.path()).Read(after.path());
    for (const std::string& id : loss.acknowledged) lost += kept.count(id) == 0 ? 1 : 0;
  }
  return lost;
}

TEST_CASE("a loss of power at any moment: what was acknowledged is there, and the file is whole") {
  for (unsigned seed = 1; seed <= 2; ++seed) {
    CAPTURE(seed);
    CHECK(PostsLost<StoreKeeper>(seed) == 0);
    CHECK(PostsLost<SpoolKeeper>(seed) == 0);
  }
}

TEST_CASE("the loss of power would show what is synced too rarely") {
  CHECK(PostsLost<CarelessKeeper>(1) > 0);
}

TEST_CASE("an fsync that fails once is not believed later: the post is written anew") {
  const TempFolder folder;
  FaultyVfs disk;
  std::mt19937 random(1);
  const auto check = [&](Keeper* keeper) {
    REQUIRE(keeper->Keep(Row(1)).ok());
    const int syncs = disk.syncs();
    disk.FailSyncs(1);
    CHECK(keeper->Keep(Row(2)).ok());
    CHECK(disk.syncs() > syncs + 1);
    CHECK(keeper->Keep(Row(3)).ok());
    const TempFolder after;
    for (const auto& [path, bytes] : disk.PowerLoss(&random)) {
      std::ofstream(after.path() + path.substr(folder.path().size()), std::ios::binary) << bytes;
    }
    CHECK(keeper->Read(after.path()) == std::set<std::string>{"post-1", "post-2", "post-3"});
    // For good: it is an error, and nothing is reported kept.
    disk.FailSyncs(1000);
    const Status kept = keeper->Keep(Row(4));
    REQUIRE(!kept.ok());
    CHECK(kept.error().code == Code::kStore);
    disk.FailSyncs(0);
    CHECK(keeper->Keep(Row(4)).ok());
  };
  SUBCASE("of the store") {
    StoreKeeper keeper(folder.path());
    check(&keeper);
  }
  SUBCASE("of the spool") {
    SpoolKeeper keeper(folder.path());
    check(&keeper);
  }
}

// --- What the system calls of SQLite's own file system answer

int g_writes = 0;
ssize_t (*g_write_at)(int, const void*, std::size_t, off64_t) = nullptr;

// Every third write is interrupted, every other one of the rest is short.
ssize_t WriteBadly(int fd, const void* bytes, std::size_t size, off64_t offset) {
  ++g_writes;
  if (g_writes % 3 == 0) {
    errno = EINTR;
    return -1;
  }
  return g_write_at(fd, bytes, g_writes % 2 == 0 && size > 1 ? size / 2 : size, offset);
}

ssize_t WriteToFullDisk(int /*fd*/, const void* /*bytes*/, std::size_t /*size*/,
                        off64_t /*offset*/) {
  ++g_writes;
  errno = ENOSPC;
  return -1;
}

// As long as this lives.
class WritesBy {
 public:
  explicit WritesBy(ssize_t (*write_at)(int, const void*, std::size_t, off64_t)) {
    g_writes = 0;
    Set(write_at);
  }
  ~WritesBy() { Set(nullptr); }
  WritesBy(const WritesBy&) = delete;
  WritesBy& operator=(const WritesBy&) = delete;

 private:
  static void Set(ssize_t (*write_at)(int, const void*, std::size_t, off64_t)) {
    sqlite3_vfs* const unix_vfs = sqlite3_vfs_find("unix");
    for (const char* const name : {"pwrite64", "pwrite"}) {
      const auto call = unix_vfs->xGetSystemCall(unix_vfs, name);
      if (call == nullptr) continue;
      if (g_write_at == nullptr) g_write_at = pwrite64;
      unix_vfs->xSetSystemCall(unix_vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(write_at));
    }
  }
};

TEST_CASE("short and interrupted writes are not noticed") {
  const TempFolder folder;
  {
    const WritesBy bad(WriteBadly);
    StoreKeeper store(folder.path());
    SpoolKeeper spool(folder.path() + "/spool");
    for (int i = 0; i < 20; ++i) {
      CHECK(store.Keep(Row(i)).ok());
      CHECK(spool.Keep(Row(i)).ok());
    }
    CHECK(g_writes > 100);
  }
  CHECK(StoreKeeper(folder.path()).Read(folder.path()).size() == 20);
  CHECK(SpoolKeeper(folder.path()).Read(folder.path() + "/spool").size() == 20);
}

TEST_CASE(
    "a disk that is full all of a sudden: an error, nothing lost, and well when there is room") {
  const TempFolder folder;
  const auto check = [&](Keeper* keeper) {
    REQUIRE(keeper->Keep(Row(1)).ok());
    {
      const WritesBy full(WriteToFullDisk);
      const Status kept = keeper->Keep(Row(2));
      REQUIRE(!kept.ok());
      CHECK(kept.error().code == Code::kStore);
      CHECK(kept.error().message.find("full") != std::string::npos);
      CHECK(g_writes > 0);
    }
    CHECK(keeper->Keep(Row(3)).ok());
  };
  SUBCASE("of the store") {
    StoreKeeper keeper(folder.path());
    check(&keeper);
    CHECK(keeper.Read(folder.path()) == std::set<std::string>{"post-1", "post-3"});
  }
  SUBCASE("of the spool") {
    {
      SpoolKeeper keeper(folder.path());
      check(&keeper);
    }
    CHECK(SpoolKeeper(folder.path() + "/other").Read(folder.path()) ==
          std::set<std::string>{"post-1", "post-3"});
  }
}

TEST_CASE("a log that could not be settled is not written to") {
  const TempFolder folder;
  FaultyVfs disk;
  StoreKeeper keeper(folder.path());
  REQUIRE(keeper.Keep(Row(1)).ok());
  // Another program has the file open: it is not settled by being closed.
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(folder.File("posts.db").c_str(), &other) == SQLITE_OK);
  const auto execute = [&](const char* sql) {
    REQUIRE(sqlite3_exec(other, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  };
  execute("BEGIN; SELECT count(*) FROM post_records");
  disk.FailSyncs(1);
  SUBCASE("as the other one reads") {
    for (const int number : {2, 3}) {
      const Status kept = keeper.Keep(Row(number));
      REQUIRE(!kept.ok());
      CHECK(kept.error().code == Code::kBusy);
    }
    execute("COMMIT");
  }
  SUBCASE("as the disk is full") {
    execute("COMMIT");
    std::optional<WritesBy> full;
    const int syncs = disk.syncs();
    disk.OnChange([&] {
      if (disk.syncs() > syncs && !full) full.emplace(WriteToFullDisk);
    });
    const Status kept = keeper.Keep(Row(2));
    REQUIRE(!kept.ok());
    CHECK_MESSAGE(kept.error().message.find("full") != std::string::npos, kept.error().message);
    disk.OnChange(nullptr);
  }
  const int syncs = disk.syncs();
  REQUIRE(keeper.Keep(Row(4)).ok());
  CHECK(disk.syncs() > syncs + 1);  // of the settled log, too
  sqlite3_close(other);
  const TempFolder after;
  std::mt19937 random(1);
  for (const auto& [path, bytes] : disk.PowerLoss(&random)) {
    std::ofstream(after.path() + path.substr(folder.path().size()), std::ios::binary) << bytes;
  }
  const std::set<std::string> left = keeper.Read(after.path());
  CHECK(left.count("post-1") == 1);
  CHECK(left.count("post-4") == 1);
}

// Runs `work` in a child that sees a small disk of its own (a tmpfs) at `folder`, and says what
// went wrong, or "". "no mount": the system lets nobody mount here.
std::string OnSmallDisk(const std::string& folder, const std::function<std::string()>& work) {
  int answer[2];
  REQUIRE(pipe(answer) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool alone = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    const bool mounted = alone && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=6m") == 0;
    const std::string wrong = mounted ? work() : "no mount";
    _exit(write(answer[1], wrong.data(), wrong.size()) < 0 ? 1 : 0);
  }
  close(answer[1]);
  std::string wrong;
  char buffer[256];
  for (ssize_t got = 0; (got = read(answer[0], buffer, sizeof buffer)) > 0;) {
    wrong.append(buffer, static_cast<std::size_t>(got));
  }
  close(answer[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) wrong += " (the child died)";
  return wrong;
}

// Posts that are let in, until none is; then those that were in flight, until the disk is full.
std::string FillSpool(const std::string& folder) {
  SpoolKeeper spool(folder);
  int kept = 0;
  while (spool.Check().ok()) {
    if (!spool.Keep(Row(kept, 100000)).ok()) return "a post that was let in was not kept";
    if (++kept > 100) return "never full";
  }
  if (spool.Check().error().code != Code::kBusy) return spool.Check().error().message;
  if (kept < 5) return "full too early";
  const int let_in = kept;
  while (spool.Keep(Row(kept, 100000)).ok()) ++kept;
  if (kept < let_in + 5) return "no room was left for what was in flight";
  if (spool.status().totals.ready != kept) return "some were lost";
  return {};
}

TEST_CASE("a spool on a full disk: busy before anything is paid, and what was kept stays") {
  const TempFolder folder;
  const std::string wrong = OnSmallDisk(folder.path(), [&]() -> std::string {
    if (std::string filled = FillSpool(folder.path()); !filled.empty()) return filled;
    if (SpoolKeeper(folder.path()).status().totals.ready < 10) return "some were lost by a restart";
    if (mount(nullptr, folder.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return "not made read-only";
    }
    SpoolKeeper unusable(folder.path());
    if (unusable.Keep(Row(0)).ok()) return "kept on a disk that cannot be written";
    return unusable.Check().ok() ? "a read-only spool was called usable" : "";
  });
  if (wrong == "no mount") {
    MESSAGE("not run: nobody may mount a disk here");
    return;
  }
  CHECK(wrong == "");
}

TEST_CASE("a store on a full disk is busy before anything is paid") {
  const TempFolder folder;
  const std::string wrong = OnSmallDisk(folder.path(), [&]() -> std::string {
    ManualExecutor executor;
    const auto store = NewSqlitePostStore(
        std::make_shared<SqliteDatabase>(folder.File("posts.db"), SqliteUse::kStorePosts),
        &executor);
    const auto check = [&] {
      Status usable;
      store->Check(executor.Now() + seconds(1), [&](Status status) { usable = std::move(status); });
      executor.RunReady();
      return usable;
    };
    if (!check().ok()) return check().error().message;
    folder.Write("other", std::string(3 << 20, 'x'));
    if (check().ok()) return "usable although the disk is full";
    if (check().error().code != Code::kBusy) return check().error().message;
    fs::remove(folder.File("other"));
    return check().ok() ? "" : "not usable although there is room again";
  });
  if (wrong == "no mount") {
    MESSAGE("not run: nobody may mount a disk here");
    return;
  }
  CHECK(wrong == "");
}

// --- The bytes of a spool

// The one spool in a folder.
std::string SpoolFileIn(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().string().ends_with(".spool")) return entry.path().string();
  }
  return {};
}

std::string BytesOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_CASE("a spool that was damaged while nobody had it") {
  const TempFolder folder;
  {
    SpoolKeeper keeper(folder.path());
    for (int i = 0; i < 10; ++i) REQUIRE(keeper.Keep(Row(i)).ok());
  }
  const std::string path = SpoolFileIn(folder.path());
  std::string bytes = BytesOf(path);

  SUBCASE("a page: kept whole under another name, and a new one is begun") {
    bytes.replace(8192, 4096, std::string(4096, '\xee'));
    std::ofstream(path, std::ios::binary) << bytes;
    SpoolKeeper keeper(folder.path());
    CHECK(keeper.status().set_aside == 1);
    CHECK(keeper.Keep(Row(0)).ok());
    CHECK(BytesOf(path + ".damaged") == bytes);
  }
  SUBCASE("of a later version: left alone, and a new one is begun") {
    sqlite3* later = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &later) == SQLITE_OK);
    CHECK(sqlite3_exec(later, "PRAGMA user_version = 2", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(later);
    bytes = BytesOf(path);
    SpoolKeeper keeper(folder.path());
    CHECK(keeper.Keep(Row(0)).ok());
    CHECK(keeper.status().totals.ready == 1);
    CHECK(BytesOf(path) == bytes);
  }
  SUBCASE("a letter of a text: that post is not moved, the others are") {
    const std::size_t letter = bytes.find("ddd");
    REQUIRE(letter != std::string::npos);
    bytes[letter] = 'x';
    std::ofstream(path, std::ios::binary) << bytes;
    SpoolKeeper keeper(folder.path());
    (void)keeper.Check();
    CHECK(keeper.status().totals.ready == 9);
    CHECK(keeper.status().totals.refused == 1);
  }
}

// --- Other programs

TEST_CASE("a spool that another program has locked is waited for, and then written") {
  const TempFolder folder;
  SpoolKeeper keeper(folder.path());
  REQUIRE(keeper.Keep(Row(1)).ok());
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(SpoolFileIn(folder.path()).c_str(), &other) == SQLITE_OK);
  const auto execute = [&](const char* sql) {
    CHECK(sqlite3_exec(other, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  };
  execute("BEGIN IMMEDIATE");
  const Status kept = keeper.Keep(Row(2));  // until its deadline
  REQUIRE(!kept.ok());
  CHECK(kept.error().code == Code::kStore);
  execute("COMMIT");
  CHECK(keeper.Keep(Row(3)).ok());
  CHECK(keeper.status().totals.ready == 2);  // what was late is not written after all
  sqlite3_close(other);
}

}  // namespace
}  // namespace postgen
