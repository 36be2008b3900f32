#include "limits/redis_limits.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <utility>

#include "digest/sha256.h"
#include "limits/rate_script.h"
#include "runtime/random.h"

namespace postgen {
namespace {

// In the order of the script's keys: those that count tokens are the last.
constexpr std::array kOrder = {LimitSlot::kRequests, LimitSlot::kBurst, LimitSlot::kAllRequests,
                               LimitSlot::kTokens, LimitSlot::kAllTokens};
constexpr PerLimit<const char*> kNames = {"requests", "tokens", "burst", "requests", "tokens"};

constexpr std::size_t Index(LimitSlot slot) { return static_cast<std::size_t>(slot); }

// The limits that a script call is about: a learned one that is not known here may be known to
// others, one of the options that is not set holds for nobody.
std::vector<LimitSlot> Present(const PerLimit<SharedLimit>& limits) {
  std::vector<LimitSlot> present;
  for (const LimitSlot slot : kOrder) {
    const SharedLimit& limit = limits[Index(slot)];
    if (limit.learned || limit.per_second > 0) present.push_back(slot);
  }
  return present;
}

// The part in braces keeps the keys of one endpoint together in a cluster.
std::string KeyOf(const std::string& scope, const std::string& model, LimitSlot slot) {
  const bool all = slot == LimitSlot::kAllRequests || slot == LimitSlot::kAllTokens;
  const std::string whose = all ? "all" : HexDigest(Sha256(model)).substr(0, 16);
  return "postgen:limit:{" + scope + "}:" + whose + ":" + kNames[Index(slot)];
}

std::string Text(double number) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  return std::string(text.data(), end.ptr);
}

double Number(const RedisReply& reply) {
  double number = 0;
  std::from_chars(reply.text.data(), reply.text.data() + reply.text.size(), number);
  return number;
}

std::string Seconds(Duration duration) {
  return Text(std::chrono::duration<double>(duration).count());
}

std::vector<std::string> Command(const std::string& scope, const std::string& model,
                                 const std::vector<LimitSlot>& slots) {
  std::vector<std::string> command = {"EVAL", kRateScript, std::to_string(slots.size())};
  for (const LimitSlot slot : slots) command.push_back(KeyOf(scope, model, slot));
  return command;
}

class RedisLimits final : public SharedLimits {
 public:
  RedisLimits(RedisClient* redis, const ProcessRoll* roll, std::shared_ptr<Executor> executor)
      : redis_(redis), roll_(roll), executor_(std::move(executor)) {}

  void Ask(SharedAsk ask, AnswerCallback done) override {
    ask.asker = name_;
    std::vector<std::string> command = AskCommand(ask);
    redis_->Run(std::move(command), [executor = executor_, ask = std::move(ask),
                                     done = std::move(done)](const RedisReply& reply) {
      executor->Post([answer = ReadAnswer(ask, reply), done] { done(answer); });
    });
  }

  void Tell(SharedHead head, std::function<void()> done) override {
    redis_->Run(HeadCommand(head),
                [executor = executor_, done = std::move(done)](const RedisReply& /*reply*/) {
                  executor->Post([done] { done(); });
                });
  }

  std::int64_t processes() const override { return roll_->count(); }

 private:
  RedisClient* const redis_;
  const ProcessRoll* const roll_;
  const std::shared_ptr<Executor> executor_;
  const std::string name_ = NewUuid();
};

}  // namespace

std::vector<std::string> AskCommand(const SharedAsk& ask) {
  const std::vector<LimitSlot> slots = Present(ask.limits);
  std::vector<std::string> command = Command(ask.scope, ask.model, slots);
  std::size_t of_tokens = 0;
  for (const LimitSlot slot : slots) of_tokens += CountsTokens(slot) ? 1 : 0;
  command.insert(command.end(),
                 {"take", ask.returning ? "1" : "0", std::to_string(of_tokens), ask.asker});
  for (const LimitSlot slot : slots) {
    const SharedLimit& limit = ask.limits[Index(slot)];
    command.insert(command.end(), {limit.unheard   ? "2"
                                   : limit.learned ? "1"
                                                   : "0",
                                   Text(limit.per_second), Text(limit.capacity), Text(limit.level),
                                   Text(ask.debts[Index(slot)])});
  }
  for (const std::int64_t tokens : ask.calls) command.push_back(std::to_string(tokens));
  return command;
}

SharedAnswer ReadAnswer(const SharedAsk& ask, const RedisReply& reply) {
  const std::vector<LimitSlot> slots = Present(ask.limits);
  SharedAnswer answer;
  if (reply.elements.size() != slots.size() + 2) return answer;
  answer.away = false;
  answer.granted = static_cast<std::size_t>(reply.elements[0].integer);
  answer.wait = std::chrono::milliseconds(reply.elements[1].integer);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::vector<RedisReply>& told = reply.elements[i + 2].elements;
    if (told.size() != 10) return {};
    SharedLimit& limit = answer.limits[Index(slots[i])];
    limit.learned = ask.limits[Index(slots[i])].learned;
    limit.unheard = ask.limits[Index(slots[i])].unheard;
    limit.per_second = Number(told[5]);
    limit.capacity = Number(told[6]);
    limit.level = Number(told[7]);
    limit.total = Number(told[8]);
    limit.on_way = Number(told[9]);
  }
  return answer;
}

std::vector<std::string> HeadCommand(const SharedHead& head) {
  const std::vector<LimitSlot> slots = Present(head.limits);
  std::vector<std::string> command = Command(head.scope, head.model, slots);
  command.insert(command.end(), {"heard", Seconds(head.age), Seconds(head.hold)});
  for (const LimitSlot slot : slots) {
    const SharedLimit& limit = head.limits[Index(slot)];
    command.insert(command.end(),
                   {Text(limit.per_second), Text(limit.capacity),
                    Text(head.remaining[Index(slot)].value_or(-1)), Text(head.totals[Index(slot)]),
                    Text(head.on_way[Index(slot)]), head.refused[Index(slot)] ? "1" : "0"});
  }
  return command;
}

std::unique_ptr<SharedLimits> NewRedisLimits(RedisClient* redis, const ProcessRoll* roll,
                                             std::shared_ptr<Executor> executor) {
  return std::make_unique<RedisLimits>(redis, roll, std::move(executor));
}

}  // namespace postgen
