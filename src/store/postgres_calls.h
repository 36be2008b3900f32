// What the ledgers in PostgreSQL have in common: statements through the pool, each answered once
// and in time.
#ifndef POSTGEN_SRC_STORE_POSTGRES_CALLS_H_
#define POSTGEN_SRC_STORE_POSTGRES_CALLS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "runtime/event_loop.h"
#include "store/call_registry.h"
#include "store/postgres_pool.h"
#include "store/postgres_values.h"

namespace postgen {

// Used on the loop's thread only. Must be owned by a shared_ptr.
class PostgresCalls : public std::enable_shared_from_this<PostgresCalls> {
 public:
  PostgresCalls(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : pool_(std::move(pool)), calls_(std::make_shared<CallRegistry>(loop)) {}

  // As CallRegistry::Begin().
  template <typename T>
  CallRegistry::Callback<T> Begin(TimePoint deadline, CallRegistry::Callback<T> done) {
    const std::string& shown = pool_->target().shown;
    return calls_->Begin<T>(
        deadline,
        [shown]() -> Result<T> {
          Error error(Code::kStore, "PostgreSQL " + shown + ": no answer before the deadline",
                      shown);
          error.details.transient = true;
          return error;
        },
        std::move(done));
  }

  void Run(PostgresStatement statement, TimePoint deadline, std::function<void(Error)> finish,
           std::function<void(const PGresult*)> on_result) {
    pool_->Run(std::move(statement), deadline,
               [weak = weak_from_this(), finish = std::move(finish),
                on_result = std::move(on_result)](const PostgresReply& reply) {
                 if (weak.expired()) return;
                 if (const auto* failure = std::get_if<PostgresFailure>(&reply)) {
                   finish(failure->error);
                 } else {
                   on_result(std::get<PostgresResult>(reply).get());
                 }
               });
  }

  void Close() { calls_->Close(); }

 private:
  const std::shared_ptr<PostgresPool> pool_;
  const std::shared_ptr<CallRegistry> calls_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_CALLS_H_
