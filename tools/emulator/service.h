// What the server answers: routes requests, keeps limits, faults and the ledger, and turns each
// request into a reply script. Knows nothing of sockets. One thread.
#ifndef POSTGEN_EMULATOR_SERVICE_H_
#define POSTGEN_EMULATOR_SERVICE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "api_error.h"
#include "chat_request.h"
#include "clock.h"
#include "completion.h"
#include "faults.h"
#include "http_message.h"
#include "latency.h"
#include "ledger.h"
#include "rate_limiter.h"
#include "reply_script.h"
#include "settings.h"

namespace emulator {

// A request being answered, from Accept to Finish.
struct Exchange {
  ReplyScript script;
  bool is_chat = false;
  bool waiting = false;  // for a slot; the script starts when one is free

  // Of chat calls.
  std::uint64_t record = 0;  // the ledger's number for it
  bool holds_slot = false;   // counts against --concurrency
  GenerationPace pace;
  bool billed = false;
  bool completes = false;  // nothing breaks it off before its end
  std::int64_t prompt_tokens = 0;
  std::int64_t reserved_tokens = 0;
  TimePoint started{};
};

class Service {
 public:
  explicit Service(Settings settings);

  // Answers `request`. The reply starts at once, unless the exchange is `waiting`: then when
  // `start` is called, from within a later Finish.
  std::shared_ptr<Exchange> Accept(const HttpRequest& request, std::uint64_t connection,
                                   TimePoint now, std::function<void()> start);

  // The reply has been sent, or (`aborted`) the client has left before that. Once an exchange.
  void Finish(Exchange& exchange, bool aborted, TimePoint now);

  Ledger& ledger() { return ledger_; }
  const Settings& settings() const { return settings_; }

 private:
  struct Waiting {
    std::weak_ptr<Exchange> exchange;
    std::function<void()> start;
  };
  struct Call;

  void AnswerChat(const HttpRequest& http, std::uint64_t connection, TimePoint now,
                  Exchange& exchange);
  void AnswerConfig(const HttpRequest& request, TimePoint now, Exchange& exchange);
  void Serve(Call& call, TimePoint now, Exchange& exchange);
  void Refuse(const Call& call, const ApiError& error, const std::string& reason, TimePoint now,
              Exchange& exchange);
  HeaderList Headers(const Call& call, Duration processing, TimePoint now);
  void ConfigureLimits(TimePoint now);
  bool AtCapacity() const;
  void StartWaiting(TimePoint now);

  Settings settings_;
  FaultPlan fault_plan_;
  RateLimiter limiter_;
  Ledger ledger_;
  std::deque<Waiting> waiting_;
  std::int64_t slots_in_use_ = 0;
  bool starting_waiting_ = false;
};

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_SERVICE_H_
