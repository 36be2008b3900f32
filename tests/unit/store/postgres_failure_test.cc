#include "store/postgres_failure.h"

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("messages tell what to do and keep the SQLSTATE") {
  CHECK(DescribeSqlState("42P01") == "a table is missing; run: postgen migrate (SQLSTATE 42P01)");
  CHECK(DescribeSqlState("28P01") ==
        "the server refused the user name or the password (SQLSTATE 28P01)");
  CHECK(DescribeSqlState("23505") == "a constraint of the table refused the row (SQLSTATE 23505)");
  CHECK(DescribeSqlState("XX000") == "the server reported an error (SQLSTATE XX000)");
}

TEST_CASE("only failures that another attempt may not have are tried again") {
  for (const char* const state : {"08006", "57P01", "57P03", "40001", "40P01", "53300", "25006"}) {
    CAPTURE(state);
    CHECK(IsRetryableSqlState(state));
  }
  for (const char* const state :
       {"", "22001", "23502", "28P01", "3D000", "42P01", "53100", "57014"}) {
    CAPTURE(state);
    CHECK(!IsRetryableSqlState(state));
  }
}

TEST_CASE("the SQLSTATE is found at the end of libpq's message") {
  CHECK(SqlStateOfMessage("connection to server at \"h\", port 1 failed: FATAL:  28P01\n") ==
        "28P01");
  CHECK(SqlStateOfMessage("致命錯誤:  3D000\n") == "3D000");
  for (const char* const message : {"", "\n", "28P01", "failed: Connection refused\n",
                                    "port 54321 failed: timeout", "x28P01"}) {
    CAPTURE(message);
    CHECK(SqlStateOfMessage(message).empty());
  }
}

}  // namespace
}  // namespace postgen
