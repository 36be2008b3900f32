// A PostgreSQL URL becomes everything that libpq may use, so that libpq looks nowhere else: not at
// PG* variables, ~/.pgpass, ~/.postgresql or service files.
#ifndef POSTGEN_SRC_STORE_POSTGRES_URL_H_
#define POSTGEN_SRC_STORE_POSTGRES_URL_H_

#include <string>
#include <string_view>
#include <vector>

#include "postgen/types.h"

namespace postgen {

// One of the servers that a URL names; as libpq's host, hostaddr and port, each possibly empty.
struct PostgresHost {
  std::string name;  // a folder of sockets begins with '/' or '@'
  std::string address;
  std::string port;

  // Is `name` to be looked up before libpq can connect?
  bool needs_lookup() const;

  friend bool operator==(const PostgresHost&, const PostgresHost&) = default;
};

struct PostgresTarget {
  std::vector<PostgresHost> hosts;  // in the order in which they are tried; never empty
  std::string conninfo;             // for libpq; names the hosts, too, and holds the password
  std::string password;             // so that messages can be searched for it
  std::string shown;                // "user@host:port/database", for messages
  Duration connect_timeout = std::chrono::seconds(10);

  friend bool operator==(const PostgresTarget&, const PostgresTarget&) = default;
};

// `conninfo` with these hosts in place of its own.
std::string ConninfoWithHosts(const std::string& conninfo, const std::vector<PostgresHost>& hosts);

// postgresql:// or postgres://, as libpq reads them, with a short list of options. `field` is the
// option that holds the URL, for messages, which never repeat its values. Beyond loopback, sslmode
// is `require` unless the URL asks for more, and unencrypted connections are refused.
Result<PostgresTarget> ParsePostgresUrl(const std::string& url, const std::string& field);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_URL_H_
