#include "store/postgres_layout.h"

#include <cstddef>
#include <vector>

namespace postgen {
namespace {

// pg_type.oid, which never changes.
constexpr Oid kJson = 114;
constexpr Oid kTimestamp = 1114;
constexpr Oid kTimestamptz = 1184;
constexpr Oid kUuid = 2950;
constexpr Oid kJsonb = 3802;

constexpr std::string_view kKey = "post_id";

bool HoldsJson(const SqlColumn& column) {
  return column.name == "commodity_tags" || column.name == "generation_params" ||
         column.name == "alternative_versions";
}

// "$7", made into what the type takes: text becomes nothing else by itself. Empty: no value of the
// column would become one of the type.
std::string Write(const SqlColumn& column, const PostgresType& type, std::size_t number) {
  std::string parameter = '$' + std::to_string(number);
  if (type.category == 'S') return parameter;
  switch (column.kind) {
    case SqlKind::kText:
      if (column.name == kKey && type.base == kUuid) return parameter + "::uuid";
      if (!HoldsJson(column)) return {};
      if (type.base == kJson) return "nullif(" + parameter + ", '')::json";
      if (type.base == kJsonb) return "nullif(" + parameter + ", '')::jsonb";
      return {};
    case SqlKind::kInteger: return type.category == 'N' ? parameter : "";
    case SqlKind::kBool: return type.category == 'B' ? parameter : "";
    case SqlKind::kTime:
      // Times are sent and read as `timestamp`, in UTC. Between that and a `timestamptz` the server
      // would convert by the session's time zone, which is the database's or the role's.
      if (type.base == kTimestamptz) return parameter + " AT TIME ZONE 'UTC'";
      return type.base == kTimestamp ? parameter : "";
  }
  return {};
}

// What Write() takes, for people.
std::string_view Wanted(const SqlColumn& column) {
  if (column.name == kKey) return "a UUID: make it text, varchar or uuid";
  if (HoldsJson(column)) return "JSON: make it text, json or jsonb";
  switch (column.kind) {
    case SqlKind::kText: return "text: make it text or varchar";
    case SqlKind::kInteger: return "a number: make it bigint";
    case SqlKind::kBool: return "true or false: make it boolean";
    case SqlKind::kTime: return "a time: make it timestamp or timestamptz";
  }
  return {};
}

// The row of a post id. What is no UUID is not an error: there is no row under it.
std::string KeyCondition(const PostgresType& key) {
  if (key.base != kUuid) return "post_id = $1";
  return "post_id = CASE WHEN $1 ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' "
         "THEN $1::uuid END";
}

// Casts, so that a column's exact type does not matter.
std::string Read(const SqlColumn& column, const PostgresType& type) {
  std::string name(column.name);
  switch (column.kind) {
    case SqlKind::kText: return name + "::text";
    case SqlKind::kInteger: return name + "::bigint";
    case SqlKind::kBool: return name + "::boolean";
    case SqlKind::kTime:
      return name + (type.base == kTimestamptz ? " AT TIME ZONE 'UTC'" : "::timestamp");
  }
  return name;
}

}  // namespace

Result<PostLayout> MakePostLayout(const PostgresTable& table, PostColumns columns) {
  PostLayout layout;
  layout.columns = columns;
  std::string written;
  std::string read;
  std::size_t number = 0;
  for (const SqlColumn& column : ColumnsOf(columns)) {
    const PostgresType& type = table.types.find(column.name)->second;
    const std::string_view separator = number == 0 ? "" : ", ";
    if (type.base == kJsonb || type.base == kUuid) layout.reworded.push_back(number);
    const std::string value = Write(column, type, ++number);
    if (value.empty()) {
      return Error(Code::kStore,
                   "column post_records." + std::string(column.name) + " is " + type.shown +
                       ", and postgen writes " + std::string(Wanted(column)),
                   std::string(column.name));
    }
    written += separator;
    written += value;
    read += separator;
    read += Read(column, type);
  }
  layout.insert = "INSERT INTO post_records (" + ColumnList(columns) + ") VALUES (" + written +
                  ") ON CONFLICT (post_id) DO NOTHING RETURNING 1";
  layout.select =
      "SELECT " + read + " FROM post_records WHERE " + KeyCondition(table.types.find(kKey)->second);
  return layout;
}

PostgresStatement InsertStatement(const PostRow& row, const PostLayout& layout) {
  return MakeStatement(layout.insert, RowValues(row, layout.columns), ColumnsOf(layout.columns));
}

PostgresStatement SelectStatement(std::string_view post_id, const PostLayout& layout) {
  const SqlValue parameter = post_id;
  return MakeStatement(layout.select, {&parameter, 1});
}

std::optional<PostRow> ReadRow(const PGresult* result, const PostLayout& layout) {
  if (PQntuples(result) == 0) return std::nullopt;
  std::vector<SqlValue> values;
  for (const SqlColumn& column : ColumnsOf(layout.columns)) {
    values.push_back(ReadValue(result, 0, static_cast<int>(values.size()), column.kind));
  }
  return RowFromValues(values, layout.columns);
}

bool SameContent(const PostRow& stored, const PostRow& row, const PostLayout& layout) {
  std::vector<SqlValue> values = RowValues(stored, layout.columns);
  const std::vector<SqlValue> wanted = RowValues(row, layout.columns);
  for (const std::size_t column : layout.reworded) values[column] = wanted[column];
  return SameContent(RowFromValues(values, layout.columns), row, layout.columns);
}

}  // namespace postgen
