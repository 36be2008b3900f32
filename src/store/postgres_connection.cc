#include "store/postgres_connection.h"

#include <locale.h>
#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/fork_hold.h"
#include "store/postgres_failure.h"

namespace postgen {
namespace {

constexpr int kBinary = 1;

// Notices ("relation already exists, skipping") would go to stderr.
void IgnoreNotice(void* /*unused*/, const PGresult* /*notice*/) {}

Error StoreError(const PostgresTarget& target, std::string_view what) {
  return {Code::kStore, "PostgreSQL " + target.shown + ": " + std::string(what), target.shown};
}

PostgresFailure FailureOfResult(const PostgresTarget& target, const PGresult* result) {
  PostgresFailure failure;
  const char* const sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (sqlstate != nullptr) failure.sqlstate = sqlstate;
  std::string what = DescribeSqlState(failure.sqlstate);
  // Names of columns are no data.
  const char* const column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
  if (column != nullptr) what += ", column " + std::string(column);
  failure.error = StoreError(target, what);
  failure.error.details.transient = IsTransientSqlState(failure.sqlstate);
  return failure;
}

// While one lives, libpq speaks English on this thread, whatever language the process has set: we
// look for words in what it says.
class EnglishMessages {
 public:
  EnglishMessages() : before_(uselocale(English())) {}
  ~EnglishMessages() { uselocale(before_); }
  EnglishMessages(const EnglishMessages&) = delete;
  EnglishMessages& operator=(const EnglishMessages&) = delete;

 private:
  static locale_t English() {
    const ForkHold hold;  // a child would wait for a half-made static
    static const locale_t english = newlocale(LC_ALL_MASK, "C", nullptr);
    return english;
  }

  const locale_t before_;
};

bool ParseAlike(const PostgresStatement& a, const PostgresStatement& b) {
  using Parameter = PostgresStatement::Parameter;
  return a.sql == b.sql &&
         std::equal(a.parameters.begin(), a.parameters.end(), b.parameters.begin(),
                    b.parameters.end(),
                    [](const Parameter& x, const Parameter& y) { return x.type == y.type; });
}

}  // namespace

bool PostgresFailure::retryable() const {
  if (timed_out) return false;
  return connection_lost || IsRetryableSqlState(sqlstate);
}

PostgresConnection::~PostgresConnection() {
  Unwatch();
  loop_->CancelTimer(timer_);
}

void PostgresConnection::Connect(const std::string& conninfo, TimePoint deadline,
                                 ConnectCallback done) {
  on_connected_ = std::move(done);
  const EnglishMessages english;
  connection_.reset(PQconnectStart(conninfo.c_str()));
  if (!connection_ || PQstatus(connection_.get()) == CONNECTION_BAD) {
    FailSoon(&PostgresConnection::FailConnect, ConnectFailure());
    return;
  }
  PQsetNoticeReceiver(connection_.get(), IgnoreNotice, nullptr);
  // Of a refused connection nothing but the text is to be had: let it be the SQLSTATE.
  PQsetErrorVerbosity(connection_.get(), PQERRORS_SQLSTATE);
  ArmDeadline(deadline, &PostgresConnection::FailConnect);
  Watch(EPOLLOUT, &PostgresConnection::PollConnect);
}

void PostgresConnection::PollConnect() {
  // libpq may close this socket and open another of the same number.
  Unwatch();
  PostgresPollingStatusType status = PGRES_POLLING_FAILED;
  {
    const EnglishMessages english;
    status = PQconnectPoll(connection_.get());
  }
  switch (status) {
    case PGRES_POLLING_OK:
      connected_at_ = loop_->Now();
      PQsetnonblocking(connection_.get(), 1);
      PQenterPipelineMode(connection_.get());
      EndConnect(std::nullopt);
      return;
    case PGRES_POLLING_FAILED: EndConnect(ConnectFailure()); return;
    case PGRES_POLLING_READING: Watch(EPOLLIN, &PostgresConnection::PollConnect); return;
    default: Watch(EPOLLOUT, &PostgresConnection::PollConnect); return;
  }
}

void PostgresConnection::EndConnect(std::optional<PostgresFailure> failure) {
  Unwatch();
  loop_->CancelTimer(timer_);
  const ConnectCallback done = std::move(on_connected_);
  done(std::move(failure));
}

PostgresFailure PostgresConnection::ConnectFailure() const {
  PostgresFailure failure;
  failure.never_connected = true;
  const std::string_view message = connection_ ? PQerrorMessage(connection_.get()) : "no memory";
  failure.sqlstate = SqlStateOfMessage(message);
  if (!failure.sqlstate.empty()) {
    failure.error = StoreError(*target_, DescribeSqlState(failure.sqlstate));
    failure.error.details.transient = IsTransientSqlState(failure.sqlstate);
    return failure;
  }
  std::string what = "no connection";
  const bool tells_password =
      !target_->password.empty() && message.find(target_->password) != std::string_view::npos;
  if (!tells_password) what += ": " + std::string(LineToShow(message));
  if (message.find("does not support SSL") != std::string_view::npos) {
    what += "; enable ssl on the server, or say sslmode=prefer in the URL to go without";
  }
  // The one variable that libpq reads whatever it is given.
  if (message.find("service") != std::string_view::npos) {
    what += "; remove PGSERVICE from the environment";
  }
  failure.error = StoreError(*target_, what);
  failure.connection_lost = !NeedsMending(message);
  failure.error.details.transient = failure.connection_lost;
  return failure;
}

void PostgresConnection::Run(const PostgresTransaction& transaction, TimePoint deadline,
                             ReplyCallback done) {
  on_reply_ = std::move(done);
  commands_.clear();
  commands_read_ = 0;
  synced_ = false;
  results_.clear();
  results_.resize(transaction.size());
  failure_.reset();
  if (!Send(transaction) || PQflush(connection_.get()) < 0) {
    FailSoon(&PostgresConnection::FailRun, Lost());
    return;
  }
  ArmDeadline(deadline, &PostgresConnection::FailRun);
  // If not all could be sent at once, the socket's being writable comes next.
  Watch(EPOLLIN | EPOLLOUT, &PostgresConnection::Advance);
}

bool PostgresConnection::Send(const PostgresTransaction& transaction) {
  const PostgresStatement* parsed = nullptr;
  for (std::size_t i = 0; i < transaction.size(); ++i) {
    const PostgresStatement& statement = transaction[i];
    if (parsed == nullptr || !ParseAlike(*parsed, statement)) {
      if (!Parse(statement)) return false;
      commands_.push_back(i);
      parsed = &statement;
    }
    if (!Execute(statement)) return false;
    commands_.push_back(i);
  }
  return PQpipelineSync(connection_.get()) == 1;
}

// Only ever the unnamed statement, until the sync: a named one would tie what comes later to this
// connection, which poolers between us and the server do not keep.
bool PostgresConnection::Parse(const PostgresStatement& statement) {
  std::vector<Oid> types;
  for (const PostgresStatement::Parameter& parameter : statement.parameters) {
    types.push_back(parameter.type);
  }
  return PQsendPrepare(connection_.get(), "", statement.sql.c_str(), static_cast<int>(types.size()),
                       types.data()) == 1;
}

bool PostgresConnection::Execute(const PostgresStatement& statement) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const PostgresStatement::Parameter& parameter : statement.parameters) {
    values.push_back(parameter.bytes ? parameter.bytes->data() : nullptr);
    lengths.push_back(parameter.bytes ? static_cast<int>(parameter.bytes->size()) : 0);
  }
  const std::vector<int> formats(values.size(), kBinary);
  return PQsendQueryPrepared(connection_.get(), "", static_cast<int>(values.size()), values.data(),
                             lengths.data(), formats.data(), kBinary) == 1;
}

void PostgresConnection::Advance() {
  // Reads while it writes: else both sides could wait for the other to empty its buffers.
  const bool read = PQconsumeInput(connection_.get()) == 1;
  const int unsent = PQflush(connection_.get());
  if (!read || unsent < 0) {
    EndRun(failure_ ? *std::move(failure_) : Lost());
    return;
  }
  if (TakeResults()) {
    if (failure_) {
      EndRun(*std::move(failure_));
    } else {
      EndRun(std::move(results_));
    }
    return;
  }
  Watch(unsent == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN, &PostgresConnection::Advance);
}

bool PostgresConnection::TakeResults() {
  while (!synced_ && PQisBusy(connection_.get()) == 0) {
    PostgresResult result(PQgetResult(connection_.get()));
    if (result) {
      TakeResult(std::move(result));
    } else if (commands_read_++ > commands_.size()) {
      // Nothing comes after the sync.
      failure_ = Lost();
      return true;
    }
  }
  return synced_;
}

void PostgresConnection::TakeResult(PostgresResult result) {
  const std::optional<std::size_t> statement =
      commands_read_ < commands_.size() ? std::optional(commands_[commands_read_]) : std::nullopt;
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
      if (statement) results_[*statement] = std::move(result);  // of its execution in the end
      break;
    // Holds only now: until then every success may be undone by what comes behind it.
    case PGRES_PIPELINE_SYNC: synced_ = true; break;
    case PGRES_PIPELINE_ABORTED: break;
    default:
      if (failure_) break;
      failure_ = FailureOfResult(*target_, result.get());
      failure_->refused = statement;
      // libpq's own words for a connection that broke.
      if (failure_->sqlstate.empty()) failure_ = Lost();
  }
}

void PostgresConnection::EndRun(PostgresReply reply) {
  Unwatch();
  loop_->CancelTimer(timer_);
  const ReplyCallback done = std::move(on_reply_);
  done(std::move(reply));
}

PostgresFailure PostgresConnection::Lost() const {
  PostgresFailure failure;
  failure.error = StoreError(*target_, "the connection was lost");
  failure.error.details.transient = true;
  failure.connection_lost = true;
  return failure;
}

bool PostgresConnection::usable() const {
  return connection_ && PQstatus(connection_.get()) == CONNECTION_OK &&
         PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
}

bool PostgresConnection::CheckAlive() {
  pollfd readable{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
  // More than one round: a last message may come before the end.
  while (usable() && poll(&readable, 1, 0) > 0) {
    if (PQconsumeInput(connection_.get()) == 0) return false;
  }
  return usable();
}

void PostgresConnection::Watch(std::uint32_t events, void (PostgresConnection::*on_ready)()) {
  const int socket = PQsocket(connection_.get());
  if (socket < 0) return;  // the deadline ends it
  watched_ = socket;
  loop_->Watch(socket, events, [this, on_ready](std::uint32_t /*events*/) { (this->*on_ready)(); });
}

void PostgresConnection::Unwatch() {
  const int watched = std::exchange(watched_, -1);
  if (watched < 0) return;
  // libpq closes what was lost by itself.
  if (PQsocket(connection_.get()) == watched) return loop_->Unwatch(watched);
  loop_->Forget(watched);
}

void PostgresConnection::ArmDeadline(TimePoint deadline,
                                     void (PostgresConnection::*fail)(PostgresFailure)) {
  timer_ = loop_->RunAt(deadline, [this, fail] {
    PostgresFailure failure;
    failure.error = StoreError(*target_, "no answer before the deadline");
    failure.error.details.transient = true;
    failure.timed_out = true;
    failure.connection_lost = true;
    (this->*fail)(std::move(failure));
  });
}

void PostgresConnection::FailSoon(void (PostgresConnection::*fail)(PostgresFailure),
                                  PostgresFailure failure) {
  timer_ = loop_->RunAt(loop_->Now(), [this, fail, failure = std::move(failure)]() mutable {
    (this->*fail)(std::move(failure));
  });
}

}  // namespace postgen
