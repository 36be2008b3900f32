// One connection to PostgreSQL on an event loop: never blocks, except for looking up the host's
// name.
#ifndef POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_
#define POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "runtime/event_loop.h"
#include "store/postgres_url.h"
#include "store/postgres_values.h"

namespace postgen {

// Why a connection or a statement failed.
struct PostgresFailure {
  Error error;           // for the caller: kStore, one line, without data
  std::string sqlstate;  // what the server said; empty: it did not get to say anything
  bool timed_out = false;
  bool connection_lost = false;  // before the reply: nobody knows what became of the statement

  // May the same statement, on another connection, succeed?
  bool retryable() const;
};

using PostgresReply = std::variant<PostgresResult, PostgresFailure>;

// Used on the loop's thread only. After a failure that leaves it unusable it must be destroyed.
class PostgresConnection {
 public:
  using ConnectCallback = std::function<void(std::optional<PostgresFailure>)>;
  using ReplyCallback = std::function<void(PostgresReply)>;

  // REQUIRES: both outlive the connection.
  PostgresConnection(const PostgresTarget* target, EventLoop* loop)
      : target_(target), loop_(loop) {}
  // Closes the connection; what was asked for does not call back.
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Calls back later, once; the callback may destroy the connection.
  void Connect(TimePoint deadline, ConnectCallback done);

  // Runs one statement; binary result. Calls back later, once; the callback may destroy the
  // connection. REQUIRES: usable(), nothing running.
  void Run(const PostgresStatement& statement, TimePoint deadline, ReplyCallback done);

  // False: it was lost, or is in a state that nobody expects.
  bool usable() const;

  // Looks, without waiting, whether the server has closed the connection meanwhile.
  bool CheckAlive();

  // When the connection was made.
  TimePoint connected_at() const { return connected_at_; }

 private:
  struct Closer {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  void Watch(std::uint32_t events, void (PostgresConnection::*on_ready)());
  void Unwatch();
  // The timer of what runs now: at the deadline it fails as timed out.
  void ArmDeadline(TimePoint deadline, void (PostgresConnection::*fail)(PostgresFailure));
  // Ends what has failed before it began, but not from within the call that began it.
  void FailSoon(void (PostgresConnection::*fail)(PostgresFailure), PostgresFailure failure);

  void PollConnect();
  void EndConnect(std::optional<PostgresFailure> failure);
  void FailConnect(PostgresFailure failure) { EndConnect(std::move(failure)); }
  PostgresFailure ConnectFailure() const;

  bool Send(const PostgresStatement& statement);
  void Advance();
  void EndRun(PostgresReply reply);
  void FailRun(PostgresFailure failure) { EndRun(std::move(failure)); }
  PostgresFailure Lost() const;

  const PostgresTarget* const target_;
  EventLoop* const loop_;
  std::unique_ptr<PGconn, Closer> connection_;
  int watched_ = -1;
  TimerId timer_ = 0;
  TimePoint connected_at_;
  ConnectCallback on_connected_;
  ReplyCallback on_reply_;
  PostgresResult result_;  // the last, or the first that is an error, of the statement that runs
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_
