// A PostgreSQL URL becomes everything that libpq may use, so that libpq looks nowhere else: not at
// PG* variables, ~/.pgpass, ~/.postgresql or service files.
#ifndef POSTGEN_SRC_STORE_POSTGRES_URL_H_
#define POSTGEN_SRC_STORE_POSTGRES_URL_H_

#include <string>
#include <string_view>

#include "postgen/types.h"

namespace postgen {

struct PostgresTarget {
  std::string conninfo;  // for libpq; holds the password
  std::string password;  // so that messages can be searched for it
  std::string shown;     // "user@host:port/database", for messages
  Duration connect_timeout = std::chrono::seconds(10);

  friend bool operator==(const PostgresTarget&, const PostgresTarget&) = default;
};

// postgresql:// or postgres://, as libpq reads them, with a short list of options. `field` is the
// option that holds the URL, for messages, which never repeat its values. Beyond loopback, sslmode
// is `require` unless the URL asks for more, and unencrypted connections are refused.
Result<PostgresTarget> ParsePostgresUrl(const std::string& url, const std::string& field);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_URL_H_
