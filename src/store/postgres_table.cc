#include "store/postgres_table.h"

namespace postgen {

PostgresStatement DescribeTable(std::string_view table) {
  const SqlValue name = table;
  return MakeStatement(
      "SELECT attname::text, "
      "attnotnull AND NOT atthasdef AND attidentity = '', "
      "current_setting('transaction_read_only') = 'on' "
      "FROM pg_catalog.pg_attribute "
      "WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped",
      {&name, 1});
}

PostgresTable ReadTable(const PGresult* result) {
  PostgresTable table;
  for (int row = 0; row < PQntuples(result); ++row) {
    const std::string name(std::get<std::string_view>(ReadValue(result, row, 0, SqlKind::kText)));
    if (std::get<bool>(ReadValue(result, row, 1, SqlKind::kBool))) table.needed.insert(name);
    table.read_only = std::get<bool>(ReadValue(result, row, 2, SqlKind::kBool));
    table.columns.insert(name);
  }
  return table;
}

}  // namespace postgen
