#include "store/postgres_failure.h"

#include <string>

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

TEST_CASE("what has to be mended is told from what passes") {
  const std::string at = "connection to server at \"certificate-alert\", port 1 failed: ";
  for (const char* const why :
       {"server certificate for \"a\" does not match host name \"b\"",
        "SSL error: certificate verify failed", "root certificate file \"f\" does not exist",
        "server does not support SSL, but SSL was required",
        "private key file \"f\" has group or world access; file must have permissions",
        "SSL error: tlsv1 alert protocol version", "SSL error: tlsv1 alert unknown ca",
        "SSL error: unsupported protocol", "channel binding required, but SSL not in use",
        "fe_sendauth: no password supplied"}) {
    CAPTURE(why);
    CHECK(NeedsMending(at + why + '\n'));
  }
  for (const char* const message :
       {"invalid channel_binding value: \"perhaps\"\n",
        "could not match 2 port numbers to 1 hosts\n",
        "could not parse network address \"a\": Name or service not known\n"}) {
    CAPTURE(message);
    CHECK(NeedsMending(message));
  }
  for (
      const char* const why :
      {"Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
       "server closed the connection unexpectedly", "SSL SYSCALL error: EOF detected",
       "SSL error: unexpected eof while reading", "SSL error: tlsv1 alert internal error",
       "could not receive data from server: Connection reset by peer", ""}) {
    CAPTURE(why);
    CHECK(!NeedsMending(at + why + '\n'));
  }
  for (const char* const message : {"", "\n", "out of memory\n"}) CHECK(!NeedsMending(message));
}

TEST_CASE("of several addresses the one that has to be mended is told") {
  const std::string first =
      "connection to server at \"h\" (::1), port 1 failed: Connection refused";
  const std::string hint = "\n\tIs the server running on that host?\n";
  const std::string second = "connection to server at \"h\" (127.0.0.1), port 1 failed: ";
  const std::string mend = second + "server does not support SSL, but SSL was required";
  CHECK(LineToShow(first + hint + mend + '\n') == mend);
  CHECK(NeedsMending(first + hint + mend + '\n'));
  CHECK(LineToShow(first + hint + second + "timeout expired\n") == first);
  CHECK(LineToShow("").empty());
}

}  // namespace
}  // namespace postgen
