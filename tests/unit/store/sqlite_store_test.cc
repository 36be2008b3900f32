#include "store/sqlite_stores.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "contract/post_store_calls.h"
#include "contract/post_store_contract.h"
#include "contract/profile_store_contract.h"
#include "runtime/event_loop.h"
#include "support/scoped.h"

namespace postgen {
namespace {

// Another program's connection to a file.
class OtherProgram {
 public:
  explicit OtherProgram(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &database_) == SQLITE_OK);
  }
  ~OtherProgram() { sqlite3_close(database_); }
  OtherProgram(const OtherProgram&) = delete;
  OtherProgram& operator=(const OtherProgram&) = delete;

  void Execute(const std::string& sql) {
    REQUIRE(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }

  std::string Query(const std::string& sql) {
    std::string value;
    const auto keep = [](void* out, int /*columns*/, char** values, char** /*names*/) {
      *static_cast<std::string*>(out) = values[0] != nullptr ? values[0] : "NULL";
      return 0;
    };
    REQUIRE(sqlite3_exec(database_, sql.c_str(), keep, &value, nullptr) == SQLITE_OK);
    return value;
  }

 private:
  sqlite3* database_ = nullptr;
};

struct Fixture {
  testing::TempFolder folder;
  std::string path = folder.File("posts.db");
  EventLoop loop{"test"};

  std::unique_ptr<PostStore> OpenPosts() {
    return NewSqlitePostStore(std::make_shared<SqliteDatabase>(path, SqliteUse::kStorePosts),
                              &loop);
  }
  std::unique_ptr<ProfileStore> OpenProfiles() {
    return NewSqliteProfileStore(std::make_shared<SqliteDatabase>(path, SqliteUse::kReadProfiles),
                                 &loop);
  }
};

TEST_CASE("the SQLite store keeps the contract of PostStore") {
  Fixture f;
  CheckPostStoreContract([&] { return f.OpenPosts(); });
}

TEST_CASE("profiles in SQLite keep the contract of ProfileStore") {
  Fixture f;
  REQUIRE(CheckAndWait(f.OpenPosts().get()).ok());
  OtherProgram(f.path).Execute(TestProfilesSql());
  CheckProfileStoreContract([&] { return f.OpenProfiles(); });
}

TEST_CASE("posts and profiles of one database share its file") {
  Fixture f;
  const auto database = std::make_shared<SqliteDatabase>(f.path, SqliteUse::kStorePosts);
  auto posts = NewSqlitePostStore(database, &f.loop);
  const auto profiles = NewSqliteProfileStore(database, &f.loop);
  const auto found = FindAndWait(profiles.get(), 208);
  REQUIRE_MESSAGE(found.ok(), found.error().message);
  CHECK(!found->profile.has_value());
  CHECK(PutAndWait(posts.get(), TestRow("one")).ok());
  posts.reset();
  CHECK(FindAndWait(profiles.get(), 208).ok());
}

TEST_CASE("rows outlive the store and are written as the app reads them") {
  Fixture f;
  REQUIRE(PutAndWait(f.OpenPosts().get(), TestRow("one")).ok());
  OtherProgram other(f.path);
  CHECK(other.Query("SELECT created_at || ' ' || updated_at FROM post_records") ==
        "2026-11-23 15:00:00.678901 2026-11-23 15:00:00.678901");
  CHECK(other.Query("SELECT typeof(kol_serial) || views || likes FROM post_records") ==
        "integer00");
  CHECK(other.Query("SELECT has_trending_topic FROM post_records") == "1");
  CHECK(other.Query("PRAGMA journal_mode") == "wal");
  CHECK(GetAndWait(f.OpenPosts().get(), "one")->has_value());
}

TEST_CASE("the first use creates file and tables, and a migration says so") {
  Fixture f;
  const auto posts = f.OpenPosts();
  const auto lines = MigrateAndWait(posts.get());
  REQUIRE(lines.ok());
  CHECK(*lines ==
        std::vector<std::string>{"created table post_records", "created table kol_profiles"});
}

TEST_CASE("a table of the app's first shape is refused until it is migrated") {
  Fixture f;
  OtherProgram(f.path).Execute(
      "CREATE TABLE post_records (post_id TEXT PRIMARY KEY, created_at TEXT, updated_at TEXT, "
      "session_id INTEGER, kol_serial INTEGER NOT NULL, kol_nickname TEXT, kol_persona TEXT, "
      "stock_code TEXT, stock_name TEXT, title TEXT, content TEXT, content_md TEXT, status TEXT, "
      "commodity_tags TEXT, generation_params TEXT, alternative_versions TEXT)");
  const auto posts = f.OpenPosts();
  const Status usable = CheckAndWait(posts.get());
  REQUIRE(!usable.ok());
  CHECK(usable.error().code == Code::kStore);
  CHECK(usable.error().message.find("run: postgen migrate") != std::string::npos);

  SUBCASE("as a whole") {
    REQUIRE(MigrateAndWait(posts.get()).ok());
    CHECK(PutAndWait(posts.get(), TestRow("one")).ok());
    CHECK(**GetAndWait(posts.get(), "one") == TestRow("one"));
  }
  SUBCASE("by trigger_type alone 17 columns are written") {
    OtherProgram(f.path).Execute("ALTER TABLE post_records ADD COLUMN trigger_type TEXT");
    REQUIRE(PutAndWait(posts.get(), TestRow("one")).ok());
    CHECK(PutAndWait(posts.get(), TestRow("one")).ok());
    const auto stored = GetAndWait(posts.get(), "one");
    CHECK((*stored)->trigger_type == "custom_stocks");
    CHECK((*stored)->generation_mode.empty());
  }
}

TEST_CASE("a column that rows cannot do without is named where it is missing") {
  Fixture f;
  REQUIRE(MigrateAndWait(f.OpenPosts().get()).ok());
  OtherProgram(f.path).Execute(
      "INSERT INTO post_records (post_id, kol_serial, kol_nickname, stock_code, stock_name, title, "
      "content) VALUES ('one', 1, 'k', 's', 's', 't', 'c')");
  OtherProgram(f.path).Execute("ALTER TABLE post_records DROP COLUMN title");
  OtherProgram(f.path).Execute("ALTER TABLE post_records DROP COLUMN content_md");
  const auto posts = f.OpenPosts();
  const auto lines = MigrateAndWait(posts.get());
  REQUIRE_FALSE(lines.ok());
  CHECK(lines.error().message.find("post_records.title is missing") != std::string::npos);
  OtherProgram(f.path).Execute("ALTER TABLE post_records ADD COLUMN title TEXT");
  const auto added = MigrateAndWait(posts.get());
  REQUIRE(added.ok());
  CHECK(*added == std::vector<std::string>{"added column post_records.content_md"});
}

TEST_CASE("files that are not ours are refused and left as they are") {
  Fixture f;
  SUBCASE("no database") { f.folder.Write("posts.db", "a text that somebody wrote"); }
  SUBCASE("a long file that is no database") {
    f.folder.Write("posts.db", std::string(100000, 'x'));
  }
  SUBCASE("another program's database") {
    OtherProgram(f.path).Execute("CREATE TABLE songs (title TEXT)");
  }
  SUBCASE("another program's database, so far empty") {
    OtherProgram(f.path).Execute("PRAGMA application_id = 77; VACUUM");
  }
  SUBCASE("another program's database with its log beside it") {
    OtherProgram other(f.path);
    other.Execute("PRAGMA journal_mode = WAL; CREATE TABLE songs (title TEXT)");
    const std::string before = f.folder.Read("posts.db");
    CHECK(!CheckAndWait(f.OpenPosts().get()).ok());
    CHECK(f.folder.Read("posts.db") == before);
  }
  SUBCASE("a database of ours, of a later version") {
    REQUIRE(PutAndWait(f.OpenPosts().get(), TestRow("one")).ok());
    OtherProgram other(f.path);
    CHECK(other.Query("PRAGMA user_version") == "1");
    other.Execute("PRAGMA user_version = 2");
  }
  SUBCASE("a damaged database of ours") {
    REQUIRE(PutAndWait(f.OpenPosts().get(), TestRow("one")).ok());
    std::string bytes = f.folder.Read("posts.db");
    REQUIRE(bytes.size() > 8192);
    bytes.replace(4096, 4096, std::string(4096, '\xee'));
    f.folder.Write("posts.db", bytes);
  }
  const std::string before = f.folder.Read("posts.db");
  const auto posts = f.OpenPosts();
  for (const Status& status : {CheckAndWait(posts.get()), PutAndWait(posts.get(), TestRow("one")),
                               MigrateAndWait(posts.get()).ok() ? Status() : Status(Error())}) {
    CHECK(!status.ok());
  }
  CHECK(CheckAndWait(posts.get()).error().code == Code::kStore);
  CHECK(CheckAndWait(posts.get()).error().message.find(f.path) != std::string::npos);
  CHECK(f.folder.Read("posts.db") == before);
}

TEST_CASE("a store of profiles alone creates and changes nothing") {
  Fixture f;
  SUBCASE("where there is no file") {
    const auto found = FindAndWait(f.OpenProfiles().get(), 1);
    REQUIRE(!found.ok());
    CHECK(found.error().code == Code::kStore);
    CHECK(!std::filesystem::exists(f.path));
  }
  SUBCASE("where there is no table") {
    OtherProgram(f.path).Execute("CREATE TABLE songs (title TEXT)");
    const std::string before = f.folder.Read("posts.db");
    const auto found = FindAndWait(f.OpenProfiles().get(), 1);
    REQUIRE(!found.ok());
    CHECK(found.error().message.find("there is no table kol_profiles") != std::string::npos);
    CHECK(f.folder.Read("posts.db") == before);
  }
  SUBCASE("where the table has few columns, of other types") {
    OtherProgram(f.path).Execute(
        "CREATE TABLE kol_profiles (serial INTEGER, nickname, max_tokens TEXT);"
        "INSERT INTO kol_profiles VALUES (5, 'n', '300')");
    const auto found = FindAndWait(f.OpenProfiles().get(), 5);
    REQUIRE_MESSAGE(found.ok(), found.error().message);
    REQUIRE(found->profile.has_value());
    CHECK(found->profile->serial == "5");
    CHECK(found->profile->max_tokens == 300);
    CHECK(!found->profile->persona.has_value());
  }
}

TEST_CASE("a file locked by another program is waited for, without holding up the thread") {
  Fixture f;
  const auto posts = f.OpenPosts();
  REQUIRE(CheckAndWait(posts.get()).ok());
  OtherProgram other(f.path);
  other.Execute("BEGIN IMMEDIATE");

  SUBCASE("until it is free") {
    Answers<void> answers;
    posts->Put(TestRow("one"), Soon(), answers.Callback());
    // Reading does not need the lock: the thread is not waiting for it.
    CHECK(!GetAndWait(posts.get(), "one")->has_value());
    CHECK(answers.SoFar().empty());
    other.Execute("COMMIT");
    CHECK(answers.Wait(1).front().ok());
  }
  SUBCASE("until the deadline") {
    const Status put =
        PutAndWait(posts.get(), TestRow("one"),
                   std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
    REQUIRE(!put.ok());
    CHECK(put.error().code == Code::kStore);
    other.Execute("COMMIT");
    CHECK(!GetAndWait(posts.get(), "one")->has_value());
  }
}

TEST_CASE("of rows that share a transaction, a refused one does not harm the others") {
  Fixture f;
  const auto posts = f.OpenPosts();
  REQUIRE(CheckAndWait(posts.get()).ok());
  OtherProgram(f.path).Execute(
      "CREATE TRIGGER poison BEFORE INSERT ON post_records WHEN new.title = 'poison' "
      "BEGIN SELECT RAISE(ABORT, 'no'); END");
  Answers<void> answers;
  Answers<void> poisoned;
  for (int i = 0; i < 20; ++i) {
    PostRow row = TestRow(std::to_string(i));
    if (i == 10) row.title = "poison";
    posts->Put(row, Soon(), i == 10 ? poisoned.Callback() : answers.Callback());
  }
  for (const Status& answer : answers.Wait(19)) CHECK(answer.ok());
  CHECK(poisoned.Wait(1).front().error().code == Code::kStore);
  CHECK(!GetAndWait(posts.get(), "10")->has_value());
  CHECK(GetAndWait(posts.get(), "11")->has_value());
}

}  // namespace
}  // namespace postgen
