#include "ledger.h"

#include <algorithm>
#include <utility>

#include "json_writer.h"

namespace emulator {
namespace {

constexpr std::size_t kMaxRecords = 2000;

void WriteLimit(JsonWriter& json, std::string_view key, const std::optional<std::int64_t>& limit) {
  json.Key(key);
  limit ? json.Int(*limit) : json.Null();
}

void WriteNameOrNull(JsonWriter& json, std::string_view key, const std::string& name) {
  json.Key(key);
  name.empty() ? json.Null() : json.String(name);
}

}  // namespace

std::uint64_t Ledger::Begin(CallRecord record, TimePoint now) {
  record.started = now;
  record.in_flight_at_start = in_flight_++;
  max_in_flight_ = std::max(max_in_flight_, in_flight_);
  ++totals_.requests;
  if (record.stream) ++totals_.streams;
  ++totals_.by_model[record.model].requests;
  records_.push_back(std::move(record));
  if (records_.size() > kMaxRecords) {
    records_.pop_front();
    ++first_number_;
  }
  return first_number_ + records_.size() - 1;
}

CallRecord* Ledger::Find(std::uint64_t number) {
  if (number < first_number_ || number - first_number_ >= records_.size()) return nullptr;
  return &records_[number - first_number_];
}

void Ledger::Bill(std::uint64_t number, std::int64_t prompt_tokens) {
  totals_.prompt_tokens += prompt_tokens;
  CallRecord* record = Find(number);
  if (record == nullptr) return;
  record->status = 200;
  record->prompt_tokens = prompt_tokens;
  totals_.by_model[record->model].prompt_tokens += prompt_tokens;
}

void Ledger::Refuse(std::uint64_t number, int status, const std::string& reason) {
  ++totals_.refused[reason];
  if (CallRecord* record = Find(number)) record->status = status;
}

void Ledger::End(std::uint64_t number, std::int64_t completion_tokens, Outcome outcome,
                 TimePoint now) {
  --in_flight_;
  totals_.completion_tokens += completion_tokens;
  if (outcome == Outcome::kAborted) ++totals_.aborted;
  if (outcome == Outcome::kCompleted) ++totals_.completed;
  CallRecord* record = Find(number);
  if (record == nullptr) return;
  record->ended = now;
  record->aborted = outcome == Outcome::kAborted;
  record->completion_tokens = completion_tokens;
  ModelTotals& model = totals_.by_model[record->model];
  model.completion_tokens += completion_tokens;
  if (outcome == Outcome::kCompleted) ++model.completed;
}

void Ledger::ConnectionOpened() {
  ++connections_accepted_;
  ++connections_open_;
}

void Ledger::Reset(TimePoint now) {
  epoch_ = now;
  next_index_ = 0;
  first_number_ += records_.size();
  records_.clear();
  totals_ = Totals();
  max_in_flight_ = in_flight_;
  connections_accepted_ = 0;
  tls_connections_ = 0;
}

std::string Ledger::ToJson(TimePoint now) const {
  JsonWriter json;
  json.BeginObject();
  json.Key("uptime_ms").Double(SinceEpochMs(now));
  json.Key("requests_total").Int(totals_.requests);
  json.Key("streams").Int(totals_.streams);
  json.Key("completed").Int(totals_.completed);
  json.Key("aborted_by_client").Int(totals_.aborted);
  json.Key("refused").BeginObject();
  for (const auto& [reason, count] : totals_.refused) json.Key(reason).Int(count);
  json.EndObject();
  json.Key("prompt_tokens").Int(totals_.prompt_tokens);
  json.Key("completion_tokens").Int(totals_.completion_tokens);
  json.Key("in_flight").Int(in_flight_);
  json.Key("max_in_flight").Int(max_in_flight_);
  json.Key("queued").Int(queued_);
  json.Key("connections_accepted").Int(connections_accepted_);
  json.Key("connections_open").Int(connections_open_);
  json.Key("tls_connections").Int(tls_connections_);
  json.Key("by_model").BeginObject();
  for (const auto& [model, totals] : totals_.by_model) {
    json.Key(model).BeginObject();
    json.Key("requests").Int(totals.requests);
    json.Key("completed").Int(totals.completed);
    json.Key("prompt_tokens").Int(totals.prompt_tokens);
    json.Key("completion_tokens").Int(totals.completion_tokens);
    json.EndObject();
  }
  json.EndObject();

  json.Key("requests").BeginArray();
  for (const CallRecord& record : records_) {
    json.BeginObject();
    json.Key("index").Int(static_cast<std::int64_t>(record.index));
    json.Key("model").String(record.model);
    json.Key("stream").Bool(record.stream);
    WriteLimit(json, "max_tokens", record.max_tokens);
    WriteLimit(json, "max_completion_tokens", record.max_completion_tokens);
    json.Key("temperature");
    record.temperature ? json.Double(*record.temperature) : json.Null();
    json.Key("status").Int(record.status);
    json.Key("started_ms").Double(SinceEpochMs(record.started));
    json.Key("ended_ms");
    record.ended ? json.Double(SinceEpochMs(*record.ended)) : json.Null();
    json.Key("connection").Int(static_cast<std::int64_t>(record.connection));
    json.Key("in_flight_at_start").Int(record.in_flight_at_start);
    json.Key("prompt_tokens").Int(record.prompt_tokens);
    json.Key("completion_tokens").Int(record.completion_tokens);
    WriteNameOrNull(json, "finish_reason", record.finish_reason);
    WriteNameOrNull(json, "fault", record.fault);
    json.Key("aborted").Bool(record.aborted);
    if (!record.messages_json.empty()) json.Key("messages").Raw(record.messages_json);
    if (!record.answers_json.empty()) json.Key("answers").Raw(record.answers_json);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return json.Take();
}

std::string MessagesJson(const ChatRequest& request) {
  JsonWriter json;
  json.BeginArray();
  for (const ChatMessage& message : request.messages) {
    json.BeginObject();
    json.Key("role").String(message.role);
    json.Key("content").String(message.text);
    json.EndObject();
  }
  json.EndArray();
  return json.Take();
}

}  // namespace emulator
