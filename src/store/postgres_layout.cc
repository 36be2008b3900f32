#include "store/postgres_layout.h"

#include <cstddef>
#include <vector>

namespace postgen {
namespace {

// pg_type.oid, which never changes.
constexpr Oid kTimestamptz = 1184;

// Times are sent and read as `timestamp`, in UTC. Between that and a `timestamptz` the server would
// convert by the session's time zone, which is the database's or the role's.
std::string Write(const SqlColumn& column, const PostgresType& type, std::size_t number) {
  std::string parameter = '$' + std::to_string(number);
  if (column.kind == SqlKind::kTime && type.base == kTimestamptz) {
    parameter += " AT TIME ZONE 'UTC'";
  }
  return parameter;
}

// Casts, so that a column's exact type does not matter.
std::string Read(const SqlColumn& column, const PostgresType& type) {
  const std::string name(column.name);
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

PostLayout MakePostLayout(const PostgresTable& table, PostColumns columns) {
  std::string written;
  std::string read;
  std::size_t number = 0;
  for (const SqlColumn& column : ColumnsOf(columns)) {
    const PostgresType& type = table.types.find(column.name)->second;
    const std::string_view separator = number == 0 ? "" : ", ";
    written += separator;
    written += Write(column, type, ++number);
    read += separator;
    read += Read(column, type);
  }
  PostLayout layout;
  layout.columns = columns;
  layout.insert = "INSERT INTO post_records (" + ColumnList(columns) + ") VALUES (" + written +
                  ") ON CONFLICT (post_id) DO NOTHING RETURNING 1";
  layout.select = "SELECT " + read + " FROM post_records WHERE post_id = $1";
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

}  // namespace postgen
