#include "store/postgres_values.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// A one-row result of these fields, as the server sends them.
PostgresResult ResultOf(const PostgresStatement& statement) {
  PostgresResult result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK));
  std::vector<PGresAttDesc> fields(statement.parameters.size());
  std::string name = "f";
  for (PGresAttDesc& field : fields) field.name = name.data();
  PQsetResultAttrs(result.get(), static_cast<int>(fields.size()), fields.data());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::optional<std::string> bytes = statement.parameters[i].bytes;
    PQsetvalue(result.get(), 0, static_cast<int>(i), bytes ? bytes->data() : nullptr,
               bytes ? static_cast<int>(bytes->size()) : -1);
  }
  return result;
}

TEST_CASE("values are encoded as PostgreSQL has them in binary") {
  const std::vector<SqlValue> values = {
      std::string_view("a'$1"), std::int64_t{-2}, true,
      WallTime(seconds(946684800) + microseconds(1)),  // 2000-01-01 and a microsecond
      std::monostate()};
  const PostgresStatement statement = MakeStatement("SELECT", values);
  const std::vector<std::string> expected = {"a'$1", "\xff\xff\xff\xff\xff\xff\xff\xfe", "\x01",
                                             std::string("\0\0\0\0\0\0\0\x01", 8)};
  REQUIRE(statement.parameters.size() == 5);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(statement.parameters[i].bytes == expected[i]);
  }
  CHECK(!statement.parameters[4].bytes.has_value());
}

TEST_CASE("a NULL of a column has the column's type, so that rows are parsed alike") {
  PostRow row;
  row.session_id = 1;
  const auto columns = ColumnsOf(PostColumns::kAll22);
  const auto types = [&] {
    std::vector<Oid> result;
    for (const auto& parameter :
         MakeStatement("", RowValues(row, PostColumns::kAll22), columns).parameters) {
      result.push_back(parameter.type);
    }
    return result;
  };
  const std::vector<Oid> before = types();
  row.session_id.reset();
  row.topic_id = "t";
  CHECK(types() == before);
  CHECK(std::count(before.begin(), before.end(), Oid{0}) == 0);
}

TEST_CASE("values are decoded to what they were") {
  const WallTime time(microseconds(-123456789));
  const std::vector<SqlValue> values = {std::string_view("台\\x"), INT64_MIN, false, time,
                                        std::monostate()};
  const SqlKind kinds[] = {SqlKind::kText, SqlKind::kInteger, SqlKind::kBool, SqlKind::kTime,
                           SqlKind::kText};
  const PostgresResult result = ResultOf(MakeStatement("SELECT", values));
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(i);
    CHECK(ReadValue(result.get(), 0, static_cast<int>(i), kinds[i]) == values[i]);
  }
}

TEST_CASE("times that a WallTime cannot hold become the nearest") {
  const std::vector<SqlValue> values = {INT64_MAX, INT64_MIN};  // infinity and -infinity
  const PostgresResult result = ResultOf(MakeStatement("SELECT", values));
  CHECK(ReadValue(result.get(), 0, 0, SqlKind::kTime) == SqlValue(WallTime::max()));
  CHECK(ReadValue(result.get(), 0, 1, SqlKind::kTime) == SqlValue(WallTime::min()));
}

TEST_CASE("parameters are numbered from one") {
  CHECK(ParameterList(1) == "$1");
  CHECK(ParameterList(3) == "$1, $2, $3");
}

}  // namespace
}  // namespace postgen
