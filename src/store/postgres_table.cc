#include "store/postgres_table.h"

#include <cstdint>

namespace postgen {

// Through the domains, which may be made of domains, down to the type that values have.
PostgresStatement DescribeTable(std::string_view table) {
  const SqlValue name = table;
  return MakeStatement(
      "WITH RECURSIVE layer AS ("
      "SELECT attname, atttypid AS type, pg_catalog.format_type(atttypid, atttypmod) AS shown, "
      "attnotnull AS not_null, "
      "atthasdef OR attidentity <> '' OR typdefault IS NOT NULL AS has_default "
      "FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type ON pg_type.oid = atttypid "
      "WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped "
      "UNION ALL "
      "SELECT attname, typbasetype, shown, not_null OR typnotnull, has_default "
      "FROM layer JOIN pg_catalog.pg_type ON pg_type.oid = layer.type WHERE typtype = 'd') "
      "SELECT attname::text, not_null AND NOT has_default, current_setting('transaction_read_only') = 'on', "
      "pg_type.oid::bigint, typcategory::text, shown "
      "FROM layer JOIN pg_catalog.pg_type ON pg_type.oid = layer.type WHERE typtype <> 'd'",
      {&name, 1});
}

PostgresTable ReadTable(const PGresult* result) {
  PostgresTable table;
  for (int row = 0; row < PQntuples(result); ++row) {
    const std::string name(std::get<std::string_view>(ReadValue(result, row, 0, SqlKind::kText)));
    if (std::get<bool>(ReadValue(result, row, 1, SqlKind::kBool))) table.needed.insert(name);
    table.read_only = std::get<bool>(ReadValue(result, row, 2, SqlKind::kBool));
    PostgresType& type = table.types[name];
    type.base =
        static_cast<Oid>(std::get<std::int64_t>(ReadValue(result, row, 3, SqlKind::kInteger)));
    type.category = std::get<std::string_view>(ReadValue(result, row, 4, SqlKind::kText)).front();
    type.shown = std::get<std::string_view>(ReadValue(result, row, 5, SqlKind::kText));
    table.columns.insert(name);
  }
  return table;
}

}  // namespace postgen
