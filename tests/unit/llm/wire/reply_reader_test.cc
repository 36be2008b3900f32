#include "llm/wire/reply_reader.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "unit/llm/wire/outcome.h"

namespace postgen {
namespace {

constexpr std::size_t kBound = 1U << 20U;

std::string Chunk(std::string_view content, std::string_view finish_reason = {}) {
  std::string chunk = R"(data: {"model":"m-1","choices":[{"index":0,"delta":{"content":")";
  chunk += content;
  chunk += R"("},"finish_reason":)";
  chunk += finish_reason.empty() ? "null" : '"' + std::string(finish_reason) + '"';
  return chunk + "}]}\n\n";
}

const std::string kRole =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const std::string kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

Outcome Read(const std::string& stream) { return ReadPieces({stream}); }
Outcome ReadBody(const std::string& body) { return ReadPieces({body}, ReplyForm::kWholeBody); }

TEST_CASE("a stream from end to end, wherever it is cut") {
  const std::string stream = ": hello\n\n" + kRole + Chunk("標題：") + Chunk("好\\n") +
                             Chunk("\\ud83d") + Chunk("\\ude00") + Chunk("", "stop") + kUsage +
                             kDone;
  const Outcome whole = Read(stream);
  CHECK(whole.ended);
  CHECK_FALSE(whole.code.has_value());
  CHECK(whole.text == "標題：好\n😀");
  CHECK(whole.delivered == whole.text);
  CHECK(whole.finish_reason.kind == FinishReason::Kind::kStop);
  CHECK(whole.model == "m-1");
  CHECK(whole.usage == Usage{5, 7, 0});
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    CAPTURE(cut);
    CHECK(ReadPieces({stream.substr(0, cut), stream.substr(cut)}) == whole);
  }
  std::vector<std::string> bytes;
  for (const char c : stream) bytes.emplace_back(1, c);
  CHECK(ReadPieces(bytes) == whole);
}

TEST_CASE("a stream that breaks off is complete only once its finish reason has come") {
  const std::string before = kRole + Chunk("好") + Chunk("的");
  const std::string finish = Chunk("", "stop");
  const std::string stream = before + finish + kUsage + kDone;
  // Without its blank line the event that ends the text counts when its JSON is whole.
  const std::size_t complete_at = before.size() + finish.size() - 2;
  for (std::size_t length = 0; length < stream.size(); ++length) {
    CAPTURE(length);
    const Outcome cut = Read(stream.substr(0, length));
    CHECK(cut.ended);
    if (length >= complete_at) {
      CHECK_FALSE(cut.code.has_value());
      CHECK(cut.text == "好的");
    } else {
      REQUIRE(cut.code.has_value());
      const bool truncated = *cut.code == Code::kTruncated || *cut.code == Code::kProtocol;
      CHECK(truncated);
    }
  }
}

TEST_CASE("how streams end") {
  struct {
    std::string_view name;
    std::string stream;
    std::optional<Code> code;
    FinishReason::Kind finish;
    std::string_view text;
  } const cases[] = {
      {"without [DONE]", Chunk("好", "stop"), std::nullopt, FinishReason::Kind::kStop, "好"},
      {"[DONE] without a finish reason", Chunk("好") + kDone, std::nullopt,
       FinishReason::Kind::kNone, "好"},
      {"a false [DONE]", Chunk("好", "stop") + "data: [DONE]x\n\n", Code::kProtocol,
       FinishReason::Kind::kStop, "好"},
      {"nothing at all", "", Code::kProtocol, FinishReason::Kind::kNone, ""},
      {"comments only", ": ping\n\n: ping\n\n", Code::kProtocol, FinishReason::Kind::kNone, ""},
      {"keep-alive events are no payload", "event: ping\ndata: {\"type\":\"ping\"}\n\n",
       Code::kProtocol, FinishReason::Kind::kNone, ""},
      {"cut by the token limit", Chunk("好", "length") + kDone, std::nullopt,
       FinishReason::Kind::kLength, "好"},
      {"cut by the token limit before any text", Chunk("", "length") + kDone, Code::kTruncated,
       FinishReason::Kind::kLength, ""},
      {"filtered", Chunk("好", "content_filter") + kDone, Code::kRefused,
       FinishReason::Kind::kContentFilter, "好"},
      {"refused",
       "data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"I cannot\"}}]}\n\n" +
           Chunk("", "stop") + kDone,
       Code::kRefused, FinishReason::Kind::kStop, ""},
      {"without text", kRole + Chunk("", "stop") + kDone, Code::kProtocol,
       FinishReason::Kind::kStop, ""},
      {"an unknown reason", Chunk("好", "eos_token") + kDone, std::nullopt,
       FinishReason::Kind::kOther, "好"},
      {"half a character at the end", Chunk("好\\ud83d") + Chunk("", "stop") + kDone,
       Code::kEncoding, FinishReason::Kind::kStop, "好"},
      {"malformed JSON", Chunk("好") + "data: {\"choices\":[\n\n" + Chunk("x", "stop"),
       Code::kProtocol, FinishReason::Kind::kNone, "好"},
      {"another choice",
       Chunk("好") + "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n",
       Code::kProtocol, FinishReason::Kind::kNone, "好"},
      {"an error event",
       Chunk("好") + "data: {\"error\":{\"message\":\"m\",\"code\":\"server_error\"}}\n\n" + kDone,
       Code::kUpstream, FinishReason::Kind::kNone, "好"},
      {"an error with its own event type",
       "event: error\ndata: {\"message\":\"slow down\",\"code\":429}\n\n", Code::kRateLimited,
       FinishReason::Kind::kNone, ""},
      {"an error as finish reason", Chunk("好") + Chunk("", "error") + kDone, Code::kUpstream,
       FinishReason::Kind::kNone, "好"},
      {"reasoning first",
       "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n" +
           Chunk("好", "stop") + kDone,
       std::nullopt, FinishReason::Kind::kStop, "好"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const Outcome outcome = Read(c.stream);
    CHECK(outcome.ended);
    CHECK(outcome.code == c.code);
    CHECK(outcome.finish_reason.kind == c.finish);
    CHECK(outcome.text == c.text);
  }
}

TEST_CASE("the last usage wins, running totals included") {
  const std::string running =
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],"
      "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n";
  CHECK(Read(running + Chunk("b", "stop") + kUsage + kDone).usage == Usage{5, 7, 0});
  CHECK(Read(running + Chunk("b", "stop") + "data: {\"usage\":null}\n\n" + kDone).usage ==
        Usage{5, 1, 0});
  CHECK_FALSE(Read(Chunk("b", "stop") + kDone).usage.has_value());
}

TEST_CASE("nothing is read after [DONE]") {
  const Outcome outcome = Read(Chunk("好", "stop") + kDone + Chunk("late", "length"));
  CHECK(outcome.text == "好");
  CHECK(outcome.finish_reason.kind == FinishReason::Kind::kStop);
}

TEST_CASE("an unknown finish reason keeps its word if it is one") {
  CHECK(Read(Chunk("好", "eos_token")).finish_reason.text == "eos_token");
  CHECK(Read(Chunk("好", "two words")).finish_reason.text == "other");
}

TEST_CASE("whole replies") {
  const Outcome good = ReadBody(
      "\n\n\n{\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
      "\"content\":\"好\",\"refusal\":null},\"finish_reason\":\"stop\"}],"
      "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n");
  CHECK_FALSE(good.code.has_value());
  CHECK(good.text == "好");
  CHECK(good.delivered == "好");
  CHECK(good.usage == Usage{5, 7, 0});

  struct {
    std::string_view name;
    std::string body;
    Code code;
  } const bad[] = {
      {"empty", "", Code::kProtocol},
      {"HTML", "<html></html>", Code::kProtocol},
      {"no choice", "{}", Code::kProtocol},
      {"an error", R"({"error":{"message":"m","code":"server_error"}})", Code::kUpstream},
      {"an error in an array", R"([{"error":{"code":429}}])", Code::kRateLimited},
      {"refusal",
       R"({"choices":[{"index":0,"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]})",
       Code::kRefused},
      {"cut", R"({"choices":[{"index":0,"message":{"content":"x"}}])", Code::kProtocol},
      {"trailing bytes", R"({"choices":[{"index":0,"message":{"content":"x"}}]} {})",
       Code::kProtocol},
  };
  for (const auto& c : bad) {
    CAPTURE(c.name);
    CHECK(ReadBody(c.body).code == c.code);
  }
}

TEST_CASE("an early end is no failure once the finish reason is known") {
  CompletionParser parser;
  ReplyReader reader(&parser, kBound);
  const auto ignore = [](std::string_view) {};

  reader.Begin(ReplyForm::kEventStream);
  reader.Read(Chunk("好"), ignore);
  CHECK_FALSE(reader.EndEarly());
  CHECK_FALSE(reader.ended());
  reader.Read(Chunk("", "stop"), ignore);
  CHECK(reader.EndEarly());
  CHECK(reader.ended());
  CHECK_FALSE(reader.error().has_value());

  // A whole body says how long it is: less than that is not it.
  reader.Begin(ReplyForm::kWholeBody);
  reader.Read(R"({"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]})",
              ignore);
  CHECK_FALSE(reader.EndEarly());
}

TEST_CASE("progress is told by payload, and tokens apart from it") {
  CompletionParser parser;
  ReplyReader reader(&parser, kBound);
  const auto ignore = [](std::string_view) {};
  reader.Begin(ReplyForm::kEventStream);
  reader.Read(": ping\n\nevent: keepalive\ndata: {}\n\n", ignore);
  CHECK(reader.payload_events() == 0);
  reader.Read(kRole, ignore);
  CHECK(reader.payload_events() == 1);
  CHECK_FALSE(reader.has_token());
  reader.Read(Chunk("好"), ignore);
  CHECK(reader.payload_events() == 2);
  CHECK(reader.has_token());
}

TEST_CASE("replies are bounded") {
  CompletionParser parser;
  ReplyReader reader(&parser, 100);
  const auto ignore = [](std::string_view) {};
  for (const ReplyForm form : {ReplyForm::kEventStream, ReplyForm::kWholeBody}) {
    reader.Begin(form);
    reader.Read("data: " + std::string(200, ' '), ignore);
    REQUIRE(reader.ended());
    CHECK(reader.error()->code == Code::kTooLarge);
  }
}

TEST_CASE("a reply's form is told by its content type") {
  CHECK(FormOfReply("text/event-stream", false) == ReplyForm::kEventStream);
  CHECK(FormOfReply("Text/Event-Stream; charset=utf-8", true) == ReplyForm::kEventStream);
  CHECK(FormOfReply("application/json", true) == ReplyForm::kWholeBody);
  CHECK(FormOfReply("text/html; charset=utf-8", true) == ReplyForm::kWholeBody);
  CHECK(FormOfReply("", true) == ReplyForm::kEventStream);
  CHECK(FormOfReply("", false) == ReplyForm::kWholeBody);
}

}  // namespace
}  // namespace postgen
