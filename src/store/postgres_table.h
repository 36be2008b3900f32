// What a table of the database looks like to us.
#ifndef POSTGEN_SRC_STORE_POSTGRES_TABLE_H_
#define POSTGEN_SRC_STORE_POSTGRES_TABLE_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "store/postgres_values.h"
#include "store/schema.h"

namespace postgen {

struct PostgresType {
  Oid base = 0;       // of a domain: the type below it
  char category = 0;  // pg_type.typcategory of that: 'S' for texts, 'N' for numbers, ...
  std::string shown;  // "character varying(100)"
};

struct PostgresTable {
  ColumnNames columns;                                     // empty: there is no such table
  ColumnNames needed;                                      // those that every row must fill
  std::map<std::string, PostgresType, std::less<>> types;  // of every column
  bool read_only = false;                                  // the whole database is
};

// Asks for a table, found as any statement would find it: along the search path.
PostgresStatement DescribeTable(std::string_view table);

// The reply to it.
PostgresTable ReadTable(const PGresult* result);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_TABLE_H_
