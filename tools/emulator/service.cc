#include "service.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "json_writer.h"
#include "numbers.h"
#include "random.h"
#include "reply_builder.h"

namespace emulator {
namespace {

// What a call without a token limit is taken to need at most.
constexpr std::int64_t kAssumedMaxTokens = 1000;

constexpr std::string_view kModels[] = {"gpt-4o-mini",  "gpt-4o",        "gpt-4-turbo", "gpt-4.1",
                                        "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-mini",  "o3-mini"};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string ModelsBody(const Settings& settings) {
  std::set<std::string> names(std::begin(kModels), std::end(kModels));
  for (const auto& [name, speed] : settings.model_speeds) names.insert(name);
  JsonWriter json;
  json.BeginObject().Key("object").String("list").Key("data").BeginArray();
  for (const std::string& name : names) {
    if (settings.unknown_models.count(name) > 0) continue;
    json.BeginObject().Key("id").String(name).Key("object").String("model");
    json.Key("created").Int(1'700'000'000).Key("owned_by").String("postgen-emulator").EndObject();
  }
  json.EndArray().EndObject();
  return json.Take();
}

std::optional<ApiError> CheckKey(const HttpRequest& request, const std::string& key) {
  constexpr std::string_view kBearer = "Bearer ";
  if (!request.authorization) return MissingKeyError();
  std::string_view given = *request.authorization;
  if (given.substr(0, kBearer.size()) != kBearer || given.size() == kBearer.size()) {
    return MissingKeyError();
  }
  given.remove_prefix(kBearer.size());
  if (!key.empty() && given != key) return WrongKeyError(given);
  return std::nullopt;
}

// Faults that break a call off, or go on after its end. A stream is then generated as far as it was
// sent; the text of a whole reply was complete before the fault. True if `fault` is one of them.
bool AdjustPace(const Fault& fault, bool stream, std::int64_t tokens_per_chunk,
                GenerationPace* pace) {
  constexpr std::int64_t kEndless = 1LL << 40;
  std::int64_t limit = 0;
  switch (fault.kind) {
    case FaultKind::kErrorMid:
      if (!stream) return false;
      limit = TokensInDeltas(fault.number, tokens_per_chunk);
      break;
    case FaultKind::kResetAfter:
    case FaultKind::kStallAfter:
    case FaultKind::kCut:
    case FaultKind::kChunkedCut:
    case FaultKind::kEofCut: limit = TokensInDeltas(fault.number, tokens_per_chunk); break;
    case FaultKind::kEndless: limit = kEndless; break;
    case FaultKind::kStallHeaders:
    case FaultKind::kComments: break;
    default: return false;
  }
  if (!stream) return true;
  for (std::int64_t& tokens : pace->choice_tokens) {
    tokens = limit == kEndless ? kEndless : std::min(tokens, limit);
  }
  return true;
}

std::string AnswersJson(const Completion& completion) {
  JsonWriter json;
  json.BeginArray();
  for (const Choice& choice : completion.choices) json.String(choice.text);
  json.EndArray();
  return json.Take();
}

}  // namespace

// One chat call on its way through AnswerChat.
struct Service::Call {
  const HttpRequest& http;
  std::uint64_t connection;
  std::uint64_t index;
  std::optional<Fault> fault;
  ChatRequest request;
};

Service::Service(Settings settings) : settings_(std::move(settings)), ledger_(Clock::now()) {
  fault_plan_.SetRules(settings_.faults);
  ConfigureLimits(Clock::now());
}

void Service::ConfigureLimits(TimePoint now) {
  limiter_.Configure({settings_.rpm, settings_.tpm, settings_.burst_s, settings_.drain_on_refusal},
                     now);
}

std::shared_ptr<Exchange> Service::Accept(const HttpRequest& request, std::uint64_t connection,
                                          TimePoint now, std::function<void()> start) {
  auto exchange = std::make_shared<Exchange>();
  exchange->started = now;
  auto reply = [&](int status, std::string body) {
    exchange->script = JsonReply(status, std::move(body), request.keep_alive);
  };
  auto refuse = [&](const ApiError& error) {
    exchange->script = ErrorReply(error, request.keep_alive);
  };
  const std::string& path = request.path;
  bool get = request.method == "GET";
  bool post = request.method == "POST";

  if (EndsWith(path, "/chat/completions")) {
    if (!post) {
      refuse(MethodError(request.method));
    } else {
      AnswerChat(request, connection, now, *exchange);
      if (exchange->waiting) waiting_.push_back({exchange, std::move(start)});
    }
  } else if (EndsWith(path, "/models")) {
    if (!get) {
      refuse(MethodError(request.method));
    } else if (auto error = CheckKey(request, settings_.api_key)) {
      refuse(*error);
    } else {
      reply(200, ModelsBody(settings_));
    }
  } else if (path == "/health") {
    get ? reply(200, R"({"status":"ok"})") : refuse(MethodError(request.method));
  } else if (path == "/ledger" && get) {
    reply(200, ledger_.ToJson(now));
  } else if ((path == "/ledger" && request.method == "DELETE") ||
             (path == "/ledger/reset" && post)) {
    ledger_.Reset(now);
    reply(200, "{}");
  } else if (path == "/config" && (get || post)) {
    AnswerConfig(request, now, *exchange);
  } else if (path == "/ledger" || path == "/ledger/reset" || path == "/config") {
    refuse(MethodError(request.method));
  } else {
    refuse(NotFoundError(request.method, path));
  }
  return exchange;
}

void Service::AnswerConfig(const HttpRequest& request, TimePoint now, Exchange& exchange) {
  if (request.method == "POST") {
    Settings changed = settings_;
    std::string error;
    if (!ApplyJsonSettings(request.body, &changed, &error)) {
      exchange.script = ErrorReply(InvalidRequestError(error, std::nullopt, "invalid_setting"),
                                   request.keep_alive);
      return;
    }
    settings_ = std::move(changed);
    fault_plan_.SetRules(settings_.faults);
    ConfigureLimits(now);
  }
  JsonWriter json;
  WriteSettings(settings_, json);
  exchange.script = JsonReply(200, json.Take(), request.keep_alive);
}

void Service::AnswerChat(const HttpRequest& http, std::uint64_t connection, TimePoint now,
                         Exchange& exchange) {
  exchange.is_chat = true;
  auto parsed = ParseChatRequest(http.body);
  Call call{http, connection, ledger_.NextIndex(), std::nullopt, {}};
  if (auto* request = std::get_if<ChatRequest>(&parsed)) call.request = std::move(*request);
  const ChatRequest& request = call.request;

  call.fault = fault_plan_.Draw(static_cast<std::uint64_t>(settings_.seed), call.index);
  std::string fault_error;
  if (http.fault) call.fault = ParseFault(*http.fault, &fault_error);

  CallRecord record;
  record.index = call.index;
  record.model = request.model;
  record.stream = request.stream;
  record.max_tokens = request.max_tokens;
  record.max_completion_tokens = request.max_completion_tokens;
  record.temperature = request.temperature;
  record.connection = connection;
  if (call.fault) record.fault = FaultName(*call.fault);
  if (settings_.record_prompts) record.messages_json = MessagesJson(request);
  exchange.record = ledger_.Begin(std::move(record), now);

  if (auto error = CheckKey(http, settings_.api_key)) {
    return Refuse(call, *error, "unauthorized", now, exchange);
  }
  std::int64_t reserved = 0;
  if (std::holds_alternative<ChatRequest>(parsed)) {
    reserved =
        CountPromptTokens(request) + request.TokenLimit().value_or(kAssumedMaxTokens) * request.n;
  }
  if (auto error = limiter_.Admit(request.model, reserved, now)) {
    return Refuse(call, *error, "rate_limit_" + error->type, now, exchange);
  }
  exchange.reserved_tokens = reserved;
  if (auto* error = std::get_if<ApiError>(&parsed)) {
    return Refuse(call, *error, "invalid_request", now, exchange);
  }
  if (!fault_error.empty()) {
    return Refuse(
        call,
        InvalidRequestError("x-emulator-fault: " + fault_error, std::nullopt, "invalid_fault"),
        "invalid_request", now, exchange);
  }
  if (auto error = CheckSupported(request, settings_)) {
    return Refuse(call, *error, error->code.value_or("invalid_request"), now, exchange);
  }
  bool full = AtCapacity();
  if (full && settings_.over_concurrency != OverConcurrency::kQueue) {
    int status = settings_.over_concurrency == OverConcurrency::k429 ? 429 : 503;
    return Refuse(call, OverCapacityError(status), "concurrency", now, exchange);
  }
  Serve(call, now, exchange);
  if (full) {
    exchange.waiting = true;
    ledger_.Queued(+1);
  } else {
    exchange.holds_slot = true;
    ++slots_in_use_;
  }
}

void Service::Serve(Call& call, TimePoint now, Exchange& exchange) {
  const ChatRequest& request = call.request;
  bool keep_alive = call.http.keep_alive;
  Duration error_due = FromMs(settings_.error_ms / settings_.time_scale);
  if (call.fault) {
    auto instead = InsteadReply(*call.fault, keep_alive, request.stream,
                                Headers(call, error_due, now), error_due);
    if (instead) {
      exchange.script = std::move(instead->script);
      ledger_.Refuse(exchange.record, instead->status, "fault:" + FaultName(*call.fault));
      return;
    }
  }
  Completion completion = Complete(request, settings_, call.index, call.fault);
  exchange.pace = DrawPace(settings_, request.model, call.index, completion.reasoning_tokens,
                           completion.ChoiceTokens());
  exchange.billed = true;
  exchange.prompt_tokens = completion.prompt_tokens;
  ledger_.Bill(exchange.record, completion.prompt_tokens);
  if (CallRecord* record = ledger_.Find(exchange.record)) {
    record->finish_reason = completion.choices.front().finish_reason;
    if (settings_.record_prompts) record->answers_json = AnswersJson(completion);
  }

  ReplyOptions options;
  options.headers = Headers(call, request.stream ? exchange.pace.first : exchange.pace.End(), now);
  options.keep_alive = keep_alive;
  options.http10 = call.http.http10;
  options.include_usage = request.include_usage;
  options.usage_style = settings_.usage_style;
  options.tokens_per_chunk = settings_.tokens_per_chunk;
  options.fault = call.fault;
  exchange.script = request.stream ? StreamReply(completion, exchange.pace, options)
                                   : WholeReply(completion, exchange.pace, options);
  exchange.completes = !call.fault || !AdjustPace(*call.fault, request.stream,
                                                  settings_.tokens_per_chunk, &exchange.pace);
}

void Service::Refuse(const Call& call, const ApiError& error, const std::string& reason,
                     TimePoint now, Exchange& exchange) {
  Duration due = FromMs(settings_.error_ms / settings_.time_scale);
  exchange.script = ErrorReply(error, call.http.keep_alive, Headers(call, due, now), due);
  ledger_.Refuse(exchange.record, error.status, reason);
}

HeaderList Service::Headers(const Call& call, Duration processing, TimePoint now) {
  auto seed = static_cast<std::uint64_t>(settings_.seed);
  HeaderList headers = {
      {"x-request-id", "req_" + ToText(Mix(seed, call.index))},
      {"openai-processing-ms", ToText(static_cast<std::int64_t>(ToMs(processing)))},
      {"openai-version", "2020-10-01"},
      {"x-emulator-index", ToText(call.index)},
  };
  if (settings_.no_limit_headers) return headers;
  for (auto& header : limiter_.Headers(now)) headers.push_back(std::move(header));
  return headers;
}

bool Service::AtCapacity() const {
  return settings_.concurrency > 0 && slots_in_use_ >= settings_.concurrency;
}

void Service::Finish(Exchange& exchange, bool aborted, TimePoint now) {
  if (!exchange.is_chat) return;
  std::int64_t generated = exchange.billed ? exchange.pace.TotalTokens() : 0;
  if (aborted && exchange.waiting) {
    generated = 0;
  } else if (aborted && exchange.billed) {
    Duration lag = FromMs(settings_.abort_lag_ms / settings_.time_scale);
    generated = exchange.pace.TokensBy(now - exchange.started + lag);
  }
  ledger_.End(exchange.record, generated,
              aborted              ? Ledger::Outcome::kAborted
              : exchange.completes ? Ledger::Outcome::kCompleted
                                   : Ledger::Outcome::kFailed,
              now);
  if (settings_.settle || !exchange.billed) {
    std::int64_t used = exchange.billed ? exchange.prompt_tokens + generated : 0;
    limiter_.GiveBackTokens(std::max<std::int64_t>(0, exchange.reserved_tokens - used), now);
  }
  if (std::exchange(exchange.waiting, false)) ledger_.Queued(-1);
  if (!std::exchange(exchange.holds_slot, false)) return;
  --slots_in_use_;
  StartWaiting(now);
}

void Service::StartWaiting(TimePoint now) {
  // A reply without delay ends, and gets here again, within `start`: the loop below serves that.
  if (std::exchange(starting_waiting_, true)) return;
  while (!waiting_.empty() && !AtCapacity()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    std::shared_ptr<Exchange> exchange = next.exchange.lock();
    if (!exchange || !exchange->waiting) continue;  // its client has left
    exchange->waiting = false;
    exchange->holds_slot = true;
    exchange->started = now;
    ledger_.Queued(-1);
    ++slots_in_use_;
    next.start();
  }
  starting_waiting_ = false;
}

}  // namespace emulator
