// Where and when an attempt is sent. Every attempt of every call asks here, waits for its turn in
// the order in which the calls came, and tells how it went:
//
//   Ask(asker) ──► OnTurn(permit) ──► [OnHead(permit)] ──► End(permit)
//              └─► OnNoTurn(error)      no endpoint is usable, or none in time
//
// A turn needs room in llm.max_in_flight and at the endpoint, a budget that is not spent and a
// breaker that is closed. Who waits holds none of them. With a SharedGate the budget is kept with
// other processes. Used on the executor's thread only, except for MetricsJson().
#ifndef POSTGEN_SRC_LLM_DISPATCHER_H_
#define POSTGEN_SRC_LLM_DISPATCHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llm/parameter_memory.h"
#include "llm/policy/breaker.h"
#include "llm/policy/concurrency.h"
#include "llm/policy/hedge.h"
#include "llm/policy/rate_limiter.h"
#include "llm/policy/retry_budget.h"
#include "llm/shared_gate.h"
#include "llm/transport/http_transport.h"
#include "llm/wire/rate_headers.h"
#include "postgen/llm_client.h"
#include "postgen/options.h"
#include "runtime/executor.h"
#include "runtime/mutex.h"

namespace postgen {

// One provider with one key, and what was learned of it.
struct Provider {
  Provider(std::string name, std::vector<std::string> serves, std::unique_ptr<HttpTransport> http,
           const LlmOptions& options, TimePoint now);

  bool Serves(const std::string& model) const;
  // A connection that dies takes all its calls with it; of their failures only the first counts.
  bool IsFirstLoss(std::uint64_t connection, TimePoint now);

  const std::string host;                 // for people
  const std::vector<std::string> models;  // empty: all
  const std::unique_ptr<HttpTransport> transport;
  ParameterMemory parameters;
  RetryBudget budget;
  std::map<std::string, HedgePolicy> hedging;  // by model
  RateLimiter limiter;
  std::unique_ptr<SharedGate> gate;  // before the limiter; null: this process is alone
  Breaker breaker;
  Concurrency concurrency;
  std::int64_t refusals = 0;  // 429s

 private:
  struct Loss {
    std::uint64_t connection = 0;
    TimePoint at;
  };
  std::array<Loss, 8> losses_ = {};
  std::size_t next_loss_ = 0;
};

// A model at a provider.
struct Route {
  Provider* provider = nullptr;
  std::string model;
};

// Leave to send one attempt. Given back with Dispatcher::End().
struct Permit {
  const Route* route = nullptr;
  RateLimiter::Ticket ticket;
  SharedGate::Ticket shared;
  std::int64_t tokens = 0;
  RateReadings readings;  // of the reply's head
  TimePoint sent;
  bool probe = false;
};

// How an attempt went, as far as it bears on others.
struct AttemptEnd {
  const Error* error = nullptr;           // nullptr: well
  bool cancelled = false;                 // by us: tells nothing
  LimitKind limit = LimitKind::kUnknown;  // of a 429
  std::optional<Duration> retry_after;
  std::optional<std::int64_t> used_tokens;
  std::uint64_t connection = 0;  // that broke; 0: none, or unknown
};

class Dispatcher {
 public:
  // One call. Its routes stay as they are while it is known here.
  class Asker {
   public:
    virtual ~Asker() = default;
    // Sends from within. `permit` is the asker's until End().
    virtual void OnTurn(Permit permit) = 0;
    virtual void OnNoTurn(Error error) = 0;
    // Until when a turn is of use. Asked at each decision, as it may become later.
    virtual TimePoint Due() const = 0;

    // Set once, before the first Ask().
    std::vector<Route> routes;  // in order of preference
    std::int64_t tokens = 0;    // that an attempt may cost

    // Which of `routes` this call does not take any more, and those it has yet to come back to.
    std::vector<bool> closed;
    std::vector<bool> tried;

   private:
    friend class Dispatcher;
    std::uint64_t place_ = 0;  // in the order of the calls
    std::size_t route_ = 0;    // waits there
    bool waiting_ = false;
    TimePoint since_;
  };

  Dispatcher(const LlmOptions& options, Executor* executor,
             std::vector<std::unique_ptr<Provider>> providers);
  // Keeps the limits of `provider`, one of ours, with other processes; `scope` tells endpoint and
  // key. Before the first Ask(). `limits` outlives the dispatcher.
  void Share(Provider* provider, std::string scope, SharedLimits* limits);

  const std::vector<std::unique_ptr<Provider>>& providers() const { return providers_; }
  // For `model` and then the fallback models, at each provider that serves them.
  std::vector<Route> RoutesFor(const std::string& model) const;

  // Answers later or from within.
  void Ask(Asker* asker);
  // Is there a route that this call has not tried since it last waited, and that it would get?
  bool HasAnotherRoute(const Asker& asker) const;
  // A turn out of order, for a second attempt of a call that has one: only where nobody waits and
  // nothing is in trouble.
  std::optional<Permit> TakeSpare(const Route& route, std::int64_t tokens);
  // The asker waits no longer; no-op if it does not.
  void Withdraw(Asker* asker);

  void OnHead(Permit* permit, const RateReadings& readings);
  // Others may get their turn from within.
  void End(Permit* permit, const AttemptEnd& end);

  // {"in_flight": .., "waiting": .., ..., "endpoints": [..]}. Thread-safe.
  std::string MetricsJson() const;

 private:
  // Those who wait for one model of one provider, in the order of the calls.
  using Queue = std::map<std::uint64_t, Asker*>;
  using QueueKey = std::pair<Provider*, std::string>;

  // For people; numbers alone, so that taking it costs next to nothing.
  struct Snapshot {
    struct One {
      std::int64_t in_flight = 0;
      std::int64_t max_in_flight = 0;
      std::int64_t refusals = 0;
      std::int64_t breaker_opened = 0;
      std::optional<Code> breaker;  // absent: closed
      RateLimiter::View limits;
      std::optional<std::int64_t> processes;  // that share them; absent: they are not shared
      bool shares_away = false;
    };
    std::int64_t in_flight = 0;
    std::int64_t waiting = 0;
    std::int64_t turns = 0;
    Duration waited = {};
    std::vector<One> providers;
  };

  // The first route that the call may take; nothing if there is none, and *why of the first.
  std::optional<std::size_t> Choose(const Asker& asker, std::optional<Error>* why) const;
  std::optional<Error> Objection(const Asker& asker, const Route& route) const;
  void Enqueue(Asker* asker, std::size_t route);
  // To another route than the one it waits for, or it fails with `error`.
  void Reroute(Asker* asker, Error error);
  void LeaveBlocked(Provider* provider);
  void Pump();
  void GiveTurns();
  TimePoint ReadyAt(const QueueKey& key, const Queue& queue, TimePoint now, TimePoint* wake);
  void GiveTurn(Asker* asker, TimePoint now);
  Permit MakePermit(const Route& route, std::int64_t tokens, TimePoint now);
  void WakeAt(TimePoint when);
  void Publish();

  const std::int64_t most_in_flight_;
  const std::vector<std::string> fallback_models_;
  Executor* const executor_;
  const std::vector<std::unique_ptr<Provider>> providers_;

  std::map<QueueKey, Queue> queues_;  // none empty
  std::int64_t in_flight_ = 0;
  std::uint64_t next_place_ = 1;
  TimerId timer_ = 0;
  TimePoint timer_due_;
  bool pumping_ = false;
  bool pump_again_ = false;
  std::int64_t waiting_ = 0;
  std::int64_t turns_ = 0;
  Duration waited_ = {};

  mutable Mutex mutex_;
  Snapshot snapshot_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_DISPATCHER_H_
