// What the stores in PostgreSQL share: operations that end once and by their deadline, made of
// statements on a pool.
#ifndef POSTGEN_SRC_STORE_POSTGRES_CALLS_H_
#define POSTGEN_SRC_STORE_POSTGRES_CALLS_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/event_loop.h"
#include "store/call_registry.h"
#include "store/postgres_pool.h"

namespace postgen {

// Used on the loop's thread only. Must be owned by a shared_ptr.
class PostgresCalls : public std::enable_shared_from_this<PostgresCalls> {
 public:
  // REQUIRES: `loop`, which is the pool's, outlives this.
  PostgresCalls(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), pool_(std::move(pool)), calls_(std::make_shared<CallRegistry>(loop)) {}
  virtual ~PostgresCalls() = default;
  PostgresCalls(const PostgresCalls&) = delete;
  PostgresCalls& operator=(const PostgresCalls&) = delete;

  // Ends what is open, and whatever begins later, with Code::kClosed.
  void Close() { calls_->Close(); }

  using FailureCallback = std::function<void(const PostgresFailure&)>;
  using ErrorCallback = std::function<void(const Error&)>;
  using ResultsCallback = std::function<void(const std::vector<PostgresResult>&)>;
  using ResultCallback = std::function<void(const PGresult*)>;

  // As CallRegistry::Begin, with our own words for an operation that is late.
  template <typename T>
  CallRegistry::Callback<T> Begin(TimePoint deadline, CallRegistry::Callback<T> done) {
    return calls_->Begin<T>(
        deadline, [shown = pool_->target().shown]() -> Result<T> { return Late(shown); },
        std::move(done));
  }

  // Runs a transaction; one of the callbacks follows. Neither does once this is gone: the pool,
  // which others may share, is not to keep it alive.
  void RunAll(PostgresTransaction transaction, TimePoint deadline, FailureCallback on_failure,
              ResultsCallback on_results, PostgresRepeat repeat = PostgresRepeat::kHarmless);

  // Runs a statement by itself.
  void Run(PostgresStatement statement, TimePoint deadline, ErrorCallback on_error,
           ResultCallback on_result, PostgresRepeat repeat = PostgresRepeat::kHarmless);

 protected:
  // Hears of every failure before the callbacks do.
  virtual void OnFailure(const PostgresFailure& /*failure*/) {}

  const PostgresTarget& target() const { return pool_->target(); }
  EventLoop* loop() const { return loop_; }

 private:
  static Error Late(const std::string& shown);

  EventLoop* const loop_;
  const std::shared_ptr<PostgresPool> pool_;
  const std::shared_ptr<CallRegistry> calls_;
};

// `Calls`, which is a PostgresCalls, as other threads have it: operations are posted to the loop,
// and its end waits for the loop.
template <typename Calls>
class PostedCalls {
 public:
  PostedCalls(std::shared_ptr<PostgresPool> pool, EventLoop* loop)
      : loop_(loop), calls_(std::make_shared<Calls>(std::move(pool), loop)) {}
  ~PostedCalls() {
    RunAndWait(loop_, [this] {
      calls_->Close();
      calls_.reset();
    });
  }
  PostedCalls(const PostedCalls&) = delete;
  PostedCalls& operator=(const PostedCalls&) = delete;

  // Runs operation(calls) on the loop.
  template <typename Operation>
  void Post(Operation operation) {
    loop_->Post(
        [calls = calls_, operation = std::move(operation)]() mutable { operation(calls.get()); });
  }

 private:
  EventLoop* const loop_;
  std::shared_ptr<Calls> calls_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_CALLS_H_
