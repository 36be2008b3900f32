// A fork() while threads of the parent write: the child makes a generator of its own, and its posts
// end.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "postgen/postgen.h"
#include "support/scoped.h"

namespace postgen {
namespace {

using testing::TempFolder;

constexpr int kWriters = 8;
constexpr int kRounds = 10;
constexpr int kChildrenAtOnce = 10;

Options Offline(std::string store_url, std::string spool) {
  Options options;
  options.llm.provider = "template";
  options.cache.url = "none:";
  options.store.url = std::move(store_url);
  options.store.spool = std::move(spool);
  return options;
}

Options IntoSqlite(const TempFolder& folder) {
  return Offline("sqlite:" + folder.path() + "/posts.db", "none:");
}

// Nothing listens there.
Options IntoSpool(const TempFolder& folder) {
  Options options = Offline("postgresql://nobody@127.0.0.1:1/none", folder.path() + "/spool");
  std::ofstream(folder.File("kols.json")) << "[]";
  options.profiles.url = "file:" + folder.File("kols.json");
  return options;
}

Stored PostOne(PostGenerator* generator) {
  PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  request.versions = 1;
  const auto post = generator->Generate(request);
  if (!post.ok()) std::cerr << post.error().message << '\n';
  return post.ok() ? post->stored : Stored::kNotRequested;
}

std::unique_ptr<PostGenerator> Make(const Options& options) {
  auto generator = PostGenerator::Create(options);
  return generator.ok() ? *std::move(generator) : nullptr;
}

// In a child, which ends.
[[noreturn]] void PostAnew(const Options& options, Stored expected) {
  alarm(20);  // a hang kills it
  auto generator = Make(options);
  const bool stored = generator != nullptr && PostOne(generator.get()) == expected;
  generator.reset();
  _exit(stored ? 0 : 1);
}

// Children that did not end well.
int ForkAndPost(const Options& options, Stored expected) {
  int failures = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < kChildrenAtOnce; ++i) {
      const pid_t child = fork();
      if (child == 0) PostAnew(options, expected);
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      if (waitpid(child, &status, 0) != child || status != 0) ++failures;
    }
  }
  return failures;
}

void CheckForksWhileWriting(const Options& options, Stored expected) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  // TSan forbids threads in a child of threads; ASan's own allocator may be locked at the fork.
  MESSAGE("not run under TSan and ASan, which are not made for forks between threads");
  return;
#endif
  const auto generator = Make(options);
  REQUIRE(generator != nullptr);
  REQUIRE(PostOne(generator.get()) == expected);
  std::atomic<bool> over = false;
  std::atomic<int> lost = 0;
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&] {
      while (!over) lost += PostOne(generator.get()) == expected ? 0 : 1;
    });
  }
  const int failures = ForkAndPost(options, expected);
  over = true;
  for (std::thread& writer : writers) writer.join();
  CHECK(failures == 0);
  CHECK(lost == 0);
}

TEST_CASE("children of a process that writes SQLite write their own posts") {
  const TempFolder folder;
  CheckForksWhileWriting(IntoSqlite(folder), Stored::kStored);
}

TEST_CASE("children of a process that spools spool their own posts") {
  const TempFolder folder;
  CheckForksWhileWriting(IntoSpool(folder), Stored::kSpooled);
}

int CountPosts(const std::string& file) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* count = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, "SELECT count(*) FROM post_records", -1, &count, nullptr) ==
          SQLITE_OK);
  REQUIRE(sqlite3_step(count) == SQLITE_ROW);
  const int posts = sqlite3_column_int(count, 0);
  sqlite3_finalize(count);
  sqlite3_close(database);
  return posts;
}

TEST_CASE("a child keeps the log of a SQLite file that its parent closes") {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  // TSan forbids threads in a child of threads; ASan's own allocator may be locked at the fork.
  MESSAGE("not run under TSan and ASan, which are not made for forks between threads");
  return;
#endif
  const TempFolder folder;
  const Options options = IntoSqlite(folder);
  auto generator = Make(options);
  REQUIRE(generator != nullptr);
  REQUIRE(PostOne(generator.get()) == Stored::kStored);
  int opened[2];
  int closed[2];
  REQUIRE(pipe(opened) == 0);
  REQUIRE(pipe(closed) == 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    char byte = 0;
    const auto own = Make(options);
    const bool stored = own != nullptr && PostOne(own.get()) == Stored::kStored &&
                        write(opened[1], &byte, 1) == 1 && read(closed[0], &byte, 1) == 1 &&
                        PostOne(own.get()) == Stored::kStored;
    _exit(stored ? 0 : 1);  // as one that is killed
  }
  close(opened[1]);
  char byte = 0;
  CHECK(read(opened[0], &byte, 1) == 1);
  generator.reset();
  CHECK(write(closed[1], &byte, 1) == 1);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  close(opened[0]);
  close(closed[0]);
  close(closed[1]);
  CHECK(CountPosts(folder.File("posts.db")) == 3);
}

}  // namespace
}  // namespace postgen
