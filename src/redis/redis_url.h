// redis://[:password@]host[:port][/database]
#ifndef POSTGEN_SRC_REDIS_REDIS_URL_H_
#define POSTGEN_SRC_REDIS_REDIS_URL_H_

#include <string>
#include <string_view>

#include "postgen/error.h"

namespace postgen {

struct RedisTarget {
  std::string host = "localhost";
  int port = 6379;
  std::string user;      // empty: the default one
  std::string password;  // empty: none is sent
  int database = 0;
  std::string shown;  // "host:port/database", for messages
};

// User and password are percent-decoded. `field` is the option that holds the URL, for messages,
// which never repeat its values. rediss:// is refused: this client has no TLS.
Result<RedisTarget> ParseRedisUrl(std::string_view url, const std::string& field);

}  // namespace postgen

#endif  // POSTGEN_SRC_REDIS_REDIS_URL_H_
