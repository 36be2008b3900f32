// Values as PostgreSQL sends and takes them in binary, so that no text is ever quoted, escaped or
// cut at a NUL.
#ifndef POSTGEN_SRC_STORE_POSTGRES_VALUES_H_
#define POSTGEN_SRC_STORE_POSTGRES_VALUES_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

#include "store/schema.h"

namespace postgen {

struct ClearPostgresResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PostgresResult = std::unique_ptr<PGresult, ClearPostgresResult>;

// A statement with its parameters, encoded and owned.
struct PostgresStatement {
  struct Parameter {
    Oid type = 0;
    std::optional<std::string> bytes;  // absent: NULL
  };

  std::string sql;
  std::vector<Parameter> parameters;
};

PostgresStatement MakeStatement(std::string sql, std::span<const SqlValue> values);

// The same for the values of these columns: a NULL, too, is sent with its column's type, so that
// rows differ in their values alone.
PostgresStatement MakeStatement(std::string sql, std::span<const SqlValue> values,
                                std::span<const SqlColumn> columns);

// "$1, $2, ... $count"
std::string ParameterList(std::size_t count);

// Field (row, column) of a binary result, borrowed from it. REQUIRES: the column has kind's type:
// text, bigint, boolean or timestamp.
SqlValue ReadValue(const PGresult* result, int row, int column, SqlKind kind);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_VALUES_H_
