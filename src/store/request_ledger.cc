#include "store/request_ledger.h"

namespace postgen {

LedgerSql MakeLedgerSql(SqlDialect dialect) {
  // The database's clock: those of the processes may differ.
  const std::string now = dialect == SqlDialect::kPostgres
                              ? "(extract(epoch from clock_timestamp()) * 1000)::bigint"
                              : "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";
  const std::string mark = dialect == SqlDialect::kPostgres ? "$" : "?";
  const auto parameter = [&](int number) { return mark + std::to_string(number); };
  const std::string table(kRequestTable);
  const std::string lease = now + " + " + std::to_string(kLease.count());
  const std::string expiry =
      now + " + " + std::to_string(std::chrono::milliseconds(kKeyLifetime).count());
  const std::string ours = " WHERE tenant = " + parameter(1) +
                           " AND request_key = " + parameter(2) + " AND owner = " + parameter(3) +
                           " AND state = 'running'";
  const auto expired_or = [&](const std::string& column) {
    return column + " = CASE WHEN r.expires_at_ms <= " + now + " THEN excluded." + column +
           " ELSE r." + column + " END";
  };

  LedgerSql sql;
  sql.create = "CREATE TABLE IF NOT EXISTS " + table +
               " (tenant varchar(400) NOT NULL, request_key varchar(800) NOT NULL, "
               "request_hash varchar(64) NOT NULL, post_id varchar(64) NOT NULL, "
               "owner varchar(64) NOT NULL, state varchar(20) NOT NULL, "
               "lease_until_ms bigint NOT NULL, expires_at_ms bigint NOT NULL, "
               "PRIMARY KEY (tenant, request_key))";
  sql.claim = "INSERT INTO " + table +
              " AS r (tenant, request_key, request_hash, post_id, owner, state, lease_until_ms, "
              "expires_at_ms) VALUES (" +
              parameter(1) + ", " + parameter(2) + ", " + parameter(3) + ", " + parameter(4) +
              ", " + parameter(5) + ", 'running', " + lease + ", " + expiry +
              ") ON CONFLICT (tenant, request_key) DO UPDATE SET " + expired_or("request_hash") +
              ", " + expired_or("post_id") + ", " + expired_or("expires_at_ms") +
              ", owner = excluded.owner, state = 'running', "
              "lease_until_ms = excluded.lease_until_ms WHERE r.expires_at_ms <= " +
              now +
              " OR (r.state = 'running' AND r.request_hash = excluded.request_hash AND "
              "(r.lease_until_ms <= " +
              now + " OR r.owner = excluded.owner)) RETURNING post_id";
  sql.look = "SELECT post_id, request_hash, state FROM " + table +
             " WHERE tenant = " + parameter(1) + " AND request_key = " + parameter(2);
  // Rows that somebody else has locked are skipped, and what was renewed meanwhile is kept.
  const std::string expired = "expires_at_ms <= " + now;
  const std::string skip = dialect == SqlDialect::kPostgres ? " FOR UPDATE SKIP LOCKED" : "";
  const std::string clear = "DELETE FROM " + table +
                            " WHERE (tenant, request_key) IN (SELECT tenant, request_key FROM " +
                            table + " WHERE " + parameter(3) + " LIKE '00%' AND " + expired +
                            " LIMIT " + std::to_string(kMostCleared) + skip + ") AND " + expired;
  sql.finish = "UPDATE " + table + " SET state = 'done'" + ours;
  if (dialect == SqlDialect::kPostgres) {
    sql.finish.insert(0, "WITH cleared AS (" + clear + ") ");
  } else {
    sql.clear = clear;
  }
  sql.release = "DELETE FROM " + table + ours;
  return sql;
}

ClaimAnswer JudgeClaim(const RequestClaim& claim, std::string_view post_id,
                       std::string_view request_hash, std::string_view state) {
  ClaimAnswer answer;
  answer.post_id = post_id;
  if (request_hash != claim.request_hash) {
    answer.state = ClaimAnswer::State::kConflict;
  } else {
    answer.state = state == "done" ? ClaimAnswer::State::kDone : ClaimAnswer::State::kRunning;
  }
  return answer;
}

}  // namespace postgen
