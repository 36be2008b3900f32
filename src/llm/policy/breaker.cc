#include "llm/policy/breaker.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "llm/policy/failure_kind.h"

namespace postgen {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Failures are a share of the calls that ended within this time, and of not too few.
constexpr auto kWindow = seconds(10);
constexpr std::size_t kLeastCalls = 20;
constexpr std::size_t kMostCalls = 1000;
constexpr int kRefusalsInARow = 10;

// The first pause; it doubles while probes fail, up to the longest.
struct Pauses {
  Duration first;
  Duration longest;
};

Pauses PausesOf(Code code) {
  switch (code) {
    // A 403 may be about one request only: other calls' success closes the breaker again.
    case Code::kAuth: return {seconds(1), minutes(1)};
    case Code::kQuota: return {seconds(10), minutes(5)};
    default: return {seconds(2), seconds(30)};
  }
}

bool OpensAtOnce(Code code) { return code == Code::kAuth || code == Code::kQuota; }

}  // namespace

bool SpeaksAgainstEndpoint(const Error& error) {
  switch (error.code) {
    case Code::kAuth:
    case Code::kQuota:
    case Code::kProtocol: return true;
    default: return IsServerTrouble(error.code);
  }
}

const Error* Breaker::Blocked(TimePoint now) const {
  return error_ && (probing_ || now < opened_at_ + pause_) ? &*error_ : nullptr;
}

bool Breaker::OnSend() {
  probing_ = error_.has_value();
  return probing_;
}

void Breaker::OnSuccess(TimePoint now) {
  error_.reset();
  probing_ = false;
  refusals_ = 0;
  Record(/*failed=*/false, now);
}

void Breaker::OnNothing(bool probe) {
  // The next call probes.
  if (probe) probing_ = false;
}

void Breaker::OnFailure(const Error& error, bool probe, TimePoint now) {
  if (probe) return Reopen(error, now);
  if (error_) return;  // sent before it opened
  Record(/*failed=*/true, now);
  if (OpensAtOnce(error.code) || FailsTooOften()) Open(error, now);
}

void Breaker::OnRefused(const Error& error, bool probe, TimePoint sent, TimePoint now) {
  if (probe) return Reopen(error, now);
  if (error_ || sent < refused_at_) return;
  refused_at_ = now;
  if (++refusals_ >= kRefusalsInARow) Open(error, now);
}

void Breaker::Reopen(const Error& error, TimePoint now) {
  probing_ = false;
  const Pauses pauses = PausesOf(error.code);
  pause_ = std::clamp(pause_ * 2, pauses.first, pauses.longest);
  opened_at_ = now;
  error_ = error;
}

void Breaker::Open(const Error& error, TimePoint now) {
  error_ = error;
  opened_at_ = now;
  pause_ = PausesOf(error.code).first;
  ++times_opened_;
  recent_.clear();
  failures_ = 0;
  refusals_ = 0;
}

void Breaker::Record(bool failed, TimePoint now) {
  recent_.push_back({now, failed});
  failures_ += failed ? 1U : 0U;
  while (recent_.size() > kMostCalls || now - recent_.front().at > kWindow) {
    failures_ -= recent_.front().failed ? 1U : 0U;
    recent_.pop_front();
  }
}

bool Breaker::FailsTooOften() const {
  return recent_.size() >= kLeastCalls && failures_ * 2 >= recent_.size();
}

Breaker::State Breaker::state() const {
  if (!error_) return State::kClosed;
  return probing_ ? State::kProbing : State::kOpen;
}

}  // namespace postgen
