// A PgBouncer of the test's own in transaction mode: on a Unix socket, with a proxy in front of it
// that gives it a port. Gone with the test.
#ifndef POSTGEN_TESTS_SUPPORT_PGBOUNCER_H_
#define POSTGEN_TESTS_SUPPORT_PGBOUNCER_H_

#include <memory>
#include <string>

#include "support/child_process.h"
#include "support/scoped.h"
#include "support/toxic_proxy.h"

namespace postgen::testing {

class PgBouncer {
 public:
  // For every database of the server at 127.0.0.1:`port`; keeps `pool_size` connections to each.
  // Throws std::runtime_error where it does not start.
  PgBouncer(const std::string& port, const std::string& user, const std::string& password,
            int pool_size);

  int port() const { return proxy_->port(); }

 private:
  const TempFolder folder_;
  std::unique_ptr<ChildProcess> bouncer_;
  std::unique_ptr<ToxicProxy> proxy_;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_PGBOUNCER_H_
