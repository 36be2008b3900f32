// Calls of one client under thousands of seeded schedules: a server that is slow, refuses, cuts and
// falls silent, callers that cancel, hold back and run out of time, second attempts and restarts,
// all in virtual time. The same seed is the same run.
#include "llm/openai_client.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "postgen/flow.h"
#include "runtime/manual_executor.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Random = std::mt19937_64;

constexpr std::size_t kWarmUp = 45;  // calls without a fault, so that a late token is known as such
constexpr std::size_t kCalls = 120;
constexpr std::uint64_t kSchedules = 2000;

bool Chance(double share, Random* rng) {
  return std::uniform_real_distribution<double>()(*rng) < share;
}

// In steps of 10 ms, so that many things happen in one instant.
milliseconds UpTo(int most, Random* rng) {
  return milliseconds(10 * std::uniform_int_distribution<int>(0, most / 10)(*rng));
}

enum class Fault {
  kNone,
  kNoConnection,
  kReset,
  kStale,
  kRateLimited,
  kWait,
  kUnavailable,
  kParameter,
  kQuota,
  kSilence,
  kSilenceAfterText,
  kCut,
  kErrorEvent,
  kLength,
  kCount
};

// What one call has been through, as the world around the client sees it.
struct CallRecord {
  Flow flow;
  CancelSource cancel;
  TimePoint deadline;
  bool listens = false;
  bool restarts = false;
  std::string text;   // as handed out, and not taken back
  int sent = 0;       // requests
  int open = 0;       // requests now
  int with_text = 0;  // of those, how many have given a token
  int ends = 0;
  Usage told;  // what the server told of tokens while anyone listened
  LlmReply reply;
};

// What happened in all runs.
struct Tally {
  std::size_t sent = 0, hedges = 0, hedges_won = 0, retries = 0, resets = 0, cancelled = 0,
              late = 0, repaired = 0, free_retries = 0, held_back = 0, good = 0, failed = 0;
};

class World;

// One endpoint. Its part in a run is drawn from the run's seed and the number of the request.
class Server final : public HttpTransport {
 public:
  explicit Server(World* world) : world_(world) {}
  TransferId Post(std::string body, HttpHandler* handler) override;
  TransferId Get(bool /*with_headers*/, HttpHandler* /*handler*/) override { return 0; }
  void Cancel(TransferId id) override { Close(id); }
  void Finish(TransferId id) override { Close(id); }
  void SetPaused(TransferId id, bool paused) override;
  bool HoldsSecret(std::string_view /*text*/) const override { return false; }
  void Prewarm(int /*connections*/) override {}

 private:
  struct Step {
    Duration after;
    std::function<void()> act;
  };
  struct Transfer {
    HttpHandler* handler = nullptr;
    CallRecord* call = nullptr;
    std::deque<Step> steps;
    TimerId timer = 0;
    bool open = true;
    bool paused = false;
    bool second = false;  // beside another one of the same call
    bool has_token = false;
  };

  void Plan(TransferId id, bool stream, bool temperature);
  void ThenHead(TransferId id, Duration after, int status,
                std::vector<std::pair<std::string, std::string>> headers);
  void ThenBody(TransferId id, Duration after, std::string body);
  void ThenEnd(TransferId id, Duration after, std::optional<Code> error, bool reused = false);
  void ThenToken(TransferId id, Duration after, std::string text);
  void ThenUsage(TransferId id, Usage usage, std::string body);
  void Next(TransferId id);
  void Close(TransferId id);
  Transfer& At(TransferId id) { return transfers_.at(id - 1); }

  World* const world_;
  std::deque<Transfer> transfers_;
};

class World {
 public:
  World(std::uint64_t seed, Tally* all) : tally(all), seed_(seed), rng_(seed) {
    // Which faults there are in this run, and how many.
    for (int i = 1; i < static_cast<int>(Fault::kCount); ++i) {
      if (Chance(0.4, &rng_)) faults_.push_back(static_cast<Fault>(i));
    }
    fault_share_ = Chance(0.3, &rng_) ? 0.02 : 0.3;
    stragglers_ = Chance(0.5, &rng_) ? 0.03 : 0;
    options_.max_in_flight = std::uniform_int_distribution<int>(4, 40)(rng_);
    options_.max_attempts = std::uniform_int_distribution<int>(1, 4)(rng_);
    options_.stream = Chance(0.5, &rng_) ? StreamMode::kAlways : StreamMode::kAuto;
    options_.first_token_timeout_ms = 8000;
    options_.idle_timeout_ms = 3000;
    options_.attempt_timeout_ms = 15000;
    endpoints_ = Chance(0.3, &rng_) ? 2 : 1;
    OpenAiClientParts parts;
    for (std::size_t i = 0; i < endpoints_; ++i) {
      parts.endpoints.push_back({"api" + std::to_string(i), {}, std::make_unique<Server>(this)});
    }
    parts.executor = &executor;
    parts.seed = seed;
    parts.wall_clock = [] { return WallTime(); };
    client_ = NewOpenAiClientOver(options_, std::move(parts));
  }

  void Run() {
    for (std::size_t i = 0; i < kWarmUp; ++i) {
      Start(milliseconds(300));
      executor.Advance(milliseconds(300));
    }
    executor.Advance(seconds(30));
    faulty = true;
    for (std::size_t i = 0; i < kCalls; ++i) {
      Start(seconds(1) + UpTo(40000, &rng_));
      executor.Advance(UpTo(200, &rng_));
      if (Chance(0.1, &rng_)) calls_[rng_() % calls_.size()]->cancel.request_stop();
    }
    executor.Advance(seconds(60));
    CheckEnd();
  }

  void Expect(bool holds, const char* rule) {
    if (!holds && broken.empty()) broken = rule;
  }
  void Note(std::uint64_t what, std::uint64_t which, std::string_view text = {}) {
    const auto now = static_cast<std::uint64_t>(executor.Now().time_since_epoch().count());
    for (const std::uint64_t value : {now, what, which}) Mix(value);
    for (const char c : text) Mix(static_cast<unsigned char>(c));
  }

  // What the server draws for a request.
  Random Luck() { return Random(seed_ * 1000003 + sent); }
  Fault DrawFault(Random* rng) const {
    if (!faulty || faults_.empty() || !Chance(fault_share_, rng)) return Fault::kNone;
    return faults_[(*rng)() % faults_.size()];
  }
  Duration DrawFirstToken(Random* rng) const {
    double seconds = 0.3 * std::exp(std::normal_distribution<double>(0, 0.2)(*rng));
    if (faulty && Chance(stragglers_, rng)) seconds *= 20;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  CallRecord* Find(std::string_view body) {
    const std::size_t at = body.find("call ");
    return calls_.at(std::stoul(std::string(body.substr(at + 5, 8)))).get();
  }
  void OnSent(CallRecord* call) {
    ++sent;
    ++call->sent;
    ++open_;
    Expect(call->ends == 0, "no request after the end");
    Expect(executor.Now() < call->deadline, "no request after the deadline");
    Expect(call->text.empty(), "no request after text was handed out and not taken back");
    Expect(open_ <= options_.max_in_flight, "no more requests at once than llm.max_in_flight");
    Expect(call->open <= 1, "no third attempt at once");
    Expect(call->with_text == 0, "no second attempt beside one that has given a token");
    if (call->open == 1) {
      ++hedges;
    } else if (call->sent > 1) {
      ++tally->retries;
    }
    ++call->open;
    Expect(100 * hedges <= 3 * sent, "at most 3 % second attempts");
  }
  void OnClosed(CallRecord* call) {
    --call->open;
    --open_;
  }

  ManualExecutor executor;
  bool faulty = false;
  std::string broken;  // the first rule that was
  Tally* const tally;  // of all runs
  std::size_t sent = 0;
  std::size_t hedges = 0;
  std::uint64_t hash = 14695981039346656037U;

 private:
  void Mix(std::uint64_t value) { hash = (hash ^ value) * 1099511628211U; }

  void Start(Duration within_reason) {
    const std::size_t index = calls_.size();
    calls_.push_back(std::make_unique<CallRecord>());
    CallRecord* const call = calls_.back().get();
    call->listens = !faulty || Chance(0.7, &rng_);
    call->restarts = call->listens && Chance(0.4, &rng_);
    call->deadline = executor.Now() + (faulty ? within_reason : seconds(100));
    LlmRequest request;
    request.model = "m";
    std::string name = std::to_string(index);
    name.insert(0, 8 - name.size(), '0');
    request.messages = {{Role::kUser, "call " + name}};
    request.temperature = 1.0;
    request.stream = call->listens;
    request.deadline = call->deadline;
    request.flow = std::shared_ptr<Flow>(&call->flow, [](Flow*) {});
    LlmSink sink;
    if (call->listens) {
      sink.on_text = [this, call](std::string_view text) { OnText(call, text); };
    }
    if (call->restarts) {
      sink.on_reset = [this, call] {
        Expect(!call->text.empty(), "only text is taken back");
        call->text.clear();
        ++tally->resets;
      };
    }
    sink.on_done = [this, call](LlmReply reply) { OnDone(call, std::move(reply)); };
    client_->Complete(std::move(request), call->cancel.get_token(), std::move(sink));
    executor.RunReady();
  }

  void OnText(CallRecord* call, std::string_view text) {
    Note(1, 0, text);
    Expect(call->ends == 0, "no text after the end");
    Expect(call->open == 1, "no text while two attempts race");
    call->text += text;
    if (!faulty || !Chance(0.02, &rng_)) return;
    ++tally->held_back;
    call->flow.Pause();
    executor.RunAt(executor.Now() + UpTo(5000, &rng_), [call] { call->flow.Resume(); });
  }

  void OnDone(CallRecord* call, LlmReply reply) {
    const Code code = reply.error ? reply.error->code : Code::kOk;
    Note(2, static_cast<std::uint64_t>(code), reply.text);
    Expect(++call->ends == 1, "exactly one end");
    Expect(executor.Now() <= call->deadline, "the end comes by the deadline");
    Expect(call->open == 0, "no request is left at the end");
    Expect(reply.attempts == call->sent, "every request is an attempt");
    const std::int64_t one_way = options_.max_attempts + 1;  // one is free after a stale connection
    const auto ways = static_cast<std::int64_t>(endpoints_);
    // Each of them may be repaired once, and one have a second beside it.
    Expect(call->sent <= ways * (one_way + 1) + 1, "attempts are bounded");
    // A failed call keeps what its last attempt wrote, also where the listener was told to drop it.
    const bool taken_back = !reply.ok() && call->text.empty();
    Expect(!call->listens || taken_back || call->text == reply.text,
           "the text is the one handed out");
    Expect(IsOfOneAttempt(reply), "a text is of one attempt, and whole if it is good");
    const bool all_told = reply.usage_kind == UsageKind::kExact;
    Expect(!all_told || reply.usage == call->told, "exact usage is all that was told");
    Expect(reply.usage.prompt_tokens >= call->told.prompt_tokens &&
               reply.usage.completion_tokens >= call->told.completion_tokens,
           "what was told is on the bill");
    if (code == Code::kCancelled) ++tally->cancelled;
    if (code == Code::kDeadline) ++tally->late;
    ++(reply.ok() ? tally->good : tally->failed);
    call->reply = std::move(reply);
  }

  // Each attempt writes its own number, over and over, and "." at its end.
  static bool IsOfOneAttempt(const LlmReply& reply) {
    std::string_view text = reply.text;
    const bool whole = !text.empty() && text.back() == '.';
    const bool may_be_cut = reply.finish_reason.kind == FinishReason::Kind::kLength;
    if (reply.ok() && !whole && !may_be_cut) return false;
    if (whole) text.remove_suffix(1);
    const std::string_view word = text.substr(0, text.find(';') + 1);
    for (; !text.empty(); text.remove_prefix(word.size())) {
      if (word.empty() || text.substr(0, word.size()) != word) return false;
    }
    return true;
  }

  void CheckEnd() {
    for (const auto& call : calls_) Expect(call->ends == 1, "every call ends");
    Expect(open_ == 0, "no request is left");
    Expect(executor.pending_timers() == 0, "no timer is left");
    const std::string metrics = client_->MetricsJson();
    Expect(metrics.find(R"({"in_flight":0,"waiting":0,)") == 0, "every permit is given back");
    Note(3, sent, metrics);
  }

  const std::uint64_t seed_;
  Random rng_;
  LlmOptions options_;
  std::size_t endpoints_ = 1;
  std::vector<Fault> faults_;
  double fault_share_ = 0;
  double stragglers_ = 0;
  std::int64_t open_ = 0;
  std::vector<std::unique_ptr<CallRecord>> calls_;
  std::unique_ptr<LlmClient> client_;  // goes first
};

TransferId Server::Post(std::string body, HttpHandler* handler) {
  CallRecord* const call = world_->Find(body);
  const bool second = call->open == 1;
  world_->OnSent(call);
  Transfer transfer;
  transfer.handler = handler;
  transfer.call = call;
  transfer.second = second;
  transfers_.push_back(std::move(transfer));
  const TransferId id = transfers_.size();
  world_->Note(0, id, body);
  Plan(id, body.find("\"stream\":true") != std::string::npos,
       body.find("\"temperature\"") != std::string::npos);
  Next(id);
  return id;
}

void Server::Plan(TransferId id, bool stream, bool temperature) {
  Random rng = world_->Luck();
  const Fault fault = world_->DrawFault(&rng);
  std::deque<Step>& steps = At(id).steps;
  if (fault == Fault::kNoConnection) return ThenEnd(id, UpTo(100, &rng), Code::kConnect);
  steps.push_back({UpTo(30, &rng), [this, id] { At(id).handler->OnConnected(); }});
  switch (fault) {
    case Fault::kReset: return ThenEnd(id, UpTo(500, &rng), Code::kConnect);
    case Fault::kStale:
      ++world_->tally->free_retries;
      return ThenEnd(id, {}, Code::kConnect, /*reused=*/true);
    case Fault::kRateLimited:
      ThenHead(id, UpTo(50, &rng), 429, {});
      ThenBody(id, {}, R"({"error":{"code":"rate_limit_exceeded"}})");
      return ThenEnd(id, {}, std::nullopt);
    case Fault::kWait:
      ThenHead(id, UpTo(50, &rng), 429, {{"retry-after-ms", std::to_string(rng() % 4000)}});
      return ThenEnd(id, UpTo(50, &rng), std::nullopt);
    case Fault::kUnavailable:
      ThenHead(id, UpTo(50, &rng), 503, {});
      return ThenEnd(id, UpTo(50, &rng), std::nullopt);
    case Fault::kQuota:
      ThenHead(id, UpTo(50, &rng), 429, {});
      ThenBody(id, {}, R"({"error":{"type":"insufficient_quota"}})");
      return ThenEnd(id, {}, std::nullopt);
    case Fault::kParameter:
      if (!temperature) break;
      ++world_->tally->repaired;
      ThenHead(id, UpTo(50, &rng), 400, {});
      ThenBody(id, {}, R"({"error":{"code":"unsupported_value","param":"temperature"}})");
      return ThenEnd(id, {}, std::nullopt);
    default: break;
  }

  const std::string word = std::to_string(world_->sent) + ";";
  const int words = 1 + static_cast<int>(rng() % 8);
  const Usage usage = {10, words, 0};
  const std::string usage_json =
      R"("usage":{"prompt_tokens":10,"completion_tokens":)" + std::to_string(words) + "}";
  const Duration first_token = world_->DrawFirstToken(&rng);
  if (fault == Fault::kSilence) return;  // for ever
  if (!stream) {
    std::string text;
    for (int i = 0; i < words; ++i) text += word;
    ThenHead(id, first_token, 200, {{"content-type", "application/json"}});
    const bool cut = fault == Fault::kCut || fault == Fault::kSilenceAfterText;
    const std::string body = R"({"choices":[{"index":0,"message":{"content":")" + text +
                             R"(."},"finish_reason":"stop"}],)" + usage_json + "}";
    if (cut) {
      ThenBody(id, {}, body.substr(0, body.size() / 2));
      return ThenEnd(id, {}, Code::kTruncated);
    }
    ThenUsage(id, usage, body);
    return ThenEnd(id, {}, std::nullopt);
  }
  ThenHead(id, UpTo(40, &rng), 200, {{"content-type", "text/event-stream"}});
  const int whole = fault == Fault::kNone ? words : static_cast<int>(rng() % 4);
  for (int i = 0; i < whole; ++i) {
    ThenToken(id, i == 0 ? first_token : UpTo(100, &rng), word);
  }
  switch (fault) {
    case Fault::kSilenceAfterText: return;
    case Fault::kCut:  // the end of a body that ends with its connection is no error of HTTP's
      return ThenEnd(id, {}, rng() % 2 == 0 ? std::optional(Code::kTruncated) : std::nullopt);
    case Fault::kErrorEvent:
      return ThenBody(id, {},
                      "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}\n\n");
    case Fault::kLength:
      ThenUsage(id, usage,
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]," +
                    usage_json + "}\n\n");
      return ThenBody(id, {}, "data: [DONE]\n\n");
    default: break;
  }
  ThenToken(id, UpTo(100, &rng), ".");
  ThenBody(id, {},
           "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
  if (rng() % 8 != 0) ThenUsage(id, usage, "data: {\"choices\":[]," + usage_json + "}\n\n");
  ThenBody(id, UpTo(10, &rng), "data: [DONE]\n\n");
}

void Server::ThenHead(TransferId id, Duration after, int status,
                      std::vector<std::pair<std::string, std::string>> headers) {
  At(id).steps.push_back({after, [this, id, status, headers = std::move(headers)] {
                            HttpHead head{.status = status, .headers = {}};
                            for (const auto& [name, value] : headers) head.headers.Add(name, value);
                            At(id).handler->OnHead(head);
                          }});
}

void Server::ThenBody(TransferId id, Duration after, std::string body) {
  At(id).steps.push_back(
      {after, [this, id, body = std::move(body)] { At(id).handler->OnBody(body); }});
}

void Server::ThenEnd(TransferId id, Duration after, std::optional<Code> error, bool reused) {
  At(id).steps.push_back({after, [this, id, error, reused] {
                            HttpHandler* const handler = At(id).handler;
                            HttpEnd end;
                            end.reused_connection = reused;
                            if (error) end.error = Error(*error, "it broke");
                            Close(id);
                            handler->OnEnd(end);
                          }});
}

void Server::ThenToken(TransferId id, Duration after, std::string text) {
  At(id).steps.push_back({after, [this, id, text = std::move(text)] {
                            Transfer& transfer = At(id);
                            if (!std::exchange(transfer.has_token, true)) {
                              ++transfer.call->with_text;
                              if (transfer.second) ++world_->tally->hedges_won;
                            }
                            transfer.handler->OnBody(
                                R"(data: {"choices":[{"index":0,"delta":{"content":")" + text +
                                "\"}}]}\n\n");
                          }});
}

void Server::ThenUsage(TransferId id, Usage usage, std::string body) {
  At(id).steps.push_back({{}, [this, id, usage, body = std::move(body)] {
                            Usage& told = At(id).call->told;
                            told.prompt_tokens += usage.prompt_tokens;
                            told.completion_tokens += usage.completion_tokens;
                            At(id).handler->OnBody(body);
                          }});
}

void Server::Next(TransferId id) {
  Transfer& transfer = At(id);
  if (!transfer.open || transfer.paused || transfer.steps.empty()) return;
  transfer.timer =
      world_->executor.RunAt(world_->executor.Now() + transfer.steps.front().after, [this, id] {
        Transfer& due = At(id);
        due.timer = 0;
        const Step step = std::move(due.steps.front());
        due.steps.pop_front();
        step.act();
        Next(id);
      });
}

void Server::SetPaused(TransferId id, bool paused) {
  Transfer& transfer = At(id);
  if (!transfer.open || transfer.paused == paused) return;
  transfer.paused = paused;
  world_->executor.CancelTimer(std::exchange(transfer.timer, 0));
  Next(id);
}

void Server::Close(TransferId id) {
  Transfer& transfer = At(id);
  if (!std::exchange(transfer.open, false)) return;
  world_->executor.CancelTimer(std::exchange(transfer.timer, 0));
  if (transfer.has_token) --transfer.call->with_text;
  world_->OnClosed(transfer.call);
}

TEST_CASE("schedules: every call keeps the rules under every order of things") {
  Tally all;
  std::uint64_t hash = 0;
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    World world(seed, &all);
    world.Run();
    INFO("seed " << seed);
    REQUIRE(world.broken == "");
    hash = hash * 31 + world.hash;
    all.sent += world.sent;
    all.hedges += world.hedges;
  }
  MESSAGE("seeds 1.." << kSchedules << ", " << kWarmUp + kCalls << " calls each: " << all.good
                      << " good, " << all.failed << " failed, of them " << all.cancelled
                      << " cancelled and " << all.late << " at their deadline; " << all.sent
                      << " requests, " << all.hedges << " second ones (" << all.hedges_won
                      << " won), " << all.retries << " after a failure, " << all.resets
                      << " texts taken back, " << all.held_back << " times held back; trace "
                      << hash);
  // Nothing of what is promised went untried.
  for (const std::size_t count :
       {all.hedges, all.hedges_won, all.retries, all.resets, all.cancelled, all.late, all.repaired,
        all.free_retries, all.held_back, all.good, all.failed}) {
    CHECK(count > kSchedules / 100);
  }
}

TEST_CASE("schedules: the same seed is the same run") {
  Tally all;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    World first(seed, &all);
    World second(seed, &all);
    first.Run();
    second.Run();
    REQUIRE(first.hash == second.hash);
  }
  World one(1, &all);
  World two(2, &all);
  one.Run();
  two.Run();
  CHECK(one.hash != two.hash);
}

}  // namespace
}  // namespace postgen
