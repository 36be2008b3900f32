// What a SQLSTATE means to the person who reads the message, in our own words: the server's texts
// repeat statements and data.
#ifndef POSTGEN_SRC_STORE_POSTGRES_FAILURE_H_
#define POSTGEN_SRC_STORE_POSTGRES_FAILURE_H_

#include <string>
#include <string_view>

namespace postgen {

// "the table or schema does not exist; run: postgen migrate" for 42P01.
std::string DescribeSqlState(std::string_view sqlstate);

// May the same statement, on another connection, succeed?
bool IsRetryableSqlState(std::string_view sqlstate);

// Will it pass by itself, at once or in a while, so that what was to be written should wait?
bool IsTransientSqlState(std::string_view sqlstate);

// Has the server said, with this, that the connection or the server is about to go?
bool EndsConnection(std::string_view sqlstate);

// The SQLSTATE at the end of libpq's message, as PQERRORS_SQLSTATE has it ("FATAL:  28P01"); empty:
// there is none.
std::string SqlStateOfMessage(std::string_view message);

// Of libpq's message, in English, about a connection that was not made and for which the server
// gave no SQLSTATE: will it fail until somebody mends the URL, a file that it names or the server's
// TLS?
bool NeedsMending(std::string_view message);

// The line of such a message to show: of several addresses the one that has to be mended, else the
// first.
std::string_view LineToShow(std::string_view message);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_FAILURE_H_
