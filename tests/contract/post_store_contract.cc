#include "contract/post_store_contract.h"

#include <chrono>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "contract/post_store_calls.h"

namespace postgen {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::seconds;

TimePoint LongAgo() { return std::chrono::steady_clock::now() - seconds(1); }

WallTime At(std::chrono::sys_days day, microseconds since_midnight) { return day + since_midnight; }

constexpr auto kToday =
    std::chrono::sys_days(std::chrono::year(2026) / std::chrono::November / std::chrono::day(23));

// Texts that are known to break programs which quote, cut, convert or format.
const char* const kHostileTexts[] = {
    "",
    " ",
    "'; DROP TABLE post_records; --",
    "$1 $2 $$ ? :a @b",
    "\\x41 \\N \\' \\\\",
    "100% %s %n %d",
    "\"quoted\" {\"json\": [1]} 'single'",
    "line\nbreak\r\n\ttab",
    "\u202eright to left\u202c \u200fmark",
    "台積電 🚀👩‍👩‍👧 𠜎 e\u0301",
    "NULL",
    "\x01\x1b[31m\x7f",
};

// One change of every column that makes it another post.
struct Change {
  const char* column;
  void (*apply)(PostRow*);
};
const Change kChanges[] = {
    {"created_at", [](PostRow* row) { row->created_at += seconds(1); }},
    {"session_id", [](PostRow* row) { row->session_id = 1; }},
    {"session_id", [](PostRow* row) { row->session_id.reset(); }},
    {"kol_serial", [](PostRow* row) { ++row->kol_serial; }},
    {"kol_nickname", [](PostRow* row) { row->kol_nickname += 'x'; }},
    {"kol_persona", [](PostRow* row) { row->kol_persona += 'x'; }},
    {"stock_code", [](PostRow* row) { row->stock_code += 'x'; }},
    {"stock_name", [](PostRow* row) { row->stock_name += 'x'; }},
    {"title", [](PostRow* row) { row->title += 'x'; }},
    {"content", [](PostRow* row) { row->content += ' '; }},
    {"content_md", [](PostRow* row) { row->content_md += 'x'; }},
    {"commodity_tags", [](PostRow* row) { row->commodity_tags += 'x'; }},
    {"generation_params", [](PostRow* row) { row->generation_params += 'x'; }},
    {"alternative_versions", [](PostRow* row) { row->alternative_versions.reset(); }},
    {"trigger_type", [](PostRow* row) { row->trigger_type += 'x'; }},
    {"generation_mode", [](PostRow* row) { row->generation_mode += 'x'; }},
    {"topic_id", [](PostRow* row) { row->topic_id = "other"; }},
    {"topic_title", [](PostRow* row) { row->topic_title.reset(); }},
    {"has_trending_topic", [](PostRow* row) { row->has_trending_topic = false; }},
    {"topic_content", [](PostRow* row) { row->topic_content = ""; }},
};

struct BadRow {
  const char* column;
  void (*spoil)(PostRow*);
};
const BadRow kBadRows[] = {
    {"post_id", [](PostRow* row) { row->post_id.clear(); }},
    {"title", [](PostRow* row) { row->title = std::string("a\0b", 3); }},
    {"content", [](PostRow* row) { row->content = "cut \xe5\x8f"; }},
    {"content", [](PostRow* row) { row->content = "surrogate \xed\xa0\x80"; }},
    {"topic_content", [](PostRow* row) { row->topic_content = "\xff"; }},
    {"kol_serial", [](PostRow* row) { row->kol_serial = std::int64_t{1} << 31U; }},
};

void CheckStored(PostStore* store, const PostRow& row) {
  const auto stored = GetAndWait(store, row.post_id);
  REQUIRE_MESSAGE(stored.ok(), stored.error().message);
  REQUIRE(stored->has_value());
  CHECK(**stored == row);
}

std::size_t CountOk(const std::vector<Status>& answers) {
  std::size_t count = 0;
  for (const Status& answer : answers) count += answer.ok() ? 1 : 0;
  return count;
}

void CheckTexts(PostStore* store) {
  for (const char* const text : kHostileTexts) {
    CAPTURE(text);
    PostRow row = TestRow("text of " + std::string(text));
    row.kol_nickname = row.kol_persona = row.stock_code = row.stock_name = row.title = text;
    row.content = row.content_md = row.status = row.commodity_tags = text;
    row.generation_params = row.trigger_type = row.generation_mode = text;
    row.alternative_versions = row.topic_id = row.topic_title = row.topic_content = text;
    const Status put = PutAndWait(store, row);
    REQUIRE_MESSAGE(put.ok(), put.error().message);
    CheckStored(store, row);
  }
}

void CheckTimes(PostStore* store) {
  const WallTime times[] = {
      At(kToday, microseconds(0)),
      At(kToday, microseconds(1)),
      At(kToday, hours(23) + seconds(3599) + microseconds(999999)),
      At(std::chrono::sys_days(), microseconds(-1)),
      At(std::chrono::sys_days() + std::chrono::days(365 * 100), microseconds(123456)),
  };
  int number = 0;
  for (const WallTime time : times) {
    PostRow row = TestRow("time " + std::to_string(++number));
    row.created_at = time;
    REQUIRE(PutAndWait(store, row).ok());
    CheckStored(store, row);
  }
}

void CheckConflicts(PostStore* store) {
  const PostRow row = TestRow("conflict");
  REQUIRE(PutAndWait(store, row).ok());
  for (const Change& change : kChanges) {
    CAPTURE(change.column);
    PostRow other = row;
    change.apply(&other);
    const Status put = PutAndWait(store, other);
    REQUIRE(!put.ok());
    CHECK(put.error().code == Code::kConflict);
  }
  CheckStored(store, row);
}

void CheckManyThreads(PostStore* store) {
  constexpr int kThreads = 8;
  constexpr int kRowsOfEach = 8;
  Answers<void> answers;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kRowsOfEach; ++i) {
        const std::string post_id = std::to_string(thread) + '/' + std::to_string(i);
        store->Put(TestRow(post_id), Soon(), answers.Callback());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  constexpr std::size_t kRows = std::size_t{kThreads} * kRowsOfEach;
  CHECK(CountOk(answers.Wait(kRows)) == kRows);
  for (int thread = 0; thread < kThreads; ++thread) {
    for (int i = 0; i < kRowsOfEach; ++i) {
      CheckStored(store, TestRow(std::to_string(thread) + '/' + std::to_string(i)));
    }
  }
  CHECK(answers.SoFar().size() == kThreads * kRowsOfEach);
}

void CheckRace(PostStore* store) {
  Answers<void> same;
  for (int i = 0; i < 16; ++i) store->Put(TestRow("same"), Soon(), same.Callback());
  CHECK(CountOk(same.Wait(16)) == 16);

  Answers<void> different;
  for (int i = 0; i < 16; ++i) {
    PostRow row = TestRow("different");
    row.title = "number " + std::to_string(i);
    store->Put(row, Soon(), different.Callback());
  }
  CHECK(CountOk(different.Wait(16)) == 1);
}

void CheckPastDeadline(PostStore* store) {
  const Status put = PutAndWait(store, TestRow("late"), LongAgo());
  REQUIRE(!put.ok());
  CHECK(put.error().code == Code::kStore);
  CHECK(!CheckAndWait(store, LongAgo()).ok());
  CHECK(!GetAndWait(store, "late", LongAgo()).ok());
  CHECK(!MigrateAndWait(store, LongAgo()).ok());
  const auto stored = GetAndWait(store, "late");
  REQUIRE(stored.ok());
  CHECK(!stored->has_value());
}

void CheckBadRows(PostStore* store) {
  for (const BadRow& bad : kBadRows) {
    CAPTURE(bad.column);
    PostRow row = TestRow("bad");
    bad.spoil(&row);
    const Status put = PutAndWait(store, row);
    REQUIRE(!put.ok());
    CHECK(put.error().code == Code::kStore);
    CHECK(put.error().details.field == bad.column);
  }
  CHECK(PutAndWait(store, TestRow("bad")).ok());
}

void CheckDestruction(std::unique_ptr<PostStore> store) {
  Answers<void> puts;
  Answers<std::optional<PostRow>> gets;
  for (int i = 0; i < 20; ++i) {
    store->Put(TestRow("last " + std::to_string(i)), Soon(), puts.Callback());
    store->Get("last " + std::to_string(i), Soon(), gets.Callback());
  }
  store.reset();
  CHECK(puts.SoFar().size() == 20);
  CHECK(gets.SoFar().size() == 20);
}

}  // namespace

TimePoint Soon() { return std::chrono::steady_clock::now() + seconds(60); }

PostRow TestRow(const std::string& post_id) {
  PostRow row;
  row.post_id = post_id;
  row.created_at = At(kToday, hours(15) + microseconds(678901));
  row.session_id = 1763900000123;
  row.kol_serial = 208;
  row.kol_nickname = "KOL-208";
  row.kol_persona = "technical";
  row.stock_code = "2330";
  row.stock_name = "台積電";
  row.title = "it's 100% \"sure\"";
  row.content = "內容 $1 \\x00 %s\n🚀";
  row.content_md = "**內容**";
  row.commodity_tags = R"([{"type":"Market","key":"TWA00","bullOrBear":0}])";
  row.generation_params = R"({"method":"manual"})";
  row.alternative_versions = R"([{"title":"另一個"}])";
  row.trigger_type = "custom_stocks";
  row.generation_mode = "manual";
  row.topic_id = "t-1";
  row.topic_title = "熱門";
  row.has_trending_topic = true;
  row.topic_content = "話題";
  return row;
}

Status CheckAndWait(PostStore* store, TimePoint deadline) {
  return Await<void>([&](auto done) { store->Check(deadline, std::move(done)); });
}

Status PutAndWait(PostStore* store, const PostRow& row, TimePoint deadline) {
  return Await<void>([&](auto done) { store->Put(row, deadline, std::move(done)); });
}

Result<std::optional<PostRow>> GetAndWait(PostStore* store, const std::string& post_id,
                                          TimePoint deadline) {
  return Await<std::optional<PostRow>>(
      [&](auto done) { store->Get(post_id, deadline, std::move(done)); });
}

Result<std::vector<std::string>> MigrateAndWait(PostStore* store, TimePoint deadline) {
  return Await<std::vector<std::string>>(
      [&](auto done) { store->Migrate(deadline, std::move(done)); });
}

void CheckPostStoreContract(const std::function<std::unique_ptr<PostStore>()>& open) {
  std::unique_ptr<PostStore> store = open();
  const Status usable = CheckAndWait(store.get());
  REQUIRE_MESSAGE(usable.ok(), usable.error().message);

  SUBCASE("a row comes back as it was, in every column") {
    const PostRow row = TestRow("one");
    REQUIRE(PutAndWait(store.get(), row).ok());
    CheckStored(store.get(), row);
  }

  SUBCASE("columns that may be NULL are NULL, not empty") {
    PostRow row = TestRow("nulls");
    row.session_id.reset();
    row.alternative_versions.reset();
    row.topic_id.reset();
    row.topic_title.reset();
    row.topic_content.reset();
    REQUIRE(PutAndWait(store.get(), row).ok());
    CheckStored(store.get(), row);
  }

  SUBCASE("texts come back byte for byte") { CheckTexts(store.get()); }

  SUBCASE("a text of a megabyte comes back") {
    PostRow row = TestRow("long");
    row.content.clear();
    while (row.content.size() < (std::size_t{1} << 20U)) row.content += "台積電'\\$1\n";
    REQUIRE(PutAndWait(store.get(), row).ok());
    CheckStored(store.get(), row);
  }

  SUBCASE("times keep their microseconds, in UTC") { CheckTimes(store.get()); }

  SUBCASE("an unknown post is absent, which is no error") {
    const auto stored = GetAndWait(store.get(), "nobody");
    REQUIRE(stored.ok());
    CHECK(!stored->has_value());
  }

  SUBCASE("the same row again is success and changes nothing") {
    const PostRow row = TestRow("again");
    REQUIRE(PutAndWait(store.get(), row).ok());
    CHECK(PutAndWait(store.get(), row).ok());
    CheckStored(store.get(), row);
  }

  SUBCASE("other content under the same post_id is a conflict and changes nothing") {
    CheckConflicts(store.get());
  }

  SUBCASE("rows put from many threads at once are all stored") { CheckManyThreads(store.get()); }

  SUBCASE("of different posts under one post_id one wins") { CheckRace(store.get()); }

  SUBCASE("nothing is done for a deadline that has passed") { CheckPastDeadline(store.get()); }

  SUBCASE("what no database keeps is refused by its column") { CheckBadRows(store.get()); }

  SUBCASE("a second migration finds nothing to do") {
    REQUIRE(MigrateAndWait(store.get()).ok());
    const auto lines = MigrateAndWait(store.get());
    REQUIRE(lines.ok());
    CHECK(lines->empty());
    CHECK(CheckAndWait(store.get()).ok());
  }

  SUBCASE("when a store is gone, every operation has called back, once") {
    CheckDestruction(std::move(store));
  }
}

}  // namespace postgen
