#include "llm/policy/rate_limiter.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace postgen {
namespace {

// A full budget is spent over a quarter of its minute rather than in one instant, past a first part
// that serves single posts at once: servers may enforce slices of their limits.
constexpr double kBurstRate = 4;
constexpr double kBurstShare = 0.05;
constexpr double kLeastBurst = 10;

}  // namespace

TimePoint RateLimiter::Budgets::ReadyAt(std::int64_t call_tokens, TimePoint now) const {
  return std::max(requests.ReadyAt(1, now), tokens.ReadyAt(static_cast<double>(call_tokens), now));
}

RateLimiter::RateLimiter(const RateLimits& limits, TimePoint now) {
  if (limits.rpm) all_.requests = RateBudget::Fixed(*limits.rpm, now);
  if (limits.tpm) all_.tokens = RateBudget::Fixed(*limits.tpm, now);
}

TimePoint RateLimiter::ReadyAt(const std::string& name, std::int64_t tokens, TimePoint now,
                               std::int64_t processes) const {
  const Model& model = ModelOf(name);
  return std::max({now, model.held_until, UnheardUntil(model, processes, now),
                   model.budgets.ReadyAt(tokens, now), model.burst.ReadyAt(1, now),
                   all_.ReadyAt(tokens, now)});
}

TimePoint RateLimiter::OwnReadyAt(const std::string& name, std::int64_t tokens,
                                  TimePoint now) const {
  const Model& model = ModelOf(name);
  TimePoint ready = std::max({now, model.held_until, UnheardUntil(model, 1, now)});
  const auto& [requests, tokens_budget] = model.budgets;
  if (requests.guessed()) ready = std::max(ready, requests.ReadyAt(1, now));
  if (tokens_budget.guessed()) {
    ready = std::max(ready, tokens_budget.ReadyAt(static_cast<double>(tokens), now));
  }
  return ready;
}

const RateLimiter::Model& RateLimiter::ModelOf(const std::string& name) const {
  const auto found = models_.find(name);
  return found == models_.end() ? fresh_ : found->second;
}

const RateBudget& RateLimiter::BudgetOf(const Model& model, LimitSlot slot) const {
  switch (slot) {
    case LimitSlot::kRequests: return model.budgets.requests;
    case LimitSlot::kTokens: return model.budgets.tokens;
    case LimitSlot::kBurst: return model.burst;
    case LimitSlot::kAllRequests: return all_.requests;
    case LimitSlot::kAllTokens: break;
  }
  return all_.tokens;
}

std::array<SharedLimit, kLimitSlots> RateLimiter::Limits(const std::string& name,
                                                         TimePoint now) const {
  const Model& model = ModelOf(name);
  std::array<SharedLimit, kLimitSlots> limits;
  for (std::size_t i = 0; i < kLimitSlots; ++i) {
    const auto slot = static_cast<LimitSlot>(i);
    const RateBudget& budget = BudgetOf(model, slot);
    SharedLimit& limit = limits[i];
    limit.learned = slot == LimitSlot::kRequests || slot == LimitSlot::kTokens;
    limit.unheard = limit.learned && !model.heard;
    if (!budget.known() || budget.guessed()) continue;
    limit.per_second = budget.per_second();
    limit.capacity = budget.capacity();
    limit.level = budget.LevelAt(now);
  }
  return limits;
}

bool RateLimiter::TakesBack(const std::string& name, LimitSlot slot) const {
  return BudgetOf(ModelOf(name), slot).takes_back();
}

TimePoint RateLimiter::UnheardUntil(const Model& model, std::int64_t processes, TimePoint now) {
  std::int64_t most = std::max<std::int64_t>(1, kUnheardCalls / processes);
  if (model.heard || model.open < most) return now;
  TimePoint until = model.opened_at;
  while (most <= model.open) {
    most *= 2;
    until += kUnheardTime;
  }
  return until;
}

TimePoint RateLimiter::ReadyAfter(const std::string& name, std::int64_t calls,
                                  std::int64_t ahead_tokens, std::int64_t tokens,
                                  TimePoint now) const {
  const Model& model = ModelOf(name);
  TimePoint ready = std::max(now, model.held_until);
  for (const Budgets* budgets : {&model.budgets, &all_}) {
    ready = std::max({ready, budgets->requests.ReadyAfter(static_cast<double>(calls), 1, now),
                      budgets->tokens.ReadyAfter(static_cast<double>(ahead_tokens),
                                                 static_cast<double>(tokens), now)});
  }
  return ready;
}

bool RateLimiter::Knows(const std::string& name) const {
  const auto found = models_.find(name);
  if (found == models_.end()) return false;
  const Budgets& budgets = found->second.budgets;
  return budgets.requests.known() || budgets.tokens.known();
}

RateLimiter::Model* RateLimiter::Find(const std::string& name) {
  if (models_.size() >= kMaxModels && !models_.contains(name)) {
    std::erase_if(models_, [](const auto& entry) { return entry.second.open == 0; });
  }
  return &models_[name];
}

RateLimiter::Ticket RateLimiter::Take(const std::string& name, std::int64_t tokens, TimePoint now) {
  const auto cost = static_cast<double>(tokens);
  Ticket ticket;
  ticket.model_ = Find(name);
  ticket.tokens_ = tokens;
  Model& model = *ticket.model_;
  if (model.open++ == 0) model.opened_at = now;
  ticket.model_takes_ = {model.budgets.requests.Take(1, now), model.budgets.tokens.Take(cost, now)};
  ticket.all_takes_ = {all_.requests.Take(1, now), all_.tokens.Take(cost, now)};
  model.burst.Take(1, now);
  return ticket;
}

void RateLimiter::OnHead(Ticket* ticket, const RateReadings& readings, TimePoint now) {
  Model& model = *ticket->model_;
  model.heard = true;
  model.budgets.requests.Observe(readings.requests, ticket->model_takes_.requests, now);
  model.budgets.tokens.Observe(readings.tokens, ticket->model_takes_.tokens, now);
  const double rpm = model.budgets.requests.per_minute();
  if (rpm > 0 && rpm * kBurstRate != model.burst.per_minute()) {
    model.burst =
        RateBudget::Burst(rpm * kBurstRate, std::max(kLeastBurst, rpm * kBurstShare), now);
  }
}

void RateLimiter::OnRefused(Ticket* ticket, LimitKind limit, const RateReadings& readings,
                            std::optional<Duration> retry_after, TimePoint now) {
  Model& model = *ticket->model_;
  if (retry_after) model.held_until = std::max(model.held_until, now + *retry_after);
  const bool requests = limit != LimitKind::kTokens;
  const bool tokens = limit != LimitKind::kRequests;
  const Ticket& t = *ticket;
  if (requests) model.budgets.requests.Refuse(readings.requests, t.model_takes_.requests, now);
  if (tokens) model.budgets.tokens.Refuse(readings.tokens, t.model_takes_.tokens, now);
  // Of the options' limits we know that the server does not keep them, not how it stands.
  if (requests && all_.requests.known()) all_.requests.Refuse({}, t.all_takes_.requests, now);
  if (tokens && all_.tokens.known()) all_.tokens.Refuse({}, t.all_takes_.tokens, now);
}

void RateLimiter::End(Ticket* ticket, std::optional<std::int64_t> used_tokens, TimePoint now) {
  Model& model = *ticket->model_;
  --model.open;
  if (used_tokens) {
    // Less than nothing: the call cost more than was reserved.
    const auto unused = static_cast<double>(ticket->tokens_ - *used_tokens);
    model.budgets.tokens.GiveBack(unused, now);
    all_.tokens.GiveBack(unused, now);
  }
  *ticket = {};
}

RateLimiter::View RateLimiter::Look(TimePoint now) const {
  View view;
  const auto lower = [](std::optional<double>* figure, double value) {
    *figure = std::min(figure->value_or(value), value);
  };
  const auto look = [&](const Budgets& budgets) {
    if (budgets.requests.known()) {
      lower(&view.rpm, budgets.requests.per_minute());
      lower(&view.requests_left, budgets.requests.LevelAt(now));
    }
    if (budgets.tokens.known()) {
      lower(&view.tpm, budgets.tokens.per_minute());
      lower(&view.tokens_left, budgets.tokens.LevelAt(now));
    }
    view.smooth = view.smooth || budgets.requests.SmoothAt(now) || budgets.tokens.SmoothAt(now);
  };
  look(all_);
  for (const auto& [name, model] : models_) {
    look(model.budgets);
    if (model.held_until > now) {
      view.held_ms = std::max<std::int64_t>(
          view.held_ms,
          std::chrono::ceil<std::chrono::milliseconds>(model.held_until - now).count());
    }
  }
  return view;
}

}  // namespace postgen
