// A client and a cache that answer when the test tells them to.
#ifndef POSTGEN_TESTS_SUPPORT_HELD_PARTS_H_
#define POSTGEN_TESTS_SUPPORT_HELD_PARTS_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postgen/llm_client.h"
#include "postgen/response_cache.h"

namespace postgen::testing {

inline LlmReply Reply(const std::string& content) {
  LlmReply reply;
  reply.text = "標題：題\n內容：" + content;
  reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
  reply.usage = {100, 50, 0};
  reply.usage_kind = UsageKind::kExact;
  reply.attempts = 1;
  return reply;
}

inline LlmReply FailedReply(Code code) {
  LlmReply reply;
  reply.error = Error(code, "scripted failure");
  reply.attempts = 1;
  return reply;
}

// Holds calls until the test answers them.
class HeldClient final : public LlmClient {
 public:
  struct Held {
    LlmRequest request;
    CancelToken cancel;
    LlmSink sink;
  };

  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    calls.push_back({std::move(request), std::move(cancel), std::move(sink)});
  }
  std::string provider() const override { return "held"; }
  void Prewarm(int connections) override { prewarmed += connections; }

  void Answer(std::size_t call, LlmReply reply) { calls.at(call).sink.on_done(std::move(reply)); }
  void AnswerAll() {
    for (std::size_t i = 0; i < calls.size(); ++i)
      Answer(i, Reply("第" + std::to_string(i) + "段。"));
  }

  std::deque<Held> calls;
  int prewarmed = 0;
};

// A cache that answers when told, or never.
class HeldCache final : public ResponseCache {
 public:
  void Get(const CacheKey& key, GetCallback done) override {
    if (hold) {
      held.push_back(std::move(done));
      return;
    }
    const auto found = values.find(key);
    done(found == values.end() ? nullptr : std::make_shared<const std::string>(found->second));
  }
  void Put(const CacheKey& key, std::string value, std::chrono::milliseconds) override {
    values[key] = std::move(value);
  }
  void Erase(const CacheKey& key) override { values.erase(key); }

  bool hold = false;
  std::vector<GetCallback> held;
  std::map<CacheKey, std::string> values;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_HELD_PARTS_H_
