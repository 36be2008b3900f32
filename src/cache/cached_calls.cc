#include "cache/cached_calls.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "cache/cache_entry.h"
#include "cache/cache_key.h"
#include "runtime/random.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

// So many rounds, and the ways between the threads, make up kLookLimit.
constexpr int kLookRounds = 10;
constexpr std::chrono::microseconds kLookRound{1900};

// At once where this is the executor's thread.
void RunOn(Executor* executor, Task task) {
  if (executor->InThread()) return task();
  executor->Post(std::move(task));
}

bool IsKept(const LlmReply& reply) {
  const FinishReason::Kind kind = reply.finish_reason.kind;
  // Template text that came back from a cache would no longer be marked as such.
  return reply.ok() && reply.source == Source::kLlm && !reply.text.empty() &&
         // A stand-in's text is none of the model that the key names.
         reply.asked_model.empty() &&
         (kind == FinishReason::Kind::kStop || kind == FinishReason::Kind::kEarlyStop);
}

// For those who wait for a call that another one pays for.
LlmReply Unpaid(LlmReply reply) {
  if (reply.source == Source::kLlm) reply.source = Source::kCache;
  if (!reply.ok()) reply.usage = {};
  reply.attempts = 0;
  reply.ttft_ms.reset();
  reply.total_ms = 0;
  return reply;
}

}  // namespace

// One who waits for a text.
struct CachedCalls::Member {
  LlmSink sink;
  std::shared_ptr<Flow> flow;
  TimePoint deadline;
  bool stream = false;  // was asked of the provider
  bool heard = false;   // some of the text

  bool listens() const { return sink.on_text != nullptr; }
  bool can_hear_anew() const { return !heard || sink.on_reset != nullptr; }
};

// One text on its way to its members.
struct CachedCalls::Flight {
  CacheKey key{};
  bool kept = false;    // its text goes into the cache
  bool shared = false;  // others may join
  LlmRequest request;
  std::map<Ticket, Member> members;  // in the order of their coming

  // Raised whenever the flight does something else: answers to what it did before come too late.
  std::uint64_t step = 0;
  TimerId timer = 0;

  std::string token;  // of the lock; empty: never asked for
  FlightLock::Answer lock = FlightLock::Answer::kAway;
  TimerId renewal = 0;
  std::optional<TimePoint> waits_since;  // for another process
  TimePoint waits_until;

  CancelSource cancel;
  std::shared_ptr<Flow> flow;                  // of the call; null: there was none yet
  std::function<void(LlmReply)> on_cancelled;  // of the last one who left
  bool can_reset = false;                      // the call's text can be taken back
  std::string text;                            // of the call so far, as far as it is told
};

std::size_t CachedCalls::KeyHash::operator()(const CacheKey& key) const {
  // A SHA-256 is as good a hash as any of its parts.
  std::size_t hash = 0;
  std::memcpy(&hash, key.data(), sizeof hash);
  return hash;
}

CachedCalls::CachedCalls(Parts parts) : parts_(std::move(parts)) {}
CachedCalls::~CachedCalls() = default;

CachedCalls::Ticket CachedCalls::Complete(std::string_view tenant, CacheMode mode,
                                          const LlmRequest& request, LlmSink sink) {
  const bool kept =
      parts_.cache != nullptr && parts_.ttl > milliseconds::zero() && mode != CacheMode::kBypass;
  const bool shared = kept && mode == CacheMode::kUse;
  CacheKey key{};
  if (kept) key = MakeCacheKey(parts_.scope, tenant, parts_.endpoint, request);
  if (shared) {
    if (std::optional<LlmReply> hit = FindInMemory(key)) {
      ++counters_.hits;
      sink.on_done(*std::move(hit));
      return 0;
    }
    if (const auto found = shared_.find(key); found != shared_.end()) {
      ++counters_.joined;
      return Add(found->second, request, std::move(sink));
    }
  }
  const auto flight = std::make_shared<Flight>();
  flight->key = key;
  flight->kept = kept;
  flight->shared = shared;
  flight->request = request;
  const Ticket ticket = Add(flight, request, std::move(sink));
  if (!shared) {
    Call(flight);
  } else {
    shared_.emplace(key, flight);
    LookUp(flight);
  }
  return ticket;
}

CachedCalls::Ticket CachedCalls::Add(const FlightPtr& flight, const LlmRequest& request,
                                     LlmSink sink) {
  const Ticket ticket = next_ticket_++;
  flights_.emplace(ticket, flight);
  Member& member = flight->members[ticket];
  member.sink = std::move(sink);
  member.flow = request.flow;
  member.deadline = request.deadline;
  member.stream = request.stream;
  if (flight->flow == nullptr) return ticket;
  // From here on the slower listener's text waits in memory.
  flight->flow->Resume();
  flight->flow->Extend(request.deadline);
  if (member.listens() && !flight->text.empty()) {
    member.heard = true;
    const auto on_text = member.sink.on_text;
    on_text(flight->text);
  }
  return ticket;
}

void CachedCalls::Leave(Ticket ticket) {
  const auto found = flights_.find(ticket);
  if (found == flights_.end()) return;
  const FlightPtr flight = found->second;
  flights_.erase(found);
  const auto member = flight->members.find(ticket);
  if (member->second.flow != nullptr) member->second.flow->SetOnResume(nullptr);
  auto on_done = std::move(member->second.sink.on_done);
  flight->members.erase(member);
  if (!flight->members.empty()) return;
  Close(flight);
  if (flight->flow == nullptr) return;  // nothing was called
  flight->on_cancelled = std::move(on_done);
  flight->cancel.request_stop();
}

// --- Looking ------------------------------------------------------------------------------------

std::optional<LlmReply> CachedCalls::FindInMemory(const CacheKey& key) {
  if (parts_.memory == nullptr) return std::nullopt;
  std::shared_ptr<const std::string> bytes;
  parts_.memory->Get(
      key, [&bytes](std::shared_ptr<const std::string> value) { bytes = std::move(value); });
  return bytes == nullptr ? std::nullopt : Decode(key, *bytes);
}

std::optional<LlmReply> CachedCalls::Decode(const CacheKey& key, const std::string& bytes) {
  std::optional<LlmReply> reply = DecodeCacheEntry(key, bytes);
  if (!reply) parts_.cache->Erase(key);
  return reply;
}

// The lock is asked for ahead of the text, on the same connection: once it is ours, no other
// process can have put the text there after we looked.
void CachedCalls::LookUp(const FlightPtr& flight) {
  if (parts_.cache == parts_.memory) return Call(flight);
  const std::uint64_t step = ++flight->step;
  if (parts_.lock != nullptr) {
    if (flight->token.empty()) flight->token = NewUuid();
    parts_.lock->Take(flight->key, flight->token,
                      [executor = parts_.executor, flight](FlightLock::Answer answer) {
                        RunOn(executor.get(), [flight, answer] { flight->lock = answer; });
                      });
  }
  parts_.cache->Get(flight->key, [this, executor = parts_.executor, flight,
                                  step](std::shared_ptr<const std::string> bytes) {
    RunOn(executor.get(), [this, flight, step, bytes = std::move(bytes)] {
      if (flight->step == step) OnLookedUp(flight, bytes);
    });
  });
  // While another process writes the text, Redis's own limit is good enough.
  if (flight->step == step && !flight->waits_since) LimitLook(flight, kLookRounds);
}

// What is counted is time in which an answer could have been heard. Each round goes by Redis's
// thread and by ours: a burst of posts here, or a thread without a processor, holds the clock, and
// answers that came meanwhile go first. By a plain clock a busy machine looks like a Redis that
// hangs, and texts that are there, or in another's hands, are written again.
void CachedCalls::LimitLook(const FlightPtr& flight, int rounds) {
  const auto next = [this, flight, rounds, step = flight->step] {
    if (flight->step != step) return;
    if (rounds > 1) return LimitLook(flight, rounds - 1);
    ++counters_.too_late;
    OnLookedUp(flight, nullptr);
  };
  const auto& executor = parts_.executor;
  if (parts_.lock == nullptr) {
    flight->timer = executor->RunAt(executor->Now() + kLookRound, next);
  } else {
    parts_.lock->IfLate(kLookRound, [executor, next] { executor->Post(next); });
  }
}

void CachedCalls::OnLookedUp(const FlightPtr& flight,
                             const std::shared_ptr<const std::string>& bytes) {
  ++flight->step;
  parts_.executor->CancelTimer(flight->timer);
  const auto hit = bytes == nullptr ? std::nullopt : Decode(flight->key, *bytes);
  if (hit) {
    counters_.hits += static_cast<std::int64_t>(flight->members.size());
    Close(flight);
    return Deliver(std::exchange(flight->members, {}), *hit);
  }
  if (flight->lock == FlightLock::Answer::kOthers) return AwaitOthers(flight);
  Call(flight);
}

// One that took the lock and does not come to an end must not take all our time with it.
void CachedCalls::AwaitOthers(const FlightPtr& flight) {
  const TimePoint now = parts_.executor->Now();
  if (!flight->waits_since) {
    ++counters_.awaited;
    flight->waits_since = now;
    flight->waits_until = now + (flight->members.begin()->second.deadline - now) / 2;
  }
  if (now >= flight->waits_until) return Call(flight);
  const Duration pause =
      std::clamp<Duration>((now - *flight->waits_since) / 8, kShortestPause, kLongestPause);
  flight->timer = parts_.executor->RunAt(std::min(now + pause, flight->waits_until),
                                         [this, flight] { LookUp(flight); });
}

// --- The call -----------------------------------------------------------------------------------

void CachedCalls::Call(const FlightPtr& flight) {
  ++flight->step;
  if (flight->shared) ++counters_.misses;
  KeepLock(flight);
  flight->text.clear();
  flight->flow = std::make_shared<Flow>();
  flight->cancel = CancelSource();
  flight->can_reset = true;

  LlmRequest request = flight->request;
  request.flow = flight->flow;
  request.stream = false;
  request.deadline = TimePoint::min();
  for (const auto& [ticket, member] : flight->members) {
    request.stream = request.stream || member.stream;
    request.deadline = std::max(request.deadline, member.deadline);
    if (member.listens() && member.sink.on_reset == nullptr) flight->can_reset = false;
  }

  parts_.llm->Complete(std::move(request), flight->cancel.get_token(), SinkOf(flight));
}

// Of the call that begins now. May be called from any thread; `this` is used on the executor's.
LlmSink CachedCalls::SinkOf(const FlightPtr& flight) {
  const auto& executor = parts_.executor;
  LlmSink sink;
  // Also where nobody listens: listeners may come yet.
  sink.on_text = [this, executor, flight, step = flight->step](std::string_view text) {
    if (executor->InThread()) {
      if (flight->step == step) OnText(flight, text);
      return;
    }
    executor->Post([this, flight, step, owned = std::string(text)] {
      if (flight->step == step) OnText(flight, owned);
    });
  };
  if (flight->can_reset) {
    sink.on_reset = [this, executor, flight, step = flight->step] {
      RunOn(executor.get(), [this, flight, step] {
        if (flight->step == step) OnReset(flight);
      });
    };
  }
  sink.on_done = [this, executor, flight, step = flight->step](LlmReply reply) {
    RunOn(executor.get(), [this, flight, step, reply = std::move(reply)]() mutable {
      if (flight->step == step) return OnReply(flight, std::move(reply));
      if (flight->on_cancelled) std::exchange(flight->on_cancelled, nullptr)(std::move(reply));
    });
  };
  return sink;
}

// While the flight has it, or may have it.
void CachedCalls::KeepLock(const FlightPtr& flight) {
  if (flight->token.empty() || flight->lock == FlightLock::Answer::kOthers) return;
  if (flight->renewal != 0) return;
  flight->renewal =
      parts_.executor->RunAt(parts_.executor->Now() + FlightLock::kRenewal, [this, flight] {
        flight->renewal = 0;
        parts_.lock->Renew(flight->key, flight->token);
        KeepLock(flight);
      });
}

// Listeners do not come or go within on_text.
void CachedCalls::OnText(const FlightPtr& flight, std::string_view text) {
  if (flight->shared) flight->text += text;
  for (auto& [ticket, member] : flight->members) {
    if (!member.listens()) continue;
    member.heard = true;
    member.sink.on_text(text);
  }
  // One listener may hold its text back; one of several would hold up the others.
  Member& first = flight->members.begin()->second;
  if (flight->members.size() > 1 || first.flow == nullptr || !first.flow->paused()) return;
  first.flow->SetOnResume([flow = flight->flow] { flow->Resume(); });
  flight->flow->Pause();
  if (!first.flow->paused()) flight->flow->Resume();  // it went on in between
}

void CachedCalls::OnReset(const FlightPtr& flight) {
  flight->text.clear();
  std::map<Ticket, Member> stuck;
  for (auto at = flight->members.begin(); at != flight->members.end();) {
    const auto member = at++;
    if (!member->second.can_hear_anew()) {
      stuck.insert(flight->members.extract(member));
    } else if (std::exchange(member->second.heard, false)) {
      member->second.sink.on_reset();
    }
  }
  if (stuck.empty()) return;
  LlmReply reply;
  reply.error = Error(Code::kTruncated, "the reply broke off after its first text was handed out");
  if (!flight->members.empty()) return Deliver(stuck, Unpaid(std::move(reply)));
  // Nobody wants it any more. One of them hears at its end what it cost.
  Close(flight);
  auto first = stuck.extract(stuck.begin());
  flights_.erase(first.key());
  if (first.mapped().flow != nullptr) first.mapped().flow->SetOnResume(nullptr);
  flight->on_cancelled = [on_done = std::move(first.mapped().sink.on_done),
                          error = reply.error](LlmReply end) {
    end.error = error;
    on_done(std::move(end));
  };
  Deliver(stuck, Unpaid(std::move(reply)));
  flight->cancel.request_stop();
}

void CachedCalls::OnReply(const FlightPtr& flight, LlmReply reply) {
  if (!reply.ok() && CallAgain(flight, &reply)) return;
  if (flight->kept && IsKept(reply) && parts_.keeps(reply)) {
    parts_.cache->Put(flight->key, EncodeCacheEntry(flight->key, reply), parts_.ttl);
  }
  Close(flight);  // after the text is there
  Deliver(std::exchange(flight->members, {}), reply);
}

// A failure is everybody's, but for two that only some have to do with: a deadline that has not
// come for all, and a text that was not asked for again because some had heard its beginning.
bool CachedCalls::CallAgain(const FlightPtr& flight, LlmReply* reply) {
  const bool late = reply->error->code == Code::kDeadline;
  const bool broke_off = !flight->text.empty() && !flight->can_reset;
  const TimePoint now = parts_.executor->Now();
  std::map<Ticket, Member> failed;
  if (late || broke_off) {
    for (auto at = flight->members.begin(); at != flight->members.end();) {
      const auto member = at++;
      const bool goes_on = member->second.can_hear_anew() && member->second.deadline > now;
      if (!goes_on) failed.insert(flight->members.extract(member));
    }
  }
  // Where nobody has failed, a client gives up too early, and would again.
  if (failed.empty() || flight->members.empty()) {
    flight->members.merge(failed);
    return false;
  }
  for (auto& [ticket, member] : flight->members) {
    if (std::exchange(member.heard, false)) member.sink.on_reset();
  }
  ++flight->step;
  Deliver(failed, *reply);
  if (!flight->members.empty()) Call(flight);
  return true;
}

// --- The end ------------------------------------------------------------------------------------

// The first of them pays.
void CachedCalls::Deliver(const std::map<Ticket, Member>& members, const LlmReply& reply) {
  for (const auto& [ticket, member] : members) {
    flights_.erase(ticket);
    if (member.flow != nullptr) member.flow->SetOnResume(nullptr);
  }
  bool first = true;
  for (auto& [ticket, member] : members) {
    member.sink.on_done(std::exchange(first, false) ? reply : Unpaid(reply));
  }
}

void CachedCalls::Close(const FlightPtr& flight) {
  ++flight->step;
  parts_.executor->CancelTimer(flight->timer);
  parts_.executor->CancelTimer(flight->renewal);
  if (flight->shared) shared_.erase(flight->key);
  if (!flight->token.empty()) parts_.lock->Release(flight->key, flight->token);
}

CachedCalls::View CachedCalls::Look() const {
  View view;
  view.hits = counters_.hits;
  view.misses = counters_.misses;
  view.joined = counters_.joined;
  view.awaited = counters_.awaited;
  view.too_late = counters_.too_late;
  return view;
}

}  // namespace postgen
