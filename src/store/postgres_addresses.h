// The addresses of a target's hosts. libpq would look names up where it is called and block until
// the resolver answers.
#ifndef POSTGEN_SRC_STORE_POSTGRES_ADDRESSES_H_
#define POSTGEN_SRC_STORE_POSTGRES_ADDRESSES_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/blocking_calls.h"
#include "store/call_registry.h"
#include "store/postgres_url.h"

namespace postgen {

// Used on the executor's thread only. Destroying it does not wait for a resolver that hangs; what
// was asked for does not call back.
class PostgresAddresses {
 public:
  // What to give to libpq; an error is kStore and passes by itself.
  using Callback = std::function<void(Result<std::string>)>;

  // REQUIRES: both outlive this.
  PostgresAddresses(const PostgresTarget* target, Executor* executor);

  // Calls back once by `deadline`, possibly before it returns: at once where no name is to be
  // looked up. However many ask at the same time, one looks.
  void Find(TimePoint deadline, Callback done);

 private:
  void Look();
  void OnFound(const Result<std::vector<PostgresHost>>& hosts);
  Error Failure(const std::string& what) const;

  const PostgresTarget* const target_;
  const bool needs_lookup_;
  const std::shared_ptr<CallRegistry> calls_;
  std::vector<Callback> waiting_;
  BlockingCalls lookups_;
  bool looking_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_ADDRESSES_H_
