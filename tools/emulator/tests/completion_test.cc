// Requests, completions and their encoding.
#include <doctest/doctest.h>
#include <simdjson.h>

#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "chat_request.h"
#include "completion.h"
#include "reply_builder.h"

using namespace emulator;

namespace {

constexpr const char* kPrompt =
    R"json("messages":[{"role":"user","content":"為台積電(2330)寫 150 字以內\n標題：\n內容："}])json";

std::string Body(const std::string& members) {
  return std::string("{") + kPrompt + (members.empty() ? "" : ",") + members + "}";
}

ChatRequest Parsed(const std::string& members) {
  auto parsed = ParseChatRequest(Body(R"("model":"gpt-4o-mini",)" + members + R"("_":0)"));
  auto* error = std::get_if<ApiError>(&parsed);
  REQUIRE_MESSAGE(error == nullptr, (error == nullptr ? "" : error->message));
  return std::get<ChatRequest>(parsed);
}

ApiError Refused(const std::string& body) {
  auto parsed = ParseChatRequest(body);
  REQUIRE(std::holds_alternative<ApiError>(parsed));
  CHECK(std::get<ApiError>(parsed).status == 400);
  return std::get<ApiError>(parsed);
}

Fault Parse(std::string_view text) {
  std::string error;
  auto fault = ParseFault(text, &error);
  REQUIRE_MESSAGE(fault, error);
  return *fault;
}

struct Built {
  Completion completion;
  GenerationPace pace;
  ReplyScript script;

  std::size_t HeadSize() const { return script.bytes.find("\r\n\r\n") + 4; }
};

Built Build(const ChatRequest& request, const std::optional<Fault>& fault = {},
            const Settings& settings = {}) {
  Built built;
  built.completion = Complete(request, settings, 0, fault);
  built.pace = DrawPace(settings, request.model, 0, built.completion.reasoning_tokens,
                        built.completion.ChoiceTokens());
  ReplyOptions options;
  options.include_usage = request.include_usage;
  options.usage_style = settings.usage_style;
  options.tokens_per_chunk = settings.tokens_per_chunk;
  options.fault = fault;
  built.script = request.stream ? StreamReply(built.completion, built.pace, options)
                                : WholeReply(built.completion, built.pace, options);
  return built;
}

// Undoes the chunked framing.
std::string StreamBody(const Built& built) {
  std::string_view rest = std::string_view(built.script.bytes).substr(built.HeadSize());
  std::string body;
  while (!rest.empty()) {
    std::size_t line = rest.find("\r\n");
    std::size_t size = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
    body += rest.substr(line + 2, size);
    rest.remove_prefix(std::min(rest.size(), line + 2 + size + 2));
  }
  return body;
}

std::vector<std::string> Events(const std::string& body) {
  std::vector<std::string> events;
  std::size_t begin = 0;
  for (std::size_t end = body.find("\n\n"); end != std::string::npos;
       end = body.find("\n\n", begin)) {
    std::string event = body.substr(begin, end - begin);
    if (event.rfind("data: ", 0) == 0) events.push_back(event.substr(6));
    begin = end + 2;
  }
  return events;
}

std::string Text(std::string_view json, std::initializer_list<const char*> path) {
  simdjson::dom::parser parser;
  simdjson::dom::element value = parser.parse(json.data(), json.size());
  for (const char* key : path) {
    value = key[0] >= '0' && key[0] <= '9'
                ? value.at(static_cast<std::size_t>(key[0] - '0')).value()
                : value[key].value();
  }
  return value.is_string() ? std::string(std::string_view(value)) : simdjson::minify(value);
}

}  // namespace

TEST_CASE("requests are checked as the API checks them") {
  CHECK(Refused("{").message.find("could not parse") != std::string::npos);
  CHECK(Refused("[]").message.find("JSON object") != std::string::npos);
  CHECK(Refused("{\"model\":\"\xff\"}").message.find("UTF-8") != std::string::npos);
  CHECK(Refused(Body("")).message == "you must provide a model parameter");
  CHECK(Refused(R"({"model":"m"})").param == "messages");
  CHECK(Refused(Body("\"model\":\"" + std::string(257, 'm') + "\"")).param == "model");
  CHECK(Refused(R"({"model":"m","messages":[]})").code == "empty_array");
  CHECK(Refused(R"({"model":"m","messages":[{"content":"x"}]})").param == "messages[0].role");
  CHECK(Refused(Body(R"("model":"m","stream":1)")).param == "stream");
  CHECK(Refused(Body(R"("model":"m","max_tokens":0)")).code == "invalid_value");
  CHECK(Refused(Body(R"("model":"m","max_tokens":"5")")).code == "invalid_type");
  CHECK(Refused(Body(R"("model":"m","temperature":2.5)")).param == "temperature");
  CHECK(Refused(Body(R"("model":"m","n":129)")).param == "n");
  CHECK(Refused(Body(R"("model":"m","stop":["1","2","3","4","5"])")).param == "stop");
  CHECK(Refused(Body(R"("model":"m","max_tokens":5,"max_completion_tokens":5)")).code ==
        "invalid_parameter_combination");
  CHECK(Refused(Body(R"("model":"m","stream_options":{"include_usage":true})")).param ==
        "stream_options");
}

TEST_CASE("content can come in parts, and be null") {
  auto parsed = ParseChatRequest(
      R"({"model":"m","messages":[{"role":"assistant","content":null},)"
      R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"text":"b"}]}]})");
  REQUIRE(std::holds_alternative<ChatRequest>(parsed));
  CHECK(std::get<ChatRequest>(parsed).messages[1].text == "a\nb");
}

TEST_CASE("reasoning families") {
  for (const char* model : {"o1", "o1-mini", "o3", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini",
                            "gpt-5.1", "openai/o3-mini"}) {
    CHECK_MESSAGE(IsReasoningModel(model), model);
  }
  for (const char* model : {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "o100", "gpt-50", ""}) {
    CHECK_MESSAGE(!IsReasoningModel(model), model);
  }
}

TEST_CASE("parameters that a model or the server does not know") {
  Settings settings;
  ChatRequest request = Parsed(R"("max_tokens":100,"temperature":0.7,)");
  CHECK_FALSE(CheckSupported(request, settings));
  request.model = "o3-mini";
  CHECK(CheckSupported(request, settings)->code == "unsupported_parameter");
  CHECK(CheckSupported(request, settings)->param == "max_tokens");
  request.max_tokens.reset();
  CHECK(CheckSupported(request, settings)->code == "unsupported_value");
  CHECK(CheckSupported(request, settings)->param == "temperature");
  request.temperature = 1;
  CHECK_FALSE(CheckSupported(request, settings));

  request = Parsed(R"("max_completion_tokens":100,)");
  settings.only_max_tokens = true;
  CHECK(CheckSupported(request, settings)->status == 400);
  settings.unknown_models = {"gpt-4o-mini"};
  CHECK(CheckSupported(request, settings)->code == "model_not_found");
}

TEST_CASE("the token limit cuts the text and says so") {
  Completion whole = Complete(Parsed(""), {}, 0, {});
  CHECK(whole.choices[0].finish_reason == "stop");
  Completion cut = Complete(Parsed(R"("max_tokens":20,)"), {}, 0, {});
  CHECK(cut.choices[0].finish_reason == "length");
  CHECK(cut.ChoiceTokens() == std::vector<std::int64_t>{20});
  CHECK(whole.choices[0].text.rfind(cut.choices[0].text, 0) == 0);
  std::string joined;
  for (const std::string& piece : cut.choices[0].pieces) joined += piece;
  CHECK(joined.size() >= cut.choices[0].text.size());  // line breaks are escaped
}

TEST_CASE("reasoning is taken out of the limit, up to all of it") {
  Settings settings;
  ChatRequest request = Parsed(R"("max_completion_tokens":100,)");
  request.model = "o3-mini";
  Completion completion = Complete(request, settings, 0, {});
  CHECK(completion.reasoning_tokens == 100);
  CHECK(completion.choices[0].text.empty());
  CHECK(completion.choices[0].finish_reason == "length");
  request.max_completion_tokens = 1000;
  completion = Complete(request, settings, 0, {});
  CHECK(completion.reasoning_tokens == 128);
  CHECK(completion.choices[0].finish_reason == "stop");
}

TEST_CASE("the same request and index give the same text, a seed of its own any index") {
  ChatRequest request = Parsed("");
  auto text = [&](std::uint64_t index) { return Complete(request, {}, index, {}).choices[0].text; };
  CHECK(text(4) == text(4));
  CHECK(text(4) != text(5));
  request.seed = 11;
  CHECK(text(4) == text(5));
}

TEST_CASE("stop sequences end the text before them") {
  ChatRequest request = Parsed(R"("stop":["\n內容"],)");
  std::string text = Complete(request, {}, 0, {}).choices[0].text;
  CHECK(text.find("內容") == std::string::npos);
  CHECK(text.find("標題") == 0);
}

TEST_CASE("a whole reply parses and its usage adds up") {
  Built built = Build(Parsed(R"("n":2,)"));
  std::string body = built.script.bytes.substr(built.HeadSize());
  CHECK(Text(body, {"object"}) == "chat.completion");
  CHECK(Text(body, {"choices", "0", "message", "content"}) == built.completion.choices[0].text);
  CHECK(Text(body, {"choices", "1", "message", "content"}) == built.completion.choices[1].text);
  CHECK(built.completion.choices[0].text != built.completion.choices[1].text);
  auto tokens = built.completion.ChoiceTokens();
  CHECK(Text(body, {"usage", "completion_tokens"}) == std::to_string(tokens[0] + tokens[1]));
  CHECK(built.script.steps.size() == 1);
  CHECK(built.script.steps[0].due == built.pace.End());
  CHECK(built.script.steps[0].end == built.script.bytes.size());
}

TEST_CASE("a stream has a role, deltas, a finish, usage and [DONE], each when it is due") {
  Settings settings;
  settings.tokens_per_chunk = 4;
  Built built =
      Build(Parsed(R"("stream":true,"stream_options":{"include_usage":true},)"), {}, settings);
  std::vector<std::string> events = Events(StreamBody(built));
  auto tokens = static_cast<std::size_t>(built.completion.ChoiceTokens()[0]);
  std::size_t deltas = 1 + (tokens - 1 + 3) / 4;
  REQUIRE(events.size() == 1 + deltas + 3);
  CHECK(Text(events[0], {"choices", "0", "delta", "role"}) == "assistant");
  std::string text;
  for (std::size_t i = 1; i <= deltas; ++i) {
    text += Text(events[i], {"choices", "0", "delta", "content"});
    CHECK(Text(events[i], {"choices", "0", "finish_reason"}) == "null");
    CHECK(Text(events[i], {"usage"}) == "null");
    CHECK(Text(events[i], {"id"}) == built.completion.id);
  }
  CHECK(text == built.completion.choices[0].text);
  CHECK(Text(events[deltas + 1], {"choices", "0", "finish_reason"}) == "stop");
  CHECK(Text(events[deltas + 2], {"choices"}) == "[]");
  CHECK(Text(events[deltas + 2], {"usage", "completion_tokens"}) == std::to_string(tokens));
  CHECK(events.back() == "[DONE]");

  REQUIRE(built.script.steps.size() == deltas + 1);
  CHECK(built.script.steps[0].due == built.pace.first);
  CHECK(built.script.steps[1].due == built.pace.TokenDue(4));
  CHECK(built.script.steps.back().due == built.pace.End());
  CHECK(built.script.bytes.substr(built.script.bytes.size() - 5) == "0\r\n\r\n");
}

TEST_CASE("usage styles") {
  ChatRequest request = Parsed(R"("stream":true,"stream_options":{"include_usage":true},)");
  Settings settings;
  settings.usage_style = UsageStyle::kFinishChunk;
  auto events = Events(StreamBody(Build(request, {}, settings)));
  CHECK(Text(events[events.size() - 2], {"choices", "0", "finish_reason"}) == "stop");
  CHECK(Text(events[events.size() - 2], {"usage", "total_tokens"}) != "0");
  settings.usage_style = UsageStyle::kEveryChunk;
  events = Events(StreamBody(Build(request, {}, settings)));
  CHECK(Text(events[3], {"usage", "completion_tokens"}) == "3");
  settings.usage_style = UsageStyle::kXGroq;
  events = Events(StreamBody(Build(request, {}, settings)));
  CHECK(Text(events[events.size() - 2], {"x_groq", "usage", "total_tokens"}) != "0");
}

TEST_CASE("choices of a stream interleave, each with its own finish") {
  auto events = Events(StreamBody(Build(Parsed(R"("stream":true,"n":3,)"))));
  int finished = 0;
  std::vector<std::string> order;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    if (Text(events[i], {"choices", "0", "finish_reason"}) == "stop") ++finished;
    if (i < 6) order.push_back(Text(events[i], {"choices", "0", "index"}));
  }
  CHECK(finished == 3);
  CHECK(order == std::vector<std::string>{"0", "1", "2", "0", "1", "2"});
}

TEST_CASE("faults that break a stream off") {
  ChatRequest request = Parsed(R"("stream":true,)");
  Built cut = Build(request, Parse("cut=5"));
  CHECK(Events(StreamBody(cut)).size() == 6);
  CHECK(cut.script.ending == Ending::kKeepAlive);
  CHECK(cut.script.bytes.substr(cut.script.bytes.size() - 5) == "0\r\n\r\n");

  Built chunked = Build(request, Parse("chunked-cut=5"));
  CHECK(chunked.script.ending == Ending::kCut);
  CHECK(chunked.script.bytes.substr(chunked.script.bytes.size() - 5) != "0\r\n\r\n");

  CHECK(Build(request, Parse("reset-after=0")).script.ending == Ending::kReset);
  CHECK(Build(request, Parse("stall-after=100000")).script.ending == Ending::kHold);
  CHECK(Build(request, Parse("slow-close")).script.ending == Ending::kHold);
  CHECK(Build(request, Parse("stall-headers")).script.bytes.find("data:") == std::string::npos);
  CHECK(Build(request, Parse("eof-cut")).script.bytes.find("transfer-encoding") ==
        std::string::npos);

  auto events = Events(StreamBody(Build(request, Parse("error-mid=2"))));
  CHECK(Text(events.back(), {"error", "type"}) == "server_error");
  CHECK(Events(StreamBody(Build(request, Parse("no-done")))).back() != "[DONE]");
  CHECK(Events(StreamBody(Build(request, Parse("fake-done")))).back() == "[DONE]x");

  Built endless = Build(request, Parse("endless"));
  REQUIRE(endless.script.loop);
  CHECK(endless.script.loop->begin > endless.HeadSize());
  CHECK(endless.script.loop->begin < endless.script.bytes.size());
  CHECK(endless.script.steps.back().end == endless.script.bytes.size());
}

TEST_CASE("faults of the message") {
  ChatRequest request = Parsed("");
  auto message = [&](const char* fault, const char* field) {
    Built built = Build(request, Parse(fault));
    return Text(built.script.bytes.substr(built.HeadSize()), {"choices", "0", "message", field});
  };
  auto finish = [&](const char* fault) {
    Built built = Build(request, Parse(fault));
    return Text(built.script.bytes.substr(built.HeadSize()), {"choices", "0", "finish_reason"});
  };
  CHECK(message("empty-content", "content").empty());
  CHECK(message("null-content", "content") == "null");
  CHECK(message("refusal", "content") == "null");
  CHECK_FALSE(message("refusal", "refusal").empty());
  CHECK(finish("content-filter") == "content_filter");
  CHECK(finish("length") == "length");
  CHECK(message("split-surrogate", "content").find("🚀") != std::string::npos);
  CHECK(message("nul-content", "content").find('\0') != std::string::npos);
  CHECK(message("big-event=100000", "content").size() == 100000);
  CHECK(Build(request, Parse("bad-utf8")).script.bytes.find("\xff\xfe") != std::string::npos);
  CHECK(Build(request, Parse("lone-surrogate")).script.bytes.find("\\ud83d") != std::string::npos);
  CHECK(Build(request, Parse("choice-index=-1")).script.bytes.find("\"index\":-1") !=
        std::string::npos);
}

TEST_CASE("every fault gives a script for a stream and for a whole reply") {
  for (const char* name : {"status",
                           "quota",
                           "slow-down",
                           "retry-after=1",
                           "redirect=http://x/",
                           "html",
                           "empty",
                           "error-200",
                           "http-garbage",
                           "big-header=10",
                           "reset",
                           "stall",
                           "stall-headers",
                           "reset-after",
                           "stall-after",
                           "cut",
                           "chunked-cut",
                           "eof-cut",
                           "slow-close",
                           "close-after",
                           "endless",
                           "comments",
                           "error-mid",
                           "no-done",
                           "fake-done",
                           "garbage",
                           "keepalive-event",
                           "filter-chunks",
                           "choice-index",
                           "empty-content",
                           "null-content",
                           "refusal",
                           "content-filter",
                           "length",
                           "bad-utf8",
                           "lone-surrogate",
                           "split-surrogate",
                           "nul-content",
                           "big-event=100",
                           "byte-by-byte",
                           "crlf",
                           "cr",
                           "bom",
                           "content-length-too-large",
                           "trailing-bytes",
                           "gzip"}) {
    CAPTURE(name);
    for (const char* members : {"", R"("stream":true,)", R"("max_tokens":1,"stream":true,)"}) {
      Fault fault = Parse(name);
      bool stream = members[0] != '\0';
      auto instead = InsteadReply(fault, true, stream, {}, {});
      ReplyScript script =
          instead ? std::move(instead->script) : Build(Parsed(members), fault).script;
      REQUIRE_FALSE(script.steps.empty());
      CHECK(script.steps.back().end == script.bytes.size());
      for (std::size_t i = 1; i < script.steps.size(); ++i) {
        CHECK(script.steps[i].end >= script.steps[i - 1].end);
        CHECK(script.steps[i].due >= script.steps[i - 1].due);
      }
    }
  }
}
