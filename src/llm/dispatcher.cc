#include "llm/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "json/json_writer.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

// Calls of one connection end within moments of each other when it dies.
constexpr auto kOneLoss = std::chrono::seconds(5);

constexpr int kTooManyRequests = 429;
constexpr int kUnavailable = 503;
constexpr int kOverloaded = 529;

Error TooLate(const Provider& provider, TimePoint ready, TimePoint now) {
  const auto wait = std::chrono::ceil<milliseconds>(ready - now);
  Error error(Code::kRateLimited,
              "the rate limits of " + provider.host + " let this call start in " +
                  std::to_string(wait.count()) + " ms, after the post is due",
              provider.host);
  error.details.retry_after_ms = wait.count();
  return error;
}

// What a failed call says about the number of calls at once.
Strain StrainOf(const Error& error, bool limits_known) {
  const int status = error.details.http_status.value_or(0);
  if (error.details.provider_code == "slow_down") return Strain::kHighest;
  if (status == kTooManyRequests && error.code == Code::kRateLimited) {
    return limits_known ? Strain::kNone : Strain::kHighest;
  }
  return status == kUnavailable || status == kOverloaded ? Strain::kHigh : Strain::kNone;
}

void WriteFigure(std::string_view name, const std::optional<double>& figure, JsonWriter* json) {
  json->Key(name);
  if (figure) {
    json->Fixed(*figure, 1);
  } else {
    json->Null();
  }
}

}  // namespace

Provider::Provider(std::string name, std::vector<std::string> serves,
                   std::unique_ptr<HttpTransport> http, const LlmOptions& options, TimePoint now)
    : host(std::move(name)),
      models(std::move(serves)),
      transport(std::move(http)),
      parameters(options.token_param),
      limiter({.rpm = options.rpm, .tpm = options.tpm}, now),
      concurrency(options.max_in_flight) {}

bool Provider::Serves(const std::string& model) const {
  return models.empty() || std::find(models.begin(), models.end(), model) != models.end();
}

bool Provider::IsFirstLoss(std::uint64_t connection, TimePoint now) {
  if (connection == 0) return true;
  const bool known = std::any_of(losses_.begin(), losses_.end(), [&](const Loss& loss) {
    return loss.connection == connection && now - loss.at < kOneLoss;
  });
  if (!known) losses_[next_loss_++ % losses_.size()] = {connection, now};
  return !known;
}

Dispatcher::Dispatcher(const LlmOptions& options, Executor* executor,
                       std::vector<std::unique_ptr<Provider>> providers)
    : most_in_flight_(options.max_in_flight),
      fallback_models_(options.fallback_models),
      executor_(executor),
      providers_(std::move(providers)) {
  Publish();
}

void Dispatcher::Share(Provider* provider, std::string scope, SharedLimits* limits) {
  provider->gate = std::make_unique<SharedGate>(std::move(scope), limits, &provider->limiter,
                                                executor_, [this] { Pump(); });
}

std::vector<Route> Dispatcher::RoutesFor(const std::string& model) const {
  std::vector<Route> routes;
  const auto add = [&](const std::string& name) {
    for (const auto& provider : providers_) {
      const bool there = std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
        return route.provider == provider.get() && route.model == name;
      });
      if (!there && provider->Serves(name)) routes.push_back({provider.get(), name});
    }
  };
  add(model);
  for (const std::string& fallback : fallback_models_) add(fallback);
  return routes;
}

// --- Waiting ------------------------------------------------------------------------------------

void Dispatcher::Ask(Asker* asker) {
  if (asker->place_ == 0) asker->place_ = next_place_++;
  std::optional<Error> why;
  const std::optional<std::size_t> route = Choose(*asker, &why);
  if (!route) return asker->OnNoTurn(*std::move(why));
  Enqueue(asker, *route);
  Pump();
}

bool Dispatcher::HasAnotherRoute(const Asker& asker) const {
  std::optional<Error> why;
  return Choose(asker, &why).has_value();
}

std::optional<std::size_t> Dispatcher::Choose(const Asker& asker, std::optional<Error>* why) const {
  for (std::size_t i = 0; i < asker.routes.size(); ++i) {
    if (asker.closed[i] || asker.tried[i]) continue;
    std::optional<Error> objection = Objection(asker, asker.routes[i]);
    if (!objection) return i;
    if (!*why) *why = std::move(objection);
  }
  if (!*why) {
    *why = Error(Code::kRefused, "no endpoint of llm.endpoints serves the model", "model");
  }
  return std::nullopt;
}

std::optional<Error> Dispatcher::Objection(const Asker& asker, const Route& route) const {
  const TimePoint now = executor_->Now();
  const Provider& provider = *route.provider;
  if (const Error* error = provider.breaker.Blocked(now)) return *error;
  const auto queue = queues_.find({route.provider, route.model});
  const auto ahead = queue == queues_.end() ? 0 : static_cast<std::int64_t>(queue->second.size());
  // What those ahead will really cost is known when they have ended: reckoned with nothing, this
  // refuses only what cannot be.
  const TimePoint ready = provider.limiter.ReadyAfter(route.model, ahead, 0, asker.tokens, now);
  if (ready > now && ready > asker.Due()) return TooLate(provider, ready, now);
  return std::nullopt;
}

void Dispatcher::Enqueue(Asker* asker, std::size_t route) {
  const Route& chosen = asker->routes[route];
  queues_[{chosen.provider, chosen.model}].emplace(asker->place_, asker);
  asker->route_ = route;
  asker->waiting_ = true;
  asker->since_ = executor_->Now();
  ++waiting_;
}

void Dispatcher::Withdraw(Asker* asker) {
  if (!asker->waiting_) return;
  asker->waiting_ = false;
  --waiting_;
  const Route& route = asker->routes[asker->route_];
  const auto queue = queues_.find({route.provider, route.model});
  queue->second.erase(asker->place_);
  if (queue->second.empty()) queues_.erase(queue);
  // Nobody is left to be woken; the client may be destroyed next.
  if (waiting_ == 0) WakeAt(TimePoint::max());
  if (!pumping_) Publish();
}

void Dispatcher::Reroute(Asker* asker, Error error) {
  Withdraw(asker);
  asker->tried[asker->route_] = true;
  std::optional<Error> why = std::move(error);
  const std::optional<std::size_t> route = Choose(*asker, &why);
  if (!route) return asker->OnNoTurn(*std::move(why));
  Enqueue(asker, *route);
}

// A breaker has opened: nobody waits for it.
void Dispatcher::LeaveBlocked(Provider* provider) {
  const Error* blocked = provider->breaker.Blocked(executor_->Now());
  if (blocked == nullptr) return;
  const Error error = *blocked;
  std::vector<Asker*> leaving;
  for (const auto& [key, queue] : queues_) {
    if (key.first != provider) continue;
    for (const auto& [place, asker] : queue) leaving.push_back(asker);
  }
  // One that fails may take others with it (a post that ends cancels its calls later, never from
  // within), but stays alive until it has heard.
  for (Asker* asker : leaving) {
    if (asker->waiting_) Reroute(asker, error);
  }
}

// --- Turns --------------------------------------------------------------------------------------

void Dispatcher::Pump() {
  // A turn may end calls, and those may ask again.
  pump_again_ = true;
  if (pumping_) return;
  pumping_ = true;
  while (std::exchange(pump_again_, false)) GiveTurns();
  pumping_ = false;
  Publish();
}

// When the first of the queue may be sent, as far as its budgets go. *wake is brought forward where
// the answer may change before.
TimePoint Dispatcher::ReadyAt(const QueueKey& key, const Queue& queue, TimePoint now,
                              TimePoint* wake) {
  const auto& [provider, model] = key;
  const std::int64_t tokens = queue.begin()->second->tokens;
  SharedGate* const gate = provider->gate.get();
  if (gate == nullptr) return provider->limiter.ReadyAt(model, tokens, now);
  const TimePoint ready = gate->ReadyAt(model, tokens, now);
  // Nothing is asked for that could not be sent.
  const std::int64_t room =
      std::min(most_in_flight_ - in_flight_,
               provider->concurrency.limit() - provider->concurrency.in_flight());
  if (room > 0 && (ready == TimePoint::max() || gate->away(model))) {
    std::vector<std::int64_t> calls;
    for (const auto& [place, asker] : queue) {
      if (std::cmp_greater_equal(calls.size(), room) || calls.size() >= SharedGate::kMostCalls)
        break;
      calls.push_back(asker->tokens);
    }
    gate->AskFor(model, calls);
  }
  *wake = std::min(*wake, gate->LookAgainAt(model));
  return ready;
}

void Dispatcher::GiveTurns() {
  for (;;) {
    const TimePoint now = executor_->Now();
    TimePoint wake = TimePoint::max();
    TimePoint late_until;
    Asker* next = nullptr;
    Asker* late = nullptr;
    for (const auto& [key, queue] : queues_) {
      const auto& [provider, model] = key;
      Asker* const first = queue.begin()->second;
      const TimePoint ready = ReadyAt(key, queue, now, &wake);
      if (ready > now) {
        if (ready == TimePoint::max()) continue;
        wake = std::min(wake, ready);
        if (ready > first->Due()) late = first, late_until = ready;
        continue;
      }
      if (in_flight_ >= most_in_flight_ || !provider->concurrency.HasRoom()) continue;
      if (next == nullptr || first->place_ < next->place_) next = first;
    }
    if (late != nullptr) {
      Reroute(late, TooLate(*late->routes[late->route_].provider, late_until, now));
    } else if (next != nullptr) {
      GiveTurn(next, now);
    } else {
      return WakeAt(wake);
    }
  }
}

void Dispatcher::GiveTurn(Asker* asker, TimePoint now) {
  const Route& route = asker->routes[asker->route_];
  Provider* const provider = route.provider;
  Withdraw(asker);
  waited_ += now - asker->since_;
  asker->tried[asker->route_] = true;
  Permit permit = MakePermit(route, asker->tokens, now);
  const bool probe = permit.probe;
  asker->OnTurn(permit);
  if (probe) LeaveBlocked(provider);
}

Permit Dispatcher::MakePermit(const Route& route, std::int64_t tokens, TimePoint now) {
  ++turns_;
  ++in_flight_;
  route.provider->concurrency.Start();
  Permit permit;
  permit.route = &route;
  permit.tokens = tokens;
  permit.ticket = route.provider->limiter.Take(route.model, tokens, now);
  if (route.provider->gate) permit.shared = route.provider->gate->Take(route.model, tokens);
  permit.sent = now;
  permit.probe = route.provider->breaker.OnSend();
  return permit;
}

std::optional<Permit> Dispatcher::TakeSpare(const Route& route, std::int64_t tokens) {
  const TimePoint now = executor_->Now();
  const Provider& provider = *route.provider;
  const auto ready = [&] {
    return provider.gate ? provider.gate->ReadyAt(route.model, tokens, now)
                         : provider.limiter.ReadyAt(route.model, tokens, now);
  };
  const bool spare = waiting_ == 0 && in_flight_ < most_in_flight_ &&
                     provider.concurrency.HasRoom() &&
                     provider.breaker.state() == Breaker::State::kClosed && ready() <= now;
  if (!spare) return std::nullopt;
  return MakePermit(route, tokens, now);
}

void Dispatcher::WakeAt(TimePoint when) {
  if (timer_ != 0 && timer_due_ == when) return;
  executor_->CancelTimer(std::exchange(timer_, 0));
  if (when == TimePoint::max()) return;
  timer_due_ = when;
  timer_ = executor_->RunAt(when, [this] {
    timer_ = 0;
    Pump();
  });
}

// --- Attempts -----------------------------------------------------------------------------------

void Dispatcher::OnHead(Permit* permit, const RateReadings& readings) {
  Provider& provider = *permit->route->provider;
  permit->readings = readings;
  provider.limiter.OnHead(&permit->ticket, readings, executor_->Now());
  if (provider.gate) provider.gate->OnHead(permit->shared, permit->route->model, readings);
  if (waiting_ > 0) Pump();
}

void Dispatcher::End(Permit* permit, const AttemptEnd& end) {
  const TimePoint now = executor_->Now();
  Provider* const provider = permit->route->provider;
  const Error* const error = end.cancelled ? nullptr : end.error;
  const bool refused = error != nullptr && error->code == Code::kRateLimited;
  const bool counts = error == nullptr || provider->IsFirstLoss(end.connection, now);

  const bool limits_known = !refused || provider->limiter.Knows(permit->route->model);
  const Strain strain = error == nullptr ? Strain::kNone : StrainOf(*error, limits_known);
  provider->concurrency.End(strain, permit->sent, now);
  --in_flight_;

  if (refused) {
    ++provider->refusals;
    provider->limiter.OnRefused(&permit->ticket, end.limit, permit->readings, end.retry_after, now);
    if (provider->gate) {
      provider->gate->OnRefused(permit->shared, permit->route->model, end.limit, permit->readings,
                                end.retry_after, permit->tokens);
    }
  }
  if (provider->gate && end.used_tokens) {
    provider->gate->End(permit->route->model, permit->tokens - *end.used_tokens);
  }
  provider->limiter.End(&permit->ticket, end.used_tokens, now);

  if (!end.cancelled && error == nullptr) {
    provider->breaker.OnSuccess(now);
  } else if (refused) {
    provider->breaker.OnRefused(*error, permit->probe, permit->sent, now);
    LeaveBlocked(provider);
  } else if (error != nullptr && counts && SpeaksAgainstEndpoint(*error)) {
    provider->breaker.OnFailure(*error, permit->probe, now);
    LeaveBlocked(provider);
  } else {
    provider->breaker.OnNothing(permit->probe);
  }
  *permit = {};
  Pump();
}

// --- For people ---------------------------------------------------------------------------------

void Dispatcher::Publish() {
  const TimePoint now = executor_->Now();
  const MutexLock lock(&mutex_);
  snapshot_.in_flight = in_flight_;
  snapshot_.waiting = waiting_;
  snapshot_.turns = turns_;
  snapshot_.waited = waited_;
  snapshot_.providers.resize(providers_.size());
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const Provider& provider = *providers_[i];
    Snapshot::One& one = snapshot_.providers[i];
    one.in_flight = provider.concurrency.in_flight();
    one.max_in_flight = provider.concurrency.limit();
    one.refusals = provider.refusals;
    one.breaker_opened = provider.breaker.times_opened();
    one.breaker.reset();
    if (provider.breaker.state() != Breaker::State::kClosed) {
      one.breaker = provider.breaker.reason();
    }
    one.limits = provider.limiter.Look(now);
    if (provider.gate) {
      one.processes = provider.gate->processes();
      one.shares_away = provider.gate->away();
    }
  }
}

std::string Dispatcher::MetricsJson() const {
  const MutexLock lock(&mutex_);
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("in_flight").Int(snapshot_.in_flight);
  json.Key("waiting").Int(snapshot_.waiting);
  json.Key("sent").Int(snapshot_.turns);
  json.Key("wait_ms").Fixed(std::chrono::duration<double, std::milli>(snapshot_.waited).count(), 3);
  json.Key("endpoints").BeginArray();
  for (std::size_t i = 0; i < providers_.size(); ++i) {
    const Snapshot::One& one = snapshot_.providers[i];
    json.BeginObject();
    json.Key("host").String(providers_[i]->host);
    json.Key("in_flight").Int(one.in_flight);
    json.Key("max_in_flight").Int(one.max_in_flight);
    json.Key("refused_429").Int(one.refusals);
    json.Key("breaker").String(one.breaker ? CodeName(*one.breaker) : "closed");
    json.Key("breaker_opened").Int(one.breaker_opened);
    WriteFigure("rpm", one.limits.rpm, &json);
    WriteFigure("tpm", one.limits.tpm, &json);
    WriteFigure("requests_left", one.limits.requests_left, &json);
    WriteFigure("tokens_left", one.limits.tokens_left, &json);
    json.Key("bursts_held_back").Bool(one.limits.smooth);
    json.Key("held_ms").Int(one.limits.held_ms);
    // By this process alone: null.
    json.Key("sharing_processes");
    if (one.processes) {
      json.Int(*one.processes);
    } else {
      json.Null();
    }
    json.Key("shared_limits_away").Bool(one.shares_away);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return out;
}

}  // namespace postgen
