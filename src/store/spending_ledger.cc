#include "store/spending_ledger.h"

namespace postgen {

SpendingSql MakeSpendingSql(SqlDialect dialect) {
  // The database's clock: those of the processes may differ.
  const bool postgres = dialect == SqlDialect::kPostgres;
  const std::string today = postgres
                                ? "floor(extract(epoch from clock_timestamp()) / 86400)::bigint"
                                : "CAST(strftime('%s', 'now') / 86400 AS INTEGER)";
  const std::string mark = postgres ? "$" : "?";
  const auto parameter = [&](int number) { return mark + std::to_string(number); };
  const std::string day =
      "CASE WHEN " + parameter(2) + " < 0 THEN " + today + " ELSE " + parameter(2) + " END";
  const std::string table(kSpendingTable);
  const std::string within = parameter(4) + " < 0 OR " + parameter(4) + " >= ";

  SpendingSql sql;
  sql.create =
      "CREATE TABLE IF NOT EXISTS " + table +
      " (scope varchar(64) NOT NULL, day bigint NOT NULL, spent_micro_usd bigint NOT NULL, "
      "PRIMARY KEY (scope, day))";
  sql.add = "INSERT INTO " + table + " AS s (scope, day, spent_micro_usd) SELECT " + parameter(1) +
            ", " + day + ", " + parameter(3) + " WHERE " + within + parameter(3) +
            " ON CONFLICT (scope, day) DO UPDATE SET spent_micro_usd = s.spent_micro_usd + "
            "excluded.spent_micro_usd WHERE " +
            within + "s.spent_micro_usd + excluded.spent_micro_usd RETURNING day, spent_micro_usd";
  sql.look = "SELECT d.day, coalesce(s.spent_micro_usd, 0) FROM (SELECT " + day +
             " AS day) AS d LEFT JOIN " + table +
             " AS s ON s.day = d.day AND s.scope = " + parameter(1);
  return sql;
}

}  // namespace postgen
