// Routing, keys, limits, queueing and the books, without sockets.
#include <doctest/doctest.h>
#include <simdjson.h>

#include <memory>
#include <string>
#include <vector>

#include "service.h"

using namespace emulator;

namespace {

constexpr const char* kBody = R"json({"model":"gpt-4o-mini","max_tokens":50,)json"
                              R"json("messages":[{"role":"user","content":"台積電(2330)"}]})json";

HttpRequest Request(std::string method, std::string path, std::string body = "") {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.body = std::move(body);
  request.authorization = "Bearer key";
  return request;
}

class Driver {
 public:
  explicit Driver(Settings settings = {}) : service(std::move(settings)) {}

  std::shared_ptr<Exchange> Send(const HttpRequest& request) {
    return service.Accept(request, 1, now, [this] { ++started; });
  }

  std::shared_ptr<Exchange> Chat(const std::string& fault = "") {
    HttpRequest request = Request("POST", "/v1/chat/completions", kBody);
    if (!fault.empty()) request.fault = fault;
    return Send(request);
  }

  std::int64_t Total(const char* key) {
    std::string json = service.ledger().ToJson(now);
    simdjson::dom::parser parser;
    return parser.parse(json)[key];
  }

  std::string Ledger() { return service.ledger().ToJson(now); }

  Service service;
  TimePoint now = Clock::now();
  int started = 0;
};

int Status(const Exchange& exchange) { return std::stoi(exchange.script.bytes.substr(9, 3)); }

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("routes") {
  Driver driver;
  CHECK(Status(*driver.Chat()) == 200);
  CHECK(Status(*driver.Send(Request("POST", "/openai/deployments/x/chat/completions", kBody))) ==
        200);
  CHECK(Status(*driver.Send(Request("GET", "/v1/chat/completions"))) == 405);
  CHECK(Status(*driver.Send(Request("GET", "/v1/models"))) == 200);
  HttpRequest without_key = Request("GET", "/v1/models");
  without_key.authorization.reset();
  CHECK(Status(*driver.Send(without_key)) == 401);
  CHECK(Status(*driver.Send(Request("GET", "/health"))) == 200);
  CHECK(Status(*driver.Send(Request("GET", "/ledger"))) == 200);
  CHECK(Status(*driver.Send(Request("POST", "/ledger/reset"))) == 200);
  CHECK(Status(*driver.Send(Request("DELETE", "/ledger"))) == 200);
  CHECK(Status(*driver.Send(Request("PUT", "/ledger"))) == 405);
  CHECK(Status(*driver.Send(Request("GET", "/config"))) == 200);
  CHECK(Status(*driver.Send(Request("POST", "/config", R"({"ttft_ms":1})"))) == 200);
  CHECK(driver.service.settings().ttft_ms == 1);
  CHECK(Status(*driver.Send(Request("POST", "/config", R"({"nope":1})"))) == 400);
  CHECK(Status(*driver.Send(Request("GET", "/else"))) == 404);
}

TEST_CASE("keys") {
  Settings settings;
  settings.api_key = "right-key-0123456789";
  Driver driver(settings);
  HttpRequest request = Request("POST", "/v1/chat/completions", kBody);
  request.authorization = "Bearer wrong-key-0123456789";
  auto refused = driver.Send(request);
  CHECK(Status(*refused) == 401);
  CHECK(Contains(refused->script.bytes, "invalid_api_key"));
  CHECK_FALSE(Contains(refused->script.bytes, "wrong-key-0123456789"));
  request.authorization.reset();
  CHECK(Status(*driver.Send(request)) == 401);
  request.authorization = "Basic x";
  CHECK(Status(*driver.Send(request)) == 401);
  request.authorization = "Bearer right-key-0123456789";
  CHECK(Status(*driver.Send(request)) == 200);
}

TEST_CASE("the books: whole, aborted, refused") {
  Driver driver;
  auto first = driver.Chat();
  auto second = driver.Chat();
  CHECK(driver.Total("in_flight") == 2);
  driver.now += first->pace.End();
  driver.service.Finish(*first, false, driver.now);
  CHECK(driver.Total("completed") == 1);
  std::int64_t all = driver.Total("completion_tokens");
  CHECK(all == first->pace.TotalTokens());

  auto refused = driver.Chat("status=503");
  CHECK(Status(*refused) == 503);
  driver.service.Finish(*refused, false, driver.now);
  CHECK(driver.Total("completed") == 1);
  CHECK(Contains(driver.Ledger(), R"("refused":{"fault:status=503":1})"));

  TimePoint begin = second->started;
  driver.service.Finish(*second, true, begin + second->pace.TokenDue(9));
  CHECK(driver.Total("aborted_by_client") == 1);
  CHECK(driver.Total("completion_tokens") == all + 10);
  CHECK(driver.Total("prompt_tokens") == 2 * first->prompt_tokens);
  CHECK(driver.Total("in_flight") == 0);
  CHECK(driver.Total("max_in_flight") == 2);

  driver.service.ledger().Reset(driver.now);
  CHECK(driver.Total("requests_total") == 0);
  CHECK(Contains(driver.Chat()->script.bytes, "x-emulator-index: 0\r\n"));
}

TEST_CASE("generation goes on for a while after the client has left, if so set") {
  Settings settings;
  settings.abort_lag_ms = 100;
  settings.tokens_per_s = 100;
  Driver driver(settings);
  auto call = driver.Chat();
  driver.service.Finish(*call, true, call->started + call->pace.TokenDue(4));
  CHECK(driver.Total("completion_tokens") == 15);
}

TEST_CASE("broken off calls are not complete and count what was generated") {
  Driver driver;
  HttpRequest request = Request("POST", "/v1/chat/completions", kBody);
  request.body.insert(1, R"("stream":true,)");
  request.fault = "cut=7";
  auto call = driver.Send(request);
  driver.service.Finish(*call, false, driver.now + call->pace.End());
  CHECK(driver.Total("completed") == 0);
  CHECK(driver.Total("completion_tokens") == 7);
}

TEST_CASE("concurrency: refuse or queue in order") {
  Settings settings;
  settings.concurrency = 1;
  settings.over_concurrency = OverConcurrency::k503;
  Driver refusing(settings);
  auto held = refusing.Chat();
  CHECK(Status(*refusing.Chat()) == 503);

  settings.over_concurrency = OverConcurrency::kQueue;
  Driver queueing(settings);
  auto first = queueing.Chat();
  auto second = queueing.Chat();
  auto left = queueing.Chat();
  auto third = queueing.Chat();
  CHECK(second->waiting);
  CHECK(queueing.Total("queued") == 3);
  queueing.service.Finish(*left, true, queueing.now);
  CHECK(queueing.Total("queued") == 2);
  queueing.service.Finish(*first, false, queueing.now);
  CHECK(queueing.started == 1);
  CHECK_FALSE(second->waiting);
  CHECK(third->waiting);
  queueing.service.Finish(*second, false, queueing.now);
  CHECK(queueing.started == 2);
  CHECK_FALSE(third->waiting);
  queueing.service.Finish(*third, false, queueing.now);
  CHECK(queueing.Total("in_flight") == 0);
}

TEST_CASE("limits refuse with headers; settling gives tokens back") {
  Settings settings;
  settings.rpm = 2;
  Driver driver(settings);
  driver.Chat();
  CHECK(Contains(driver.Chat()->script.bytes, "x-ratelimit-remaining-requests: 0\r\n"));
  auto refused = driver.Chat();
  CHECK(Status(*refused) == 429);
  CHECK(Contains(refused->script.bytes, "retry-after-ms: 30000\r\n"));
  CHECK(Contains(driver.Ledger(), R"("rate_limit_requests":1)"));

  Settings tokens;
  tokens.tpm = 140;
  tokens.settle = true;
  Driver settling(tokens);
  auto call = settling.Chat();  // reserves its prompt and 50
  CHECK(Status(*settling.Chat()) == 200);
  CHECK(Status(*settling.Chat()) == 429);
  settling.service.Finish(*call, true, call->started);  // nothing was generated
  CHECK(Status(*settling.Chat()) == 200);
}

TEST_CASE("prompts and answers are kept only when asked for") {
  Driver driver;
  driver.Chat();
  CHECK_FALSE(Contains(driver.Ledger(), "台積電"));
  Settings settings;
  settings.record_prompts = true;
  Driver recording(settings);
  recording.Chat();
  CHECK(Contains(recording.Ledger(),
                 R"json("messages":[{"role":"user","content":"台積電(2330)"}])json"));
  CHECK(Contains(recording.Ledger(), R"("answers":[")"));
}

TEST_CASE("a wrong fault header is a bad request") {
  Driver driver;
  CHECK(Status(*driver.Chat("nonsense")) == 400);
}
