#include "store/schema.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "contract/post_store_contract.h"

namespace postgen {
namespace {

ColumnNames Names(PostColumns columns) {
  ColumnNames names;
  for (const SqlColumn& column : ColumnsOf(columns)) names.emplace(column.name);
  return names;
}

TEST_CASE("22 columns are written only where all five newer ones exist") {
  ColumnNames names = Names(PostColumns::kAll22);
  CHECK(*ChoosePostColumns(names) == PostColumns::kAll22);
  for (const SqlColumn& newer : ColumnsOf(PostColumns::kAll22).subspan(17)) {
    CAPTURE(newer.name);
    ColumnNames without = names;
    without.erase(std::string(newer.name));
    CHECK(*ChoosePostColumns(without) == PostColumns::kFirst17);
  }
}

TEST_CASE("a table without one of the 17 columns is refused by its name") {
  for (const SqlColumn& column : ColumnsOf(PostColumns::kFirst17)) {
    ColumnNames without = Names(PostColumns::kAll22);
    without.erase(std::string(column.name));
    const auto chosen = ChoosePostColumns(without);
    REQUIRE(!chosen.ok());
    CHECK(chosen.error().code == Code::kStore);
    CHECK(chosen.error().details.field == column.name);
    CHECK(chosen.error().message.find("run: postgen migrate") != std::string::npos);
  }
}

TEST_CASE("a row survives its way into values and back") {
  const PostRow row = TestRow("id");
  CHECK(RowFromValues(RowValues(row, PostColumns::kAll22), PostColumns::kAll22) == row);
}

TEST_CASE("content is compared by the columns that the table has, without the status") {
  const PostRow row = TestRow("id");
  PostRow stored = row;
  stored.status = "published";
  CHECK(SameContent(stored, row, PostColumns::kAll22));
  stored.topic_id = "other";
  CHECK(!SameContent(stored, row, PostColumns::kAll22));
  CHECK(SameContent(stored, row, PostColumns::kFirst17));
}

TEST_CASE("a migration names what is missing, and nothing else") {
  const auto lines = [](const ColumnNames& posts, const ColumnNames& profiles) {
    std::vector<std::string> result;
    for (const auto& change : MissingSchema(SqlDialect::kPostgres, posts, profiles)) {
      result.push_back(change.line);
    }
    return result;
  };
  const ColumnNames complete = Names(PostColumns::kAll22);
  CHECK(lines(complete, {"serial"}).empty());
  CHECK(lines({}, {}) ==
        std::vector<std::string>{"created table post_records", "created table kol_profiles"});
  ColumnNames old = complete;
  old.erase("trigger_type");
  old.erase("topic_content");
  CHECK(lines(old, {"serial"}) ==
        std::vector<std::string>{"added column post_records.trigger_type",
                                 "added column post_records.topic_content"});
  for (const SqlColumn& column : ColumnsOf(PostColumns::kAll22)) {
    ColumnNames without = complete;
    without.erase(std::string(column.name));
    CHECK(lines(without, {"serial"}) ==
          std::vector<std::string>{"added column post_records." + std::string(column.name)});
  }
}

TEST_CASE("only columns of a profile that exist are read, and never the login's") {
  const auto columns = ChooseProfileColumns({"serial", "email", "password", "persona", "notes"});
  REQUIRE(columns.ok());
  CHECK(*columns == std::vector<std::string_view>{"serial", "persona"});
  CHECK(!ChooseProfileColumns({}).ok());
  CHECK(!ChooseProfileColumns({"nickname"}).ok());
}

TEST_CASE("fields of a profile that do not hold what they should are refused by name") {
  struct Case {
    const char* column;
    std::string text;
  };
  const Case cases[] = {{"model_temp", "warm"},
                        {"model_temp", "nan"},
                        {"model_temp", "0.5x"},
                        {"max_tokens", "7.5"},
                        {"max_tokens", ""},
                        {"nickname", "\xff"},
                        {"signature", std::string("a\0b", 3)}};
  for (const Case& c : cases) {
    CAPTURE(c.column);
    KolProfile profile;
    const Status set = SetProfileField(c.column, c.text, &profile);
    REQUIRE(!set.ok());
    CHECK(set.error().details.field == c.column);
  }
}

}  // namespace
}  // namespace postgen
