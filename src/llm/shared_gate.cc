#include "llm/shared_gate.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace postgen {
namespace {

using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

// What may be granted or owed at once, in seconds of the limit's rate.
constexpr double kBurstSeconds = 0.1;
// A limit with less than this share left binds: the others are asked first.
constexpr double kPlenty = 0.5;

constexpr bool Counts(std::size_t slot) { return CountsTokens(static_cast<LimitSlot>(slot)); }

double Cost(std::size_t slot, std::int64_t calls, std::int64_t tokens) {
  return static_cast<double>(Counts(slot) ? tokens : calls);
}

}  // namespace

SharedGate::SharedGate(std::string scope, SharedLimits* limits, RateLimiter* limiter,
                       Executor* executor, std::function<void()> on_change)
    : scope_(std::move(scope)),
      limits_(limits),
      limiter_(limiter),
      executor_(executor),
      on_change_(std::move(on_change)) {}

SharedGate::~SharedGate() {
  *alive_ = false;
  for (auto& [name, model] : models_) {
    executor_->CancelTimer(model.ask_timer);
    executor_->CancelTimer(model.return_timer);
  }
}

bool SharedGate::away(const std::string& name) const {
  const auto found = models_.find(name);
  return found != models_.end() && found->second.away;
}

SharedGate::Model& SharedGate::Find(const std::string& name) {
  if (models_.size() >= RateLimiter::kMaxModels && !models_.contains(name)) {
    // Who waits for a moment to look again would ask at once if that were forgotten.
    std::erase_if(models_, [now = executor_->Now()](const auto& entry) {
      const Model& model = entry.second;
      return !model.asking && !model.telling && model.return_timer == 0 && model.look_at <= now;
    });
  }
  return models_[name];
}

// --- Waiting

TimePoint SharedGate::ReadyAt(const std::string& name, std::int64_t tokens, TimePoint now) {
  Model& model = Find(name);
  if (model.away) {
    LearnShares(name, &model);
    return std::max(limiter_->ReadyAt(name, tokens, now, limits_->processes()),
                    ShareReadyAt(model, tokens, now));
  }
  const TimePoint own = limiter_->OwnReadyAt(name, tokens, now);
  if (own > now) return own;
  if (model.credit_calls > 0 && model.credit_tokens >= tokens) return now;
  if (model.asking) return TimePoint::max();
  if (model.look_at > now) {
    return tokens < model.refused_tokens ? model.look_at : std::max(model.ready_at, model.look_at);
  }
  return IsPlentiful(model, tokens, now) ? now : TimePoint::max();
}

TimePoint SharedGate::LookAgainAt(const std::string& name) {
  const Model& model = Find(name);
  if (model.asking) return TimePoint::max();
  const TimePoint at = model.away ? model.retry_at : model.look_at;
  return at > executor_->Now() ? at : TimePoint::max();
}

void SharedGate::AskFor(const std::string& name, const std::vector<std::int64_t>& calls) {
  const TimePoint now = executor_->Now();
  Model& model = Find(name);
  if (model.asking) return;
  if (model.away) {
    // Only to see whether they are back: nobody waits for the answer.
    if (now >= model.retry_at) Ask(name, &model, {});
    return;
  }
  if (model.look_at > now) return;
  if (limiter_->OwnReadyAt(name, calls.front(), now) > now) return;
  // What is left over is too little for the next one, and is asked for anew with it.
  ReturnCredit(&model);
  std::size_t most = kMostCalls;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    const SharedLimit& limit = model.known[i];
    if (limit.per_second <= 0) continue;
    if (!model.stale && LevelNow(model, i, now) >= kPlenty * limit.capacity) continue;
    const double cost = Cost(i, 1, calls.front());
    most = std::min(most, static_cast<std::size_t>(
                              std::max(1.0, std::floor(limit.per_second * kBurstSeconds / cost))));
  }
  Ask(name, &model,
      {calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(std::min(most, calls.size()))});
}

double SharedGate::LevelNow(const Model& model, std::size_t slot, TimePoint now) const {
  const SharedLimit& limit = model.known[slot];
  const double since = Seconds(now - model.known_at).count();
  return std::min(limit.capacity, limit.level + limit.per_second * since) - model.debts[slot];
}

bool SharedGate::IsPlentiful(const Model& model, std::int64_t tokens, TimePoint now) const {
  if (model.stale || now - model.known_at > kFresh) return false;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    const SharedLimit& limit = model.known[i];
    if (limit.unheard && limit.per_second <= 0) return false;
    if (limit.per_second <= 0) continue;
    const double cost = Cost(i, 1, tokens);
    if (LevelNow(model, i, now) - cost < kPlenty * limit.capacity) return false;
    if (model.debts[i] + cost > std::max(cost, limit.per_second * kBurstSeconds)) return false;
  }
  return true;
}

void SharedGate::Ask(const std::string& name, Model* model, std::vector<std::int64_t> calls) {
  const TimePoint now = executor_->Now();
  SharedAsk ask;
  ask.scope = scope_;
  ask.model = name;
  ask.limits = limiter_->Limits(name, now);
  ask.returning = model->away;
  ask.debts = std::exchange(model->debts, {});
  ask.calls = calls;
  model->asking = true;
  model->ask = next_ask_++;
  // Until the answer tells, what it will hold is reckoned with.
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    model->known[i].level -= ask.debts[i];
    model->known[i].total += ask.debts[i];
  }
  if (!model->away) {
    model->ask_timer = executor_->RunAt(now + kAnswerLimit, [this, name, id = model->ask] {
      // An answer may be here already, if it is this thread that is late.
      executor_->Post([this, alive = alive_, name, id] {
        if (!*alive) return;
        Model& late = Find(name);
        if (late.asking && late.ask == id) GoAway(name, &late);
      });
    });
  }
  limits_->Ask(std::move(ask), [this, alive = alive_, name, id = model->ask,
                                calls = std::move(calls)](const SharedAnswer& answer) {
    if (*alive) OnAnswer(name, id, calls, answer);
  });
}

void SharedGate::OnAnswer(const std::string& name, std::uint64_t ask,
                          const std::vector<std::int64_t>& calls, const SharedAnswer& answer) {
  const TimePoint now = executor_->Now();
  Model& model = Find(name);
  if (ask != model.ask || !model.asking) return;
  executor_->CancelTimer(std::exchange(model.ask_timer, 0));
  model.asking = false;
  if (answer.away) return GoAway(name, &model);
  away_ = false;
  if (std::exchange(model.away, false)) {
    // Of a longer time, what the heads have told by now says more than what was taken.
    if (now - model.away_since < kShortly) {
      for (std::size_t i = 0; i < kLimitSlots; ++i) model.debts[i] += model.taken_away[i];
    }
    model.shares = {};
    model.taken_away = {};
  }
  model.known = answer.limits;
  model.known_at = now;
  model.stale = false;
  const bool all = answer.granted >= calls.size();
  model.ready_at = all ? TimePoint::min() : now + answer.wait;
  model.refused_tokens = all ? 0 : calls[answer.granted];
  model.look_at =
      all ? TimePoint::min()
          : now + std::clamp<Duration>(answer.wait, Duration(kLeastWait), Duration(kMostWait));
  for (std::size_t i = 0; i < std::min(answer.granted, calls.size()); ++i) {
    ++model.credit_calls;
    model.credit_tokens += calls[i];
  }
  if (model.credit_calls > 0) ReturnLater(name, &model);
  on_change_();  // last: the model may be forgotten
}

// --- While the others are away

void SharedGate::GoAway(const std::string& name, Model* model) {
  away_ = true;
  model->retry_at = executor_->Now() + kRetry;
  if (model->away) return;
  model->away = true;
  model->away_since = executor_->Now();
  LearnShares(name, model);
  on_change_();
}

void SharedGate::LearnShares(const std::string& name, Model* model) {
  const TimePoint now = executor_->Now();
  const auto processes = static_cast<double>(limits_->processes());
  const PerLimit<SharedLimit> own = limiter_->Limits(name, now);
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    if (model->shares[i].known()) continue;
    SharedLimit limit = own[i];
    if (model->known[i].per_second > 0) {
      limit = model->known[i];
      limit.level = LevelNow(*model, i, now);
    }
    if (limit.per_second <= 0) continue;
    const double capacity = limit.capacity / processes;
    model->shares[i] = RateBudget::Burst(limit.per_second * 60 / processes, capacity, now);
    model->shares[i].Take(capacity - limit.level / processes, now);
  }
}

TimePoint SharedGate::ShareReadyAt(const Model& model, std::int64_t tokens, TimePoint now) const {
  TimePoint ready = now;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    ready = std::max(ready, model.shares[i].ReadyAt(Cost(i, 1, tokens), now));
  }
  return ready;
}

// --- Calls

SharedGate::Ticket SharedGate::Take(const std::string& name, std::int64_t tokens) {
  const TimePoint now = executor_->Now();
  Model& model = Find(name);
  Ticket ticket;
  ticket.sent = now;
  if (model.away) {
    for (std::size_t i = 0; i < kLimitSlots; ++i) {
      model.shares[i].Take(Cost(i, 1, tokens), now);
      model.taken_away[i] += Cost(i, 1, tokens);
    }
  } else if (model.credit_calls > 0 && model.credit_tokens >= tokens) {
    --model.credit_calls;
    model.credit_tokens -= tokens;
  } else {
    for (std::size_t i = 0; i < kLimitSlots; ++i) model.debts[i] += Cost(i, 1, tokens);
  }
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    ticket.totals[i] =
        model.known[i].total + model.debts[i] - Cost(i, model.credit_calls, model.credit_tokens);
    ticket.on_way[i] = model.known[i].on_way + model.debts[i];
  }
  if (!model.away) ReturnLater(name, &model);
  return ticket;
}

void SharedGate::ReturnCredit(Model* model) {
  const std::int64_t calls = std::exchange(model->credit_calls, 0);
  const std::int64_t tokens = std::exchange(model->credit_tokens, 0);
  for (std::size_t i = 0; i < kLimitSlots; ++i) model->debts[i] -= Cost(i, calls, tokens);
}

// What is owed or left over is settled soon; an ask before that does it as well.
void SharedGate::ReturnLater(const std::string& name, Model* model) {
  if (model->return_timer != 0) return;
  model->return_timer = executor_->RunAt(executor_->Now() + kKeep, [this, name] {
    Model& later = Find(name);
    later.return_timer = 0;
    if (later.away || later.asking) return;
    ReturnCredit(&later);
    const bool owes =
        std::any_of(later.debts.begin(), later.debts.end(), [](double debt) { return debt != 0; });
    if (owes) Ask(name, &later, {});
  });
}

SharedHead SharedGate::MakeHead(const Ticket& ticket, const std::string& name,
                                const RateReadings& readings) const {
  const TimePoint now = executor_->Now();
  SharedHead head;
  head.scope = scope_;
  head.model = name;
  head.limits = limiter_->Limits(name, now);
  head.totals = ticket.totals;
  head.on_way = ticket.on_way;
  head.age = now - ticket.sent;
  const auto told = [](const RateReading& reading) -> std::optional<double> {
    if (!reading.remaining) return std::nullopt;
    return static_cast<double>(*reading.remaining);
  };
  head.remaining[static_cast<std::size_t>(LimitSlot::kRequests)] = told(readings.requests);
  head.remaining[static_cast<std::size_t>(LimitSlot::kTokens)] = told(readings.tokens);
  return head;
}

void SharedGate::OnHead(const Ticket& ticket, const std::string& name,
                        const RateReadings& readings) {
  Model& model = Find(name);
  if (model.away) return;
  SharedHead head = MakeHead(ticket, name, readings);
  // What it has told of for the first time, the others have to be asked about.
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    const bool news = head.limits[i].per_second > 0 && model.known[i].per_second <= 0;
    model.stale = model.stale || news;
  }
  if (model.telling) return;
  const bool any = std::any_of(head.remaining.begin(), head.remaining.end(),
                               [](const auto& remaining) { return remaining.has_value(); });
  if (any) Tell(name, &model, std::move(head));
}

void SharedGate::OnRefused(const Ticket& ticket, const std::string& name, LimitKind limit,
                           const RateReadings& readings, std::optional<Duration> retry_after,
                           std::int64_t tokens) {
  Model& model = Find(name);
  if (model.away) return;
  SharedHead head = MakeHead(ticket, name, readings);
  if (retry_after) head.hold = *retry_after;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    const bool meant = limit == LimitKind::kUnknown || (limit == LimitKind::kTokens) == Counts(i);
    const bool explained = head.remaining[i] && *head.remaining[i] < Cost(i, 1, tokens);
    head.refused[i] = meant && !explained && i != static_cast<std::size_t>(LimitSlot::kBurst);
  }
  Tell(name, &model, std::move(head));
}

void SharedGate::Tell(const std::string& name, Model* model, SharedHead head) {
  model->telling = true;
  limits_->Tell(std::move(head), [this, alive = alive_, name] {
    if (*alive) Find(name).telling = false;
  });
}

void SharedGate::End(const std::string& name, std::int64_t unused_tokens) {
  Model& model = Find(name);
  if (model.away || unused_tokens == 0) return;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    if (Counts(i) && limiter_->TakesBack(name, static_cast<LimitSlot>(i))) {
      model.debts[i] -= static_cast<double>(unused_tokens);
    }
  }
  ReturnLater(name, &model);
}

}  // namespace postgen
