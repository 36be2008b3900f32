#include "store/postgres_pool.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <utility>

#include "store/postgres_failure.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kLifetime = minutes(30);
constexpr auto kIdleTime = minutes(1);
constexpr auto kSweepInterval = seconds(30);
constexpr auto kFirstPause = milliseconds(100);
constexpr auto kLongestPause = seconds(1);

}  // namespace

PostgresPool::PostgresPool(PostgresTarget target, PostgresPoolSize size, EventLoop* loop)
    : target_(std::move(target)),
      size_(size),
      loop_(loop),
      addresses_(&target_, loop),
      cancels_(loop, size.max) {}

PostgresPool::~PostgresPool() {
  for (const auto& [id, job] : waiting_) loop_->CancelTimer(job.timer);
  loop_->CancelTimer(connect_timer_);
  loop_->CancelTimer(sweep_timer_);
}

void PostgresPool::Run(PostgresTransaction transaction, PostgresRepeat repeat, TimePoint deadline,
                       Callback done) {
  Enqueue(next_id_++, Job{.transaction = std::move(transaction),
                          .repeat = repeat,
                          .deadline = deadline,
                          .done = std::move(done)});
  Dispatch();
}

void PostgresPool::Enqueue(JobId id, Job job) {
  job.timer = loop_->RunAt(job.deadline, [this, id] {
    auto late = waiting_.extract(id);
    if (late.empty()) return;
    PostgresFailure failure;
    failure.error =
        Error(Code::kStore, "PostgreSQL " + target_.shown + ": no connection before the deadline",
              target_.shown);
    failure.error.details.transient = true;
    failure.timed_out = true;
    late.mapped().done(std::move(failure));
  });
  waiting_.emplace(id, std::move(job));
}

void PostgresPool::Dispatch() {
  while (!waiting_.empty()) {
    std::optional<Member> member = TakeIdle();
    if (!member) break;
    auto next = waiting_.extract(waiting_.begin());
    loop_->CancelTimer(next.mapped().timer);
    Start(*std::move(member), next.key(), std::move(next.mapped()));
  }
  ConnectIfNeeded();
}

std::optional<PostgresPool::Member> PostgresPool::TakeIdle() {
  while (!idle_.empty()) {
    Member member = std::move(idle_.back());
    idle_.pop_back();
    if (loop_->Now() < member.retire_at && member.connection->CheckAlive()) return member;
  }
  return std::nullopt;
}

void PostgresPool::Start(Member member, JobId id, Job job) {
  const std::uint64_t running_id = next_id_++;
  const auto [running, unused] =
      running_.emplace(running_id, Running{std::move(member), id, std::move(job)});
  Running& entry = running->second;
  entry.member.connection->Run(
      entry.job.transaction, entry.job.deadline,
      [this, running_id](PostgresReply reply) { OnReply(running_id, std::move(reply)); });
}

bool PostgresPool::MayRunAgain(const Job& job, const PostgresFailure& failure) const {
  if (!failure.retryable() || job.retried || loop_->Now() >= job.deadline) return false;
  if (job.repeat == PostgresRepeat::kHarmless) return true;
  // It had no effect if the server would not run it; a pooler whose server is lost says so of
  // statements that may have been run, too.
  return failure.refused.has_value() && !EndsConnection(failure.sqlstate);
}

void PostgresPool::OnReply(std::uint64_t running_id, PostgresReply reply) {
  auto ended = running_.extract(running_id);
  Member member = std::move(ended.mapped().member);
  Job job = std::move(ended.mapped().job);
  const auto* const failure = std::get_if<PostgresFailure>(&reply);
  if (failure != nullptr && failure->timed_out) CancelOnServer(*member.connection);
  const bool drop = failure != nullptr && EndsConnection(failure->sqlstate);
  if (!drop && member.connection->usable()) GiveBack(std::move(member));
  // A connection that was not given back is closed here, at the end of the scope.

  if (failure != nullptr && MayRunAgain(job, *failure)) {
    job.retried = true;
    Enqueue(ended.mapped().job_id, std::move(job));
    Dispatch();
    return;
  }
  Dispatch();
  job.done(std::move(reply));
}

void PostgresPool::GiveBack(Member member) {
  member.idle_since = loop_->Now();
  if (member.idle_since >= member.retire_at) return;
  idle_.push_back(std::move(member));
  SweepLater();
}

void PostgresPool::ConnectIfNeeded() {
  while (MayConnect()) {
    const TimePoint now = loop_->Now();
    if (now >= connect_not_before_) {
      Connect();
      continue;
    }
    if (connect_timer_ == 0) {
      connect_timer_ = loop_->RunAt(connect_not_before_, [this] {
        connect_timer_ = 0;
        ConnectIfNeeded();
      });
    }
    return;
  }
}

bool PostgresPool::MayConnect() const {
  if (waiting_.size() <= connecting_.size() || open() >= size_.max) return false;
  // One at a time: beyond the minimum, because a busy connection may come free before a new one is
  // there, and after a failure, because a server in trouble has no use for a crowd.
  const bool one_at_a_time = open() >= size_.min || failures_ > 0;
  return !one_at_a_time || connecting_.empty();
}

void PostgresPool::Connect() {
  const std::uint64_t id = next_id_++;
  connecting_.emplace(id, std::make_unique<PostgresConnection>(&target_, loop_));
  // Those who wait have their own deadlines.
  const TimePoint deadline = loop_->Now() + target_.connect_timeout;
  addresses_.Find(deadline, [this, id, deadline](const Result<std::string>& conninfo) {
    if (!conninfo.ok()) {
      PostgresFailure failure;
      failure.error = conninfo.error();
      failure.connection_lost = true;
      OnConnected(id, std::move(failure));
      return;
    }
    connecting_.at(id)->Connect(*conninfo, deadline,
                                [this, id](std::optional<PostgresFailure> failure) {
                                  OnConnected(id, std::move(failure));
                                });
  });
}

void PostgresPool::OnConnected(std::uint64_t connecting_id,
                               std::optional<PostgresFailure> failure) {
  auto connected = connecting_.extract(connecting_id);
  if (failure) {
    OnConnectFailed(*failure);
    return;
  }
  failures_ = 0;
  connect_not_before_ = TimePoint::min();
  const TimePoint now = loop_->Now();
  GiveBack(Member{.connection = std::move(connected.mapped()),
                  .retire_at = now + Jittered(kLifetime),
                  .idle_since = now});
  Dispatch();
}

void PostgresPool::OnConnectFailed(const PostgresFailure& failure) {
  // Attempts that fail side by side count as one.
  if (const TimePoint now = loop_->Now(); now >= connect_not_before_) {
    const int doublings = std::min(failures_++, 8);
    const Duration pause = std::min<Duration>(kFirstPause * (1 << doublings), kLongestPause);
    connect_not_before_ = now + Jittered(pause);
  }
  // While other connections work, statements wait for those.
  std::vector<Callback> ended;
  if (running_.empty() && connecting_.empty()) ended = TakeFailed(failure);
  ConnectIfNeeded();
  for (const Callback& done : ended) done(failure);
}

std::vector<PostgresPool::Callback> PostgresPool::TakeFailed(const PostgresFailure& failure) {
  std::vector<Callback> ended;
  for (auto job = waiting_.begin(); job != waiting_.end();) {
    if (failure.retryable() && !job->second.retried) {
      job->second.retried = true;
      ++job;
      continue;
    }
    loop_->CancelTimer(job->second.timer);
    ended.push_back(std::move(job->second.done));
    job = waiting_.erase(job);
  }
  return ended;
}

// Else it would hold its locks, and its place among the server's connections, for as long as it
// takes.
void PostgresPool::CancelOnServer(const PostgresConnection& connection) {
  cancels_.Run([cancel = connection.NewCancel()]() -> Task {
    std::array<char, 256> message{};
    PQcancel(cancel.get(), message.data(), static_cast<int>(message.size()));
    return {};
  });
}

void PostgresPool::SweepLater() {
  if (sweep_timer_ != 0) return;
  sweep_timer_ = loop_->RunAt(loop_->Now() + kSweepInterval, [this] {
    sweep_timer_ = 0;
    Sweep();
  });
}

void PostgresPool::Sweep() {
  const TimePoint now = loop_->Now();
  std::erase_if(idle_, [&](const Member& member) { return now >= member.retire_at; });
  // The longest idle are in front.
  while (!idle_.empty() && open() > size_.min && now - idle_.front().idle_since >= kIdleTime) {
    idle_.erase(idle_.begin());
  }
  if (!idle_.empty()) SweepLater();
}

// Up to a tenth more or less, so that many processes do not act at the same moment.
Duration PostgresPool::Jittered(Duration duration) {
  std::uniform_real_distribution<double> factor(0.9, 1.1);
  return std::chrono::duration_cast<Duration>(duration * factor(rng_));
}

}  // namespace postgen
