// One connection to PostgreSQL on an event loop: never blocks.
#ifndef POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_
#define POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/event_loop.h"
#include "store/postgres_url.h"
#include "store/postgres_values.h"

namespace postgen {

// Why a connection or a statement failed.
struct PostgresFailure {
  Error error;           // for the caller: kStore, one line, without data
  std::string sqlstate;  // what the server said; empty: it did not get to say anything
  bool timed_out = false;
  bool connection_lost = false;  // before the reply: nobody knows what became of the transaction
  bool never_connected = false;  // nothing was sent this time; what else waits would fare alike
  std::optional<std::size_t> refused = {};  // the statement that the server would not run, counted
                                            // from 0; absent: none, or its commit

  // May the same statement, on another connection, succeed?
  bool retryable() const;
};

// Statements that go to the server in one piece and are committed together, or not at all. One that
// has the text and types of the one before it is not parsed again.
using PostgresTransaction = std::vector<PostgresStatement>;

// A binary result of each statement, or why none has taken effect.
using PostgresReply = std::variant<std::vector<PostgresResult>, PostgresFailure>;

struct FreePostgresCancel {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};
using PostgresCancel = std::unique_ptr<PGcancel, FreePostgresCancel>;

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

  // `conninfo` names no host that libpq would have to look up. Calls back later, once; the callback
  // may destroy the connection.
  void Connect(const std::string& conninfo, TimePoint deadline, ConnectCallback done);

  // Calls back later, once; the callback may destroy the connection. REQUIRES: usable(), nothing
  // running; at least one statement.
  void Run(const PostgresTransaction& transaction, TimePoint deadline, ReplyCallback done);

  // False: it was lost, or is in a state that nobody expects.
  bool usable() const;

  // For ending on the server what runs on this connection; outlives the connection.
  PostgresCancel NewCancel() const { return PostgresCancel(PQgetCancel(connection_.get())); }

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

  bool Send(const PostgresTransaction& transaction);
  bool Parse(const PostgresStatement& statement);
  bool Execute(const PostgresStatement& statement);
  void Advance();
  // True: all has been read.
  bool TakeResults();
  void TakeResult(PostgresResult result);
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

  // Of the transaction that runs.
  std::vector<std::size_t> commands_;  // whose each of the commands is that were sent
  std::size_t commands_read_ = 0;
  bool synced_ = false;
  std::vector<PostgresResult> results_;
  std::optional<PostgresFailure> failure_;  // the first
};

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_CONNECTION_H_
