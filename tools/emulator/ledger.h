// The emulator's books: what was asked, generated and refused. Prompt tokens are counted when a
// call is accepted, completion tokens as generated, also when the client has left by then.
#ifndef POSTGEN_EMULATOR_LEDGER_H_
#define POSTGEN_EMULATOR_LEDGER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "chat_request.h"
#include "clock.h"

namespace emulator {

// What is known of a call when it arrives.
struct CallRecord {
  std::uint64_t index = 0;
  std::string model;
  bool stream = false;
  std::optional<std::int64_t> max_tokens;
  std::optional<std::int64_t> max_completion_tokens;
  std::optional<double> temperature;
  std::uint64_t connection = 0;
  std::string fault;
  std::string messages_json;  // only with --record-prompts
  std::string answers_json;

  // Filled in by the ledger.
  int status = 0;
  TimePoint started{};
  std::optional<TimePoint> ended;
  std::int64_t in_flight_at_start = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::string finish_reason;
  bool aborted = false;
};

class Ledger {
 public:
  explicit Ledger(TimePoint now) : epoch_(now) {}

  // The index of the next call: the source of its luck.
  std::uint64_t NextIndex() { return next_index_++; }

  // A call has arrived. Returns the number under which the others know it.
  std::uint64_t Begin(CallRecord record, TimePoint now);

  // It will be served and its prompt is paid for.
  void Bill(std::uint64_t number, std::int64_t prompt_tokens);

  // It is refused with an error status. `reason` groups refusals in the totals.
  void Refuse(std::uint64_t number, int status, const std::string& reason);

  enum class Outcome {
    kCompleted,
    kAborted,  // by the client
    kFailed,   // refused, or broken off by us
  };

  // It is over: `completion_tokens` were generated.
  void End(std::uint64_t number, std::int64_t completion_tokens, Outcome outcome, TimePoint now);

  // The record of a call in flight or among the last ones; null once it has been dropped.
  CallRecord* Find(std::uint64_t number);

  void ConnectionOpened();
  void ConnectionClosed() { --connections_open_; }
  void TlsEstablished() { ++tls_connections_; }
  void Queued(std::int64_t change) { queued_ += change; }

  // Forgets all but what is open now, and starts the indices anew.
  void Reset(TimePoint now);

  std::string ToJson(TimePoint now) const;

 private:
  struct ModelTotals {
    std::int64_t requests = 0;
    std::int64_t completed = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
  };
  struct Totals {
    std::int64_t requests = 0;
    std::int64_t streams = 0;
    std::int64_t completed = 0;
    std::int64_t aborted = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::map<std::string, std::int64_t> refused;
    std::map<std::string, ModelTotals> by_model;
  };

  double SinceEpochMs(TimePoint time) const { return ToMs(time - epoch_); }

  TimePoint epoch_;
  std::uint64_t next_index_ = 0;
  std::uint64_t first_number_ = 0;  // of records_.front()
  std::deque<CallRecord> records_;
  Totals totals_;
  std::int64_t in_flight_ = 0;
  std::int64_t max_in_flight_ = 0;
  std::int64_t queued_ = 0;
  std::int64_t connections_accepted_ = 0;
  std::int64_t connections_open_ = 0;
  std::int64_t tls_connections_ = 0;
};

// The messages of a request as a JSON array.
std::string MessagesJson(const ChatRequest& request);

}  // namespace emulator

#endif  // POSTGEN_EMULATOR_LEDGER_H_
