// Connections to one PostgreSQL database, and the transactions that wait for one.
#ifndef POSTGEN_SRC_STORE_POSTGRES_POOL_H_
#define POSTGEN_SRC_STORE_POSTGRES_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/blocking_calls.h"
#include "runtime/event_loop.h"
#include "runtime/random.h"
#include "store/postgres_addresses.h"
#include "store/postgres_connection.h"

namespace postgen {

struct PostgresPoolSize {
  std::size_t min = 10;  // kept open once they were needed
  std::size_t max = 50;
};

// Does running a transaction twice do what running it once does?
enum class PostgresRepeat { kHarmless, kHarmful };

// Connections are opened when transactions wait, up to `min` side by side and from there one by
// one; those above `min` are closed when they have been idle for a while, all of them at the end of
// their life. A transaction waits for a connection until its deadline, and runs until then: later
// its connection is dropped, and the server is told to end it.
//
// Used on the loop's thread only.
class PostgresPool {
 public:
  using Callback = PostgresConnection::ReplyCallback;

  // REQUIRES: `loop` outlives the pool.
  PostgresPool(PostgresTarget target, PostgresPoolSize size, EventLoop* loop);
  // Closes the connections; what was asked for does not call back.
  ~PostgresPool();
  PostgresPool(const PostgresPool&) = delete;
  PostgresPool& operator=(const PostgresPool&) = delete;

  // Runs a transaction on some connection and calls back later, once. After a failure that another
  // connection may not have, runs it once more; where that is harmful only if it is certain that it
  // had no effect.
  void Run(PostgresTransaction transaction, PostgresRepeat repeat, TimePoint deadline,
           Callback done);

  const PostgresTarget& target() const { return target_; }

 private:
  struct Job {
    PostgresTransaction transaction;
    PostgresRepeat repeat;
    TimePoint deadline;
    Callback done;
    TimerId timer = 0;  // while it waits
    bool retried = false;
  };
  struct Member {
    std::unique_ptr<PostgresConnection> connection;
    TimePoint retire_at;  // the end of its life
    TimePoint idle_since;
  };
  using JobId = std::uint64_t;

  void Enqueue(JobId id, Job job);
  void Dispatch();
  std::optional<Member> TakeIdle();
  bool MayRunAgain(const Job& job, const PostgresFailure& failure) const;
  void Start(Member member, JobId id, Job job);
  void OnReply(std::uint64_t running_id, PostgresReply reply);
  void GiveBack(Member member);

  void ConnectIfNeeded();
  bool MayConnect() const;
  void Connect();
  void CancelOnServer(const PostgresConnection& connection);
  void OnConnected(std::uint64_t connecting_id, std::optional<PostgresFailure> failure);
  void OnConnectFailed(const PostgresFailure& failure);
  // Takes out what waits and is not to be tried with another connection.
  std::vector<Callback> TakeFailed(const PostgresFailure& failure);

  void SweepLater();
  void Sweep();
  Duration Jittered(Duration duration);
  std::size_t open() const { return idle_.size() + running_.size() + connecting_.size(); }

  struct Running {
    Member member;
    JobId job_id;
    Job job;
  };

  const PostgresTarget target_;
  const PostgresPoolSize size_;
  EventLoop* const loop_;
  Rng rng_{RandomSeed()};

  PostgresAddresses addresses_;
  BlockingCalls cancels_;
  std::uint64_t next_id_ = 1;
  std::map<JobId, Job> waiting_;  // in the order of their arrival
  std::vector<Member> idle_;      // the last used at the end
  std::map<std::uint64_t, Running> running_;
  std::map<std::uint64_t, std::unique_ptr<PostgresConnection>> connecting_;

  int failures_ = 0;  // to connect, since the last success
  TimePoint connect_not_before_ = TimePoint::min();
  TimerId connect_timer_ = 0;
  TimerId sweep_timer_ = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_POOL_H_
