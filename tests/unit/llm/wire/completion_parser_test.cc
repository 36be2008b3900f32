#include "llm/wire/completion_parser.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace postgen {
namespace {

TEST_CASE("every field may be missing, null or empty") {
  const std::string_view documents[] = {
      R"({})",
      R"({"choices":null,"usage":null,"error":null})",
      R"({"choices":[]})",
      R"({"choices":[],"prompt_filter_results":[{"prompt_index":0}]})",
      R"({"choices":[{"index":0}]})",
      R"({"choices":[{"index":0,"delta":null,"finish_reason":null}]})",
      R"({"choices":[{"index":0,"delta":{}}]})",
      R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null}}]})",
      R"({"choices":[{"index":0,"delta":{"content":""}}],"obfuscation":"abc"})",
      R"({"choices":[{"index":0,"content_filter_offsets":{"check_offset":44},"finish_reason":null}]})",
  };
  CompletionParser parser;
  for (const std::string_view document : documents) {
    CAPTURE(document);
    const Result<CompletionPart> part = parser.Parse(document, nullptr);
    REQUIRE(part.ok());
    CHECK(part->content.empty());
    CHECK(part->finish_reason.empty());
    CHECK_FALSE(part->usage.has_value());
    CHECK_FALSE(part->error.has_value());
  }
}

TEST_CASE("text, finish reason and model of a chunk and of a whole reply") {
  CompletionParser parser;
  for (const std::string_view holder : {"delta", "message"}) {
    const std::string document = R"({"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,")" +
                                 std::string(holder) +
                                 R"(":{"content":"台積電\n😀"},"finish_reason":"stop"}]})";
    const Result<CompletionPart> part = parser.Parse(document, nullptr);
    REQUIRE(part.ok());
    CHECK(part->has_choice);
    CHECK(part->content == "台積電\n😀");
    CHECK(part->finish_reason == "stop");
    CHECK(part->model == "gpt-4o-mini-2024-07-18");
  }
}

TEST_CASE("refusal and reasoning are told apart from text") {
  CompletionParser parser;
  const auto refusal =
      parser.Parse(R"({"choices":[{"index":0,"delta":{"refusal":"I cannot"}}]})", nullptr);
  REQUIRE(refusal.ok());
  CHECK(refusal->refusal == "I cannot");
  CHECK(refusal->content.empty());
  for (const std::string_view key : {"reasoning_content", "reasoning"}) {
    const auto thinking = parser.Parse(
        R"({"choices":[{"index":0,"delta":{")" + std::string(key) + R"(":"hm"}}]})", nullptr);
    REQUIRE(thinking.ok());
    CHECK(thinking->reasoning);
    CHECK(thinking->content.empty());
  }
}

TEST_CASE("usage from wherever it is put") {
  struct {
    std::string_view document;
    Usage usage;
  } const cases[] = {
      {R"({"choices":[],"usage":{"prompt_tokens":1200,"completion_tokens":300,"total_tokens":1500,
          "prompt_tokens_details":{"cached_tokens":1024},
          "completion_tokens_details":{"reasoning_tokens":64}}})",
       {1200, 300, 1024}},
      {R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],
          "usage":{"prompt_tokens":5,"completion_tokens":7},"timings":{"prompt_n":5}})",
       {5, 7, 0}},
      {R"({"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":8,"completion_tokens":9}}})",
       {8, 9, 0}},
      {R"({"usage":{"prompt_tokens":8,"completion_tokens":9,"prompt_tokens_details":null}})",
       {8, 9, 0}},
      // More cached than there is would make input cheaper than free.
      {R"({"usage":{"prompt_tokens":8,"completion_tokens":9,
          "prompt_tokens_details":{"cached_tokens":80}}})",
       {8, 9, 8}},
  };
  CompletionParser parser;
  for (const auto& c : cases) {
    CAPTURE(c.document);
    const Result<CompletionPart> part = parser.Parse(c.document, nullptr);
    REQUIRE(part.ok());
    CHECK(part->usage == c.usage);
  }
}

TEST_CASE("usage that makes no sense is no usage") {
  const std::string_view documents[] = {
      R"({"usage":{}})",
      R"({"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":1}})",
      R"({"usage":[]})",
      R"({"usage":{"prompt_tokens":10}})",
      R"({"usage":{"prompt_tokens":-1,"completion_tokens":2}})",
      R"({"usage":{"prompt_tokens":"1","completion_tokens":2}})",
      R"({"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":2}})",
  };
  CompletionParser parser;
  for (const std::string_view document : documents) {
    CAPTURE(document);
    const Result<CompletionPart> part = parser.Parse(document, nullptr);
    REQUIRE(part.ok());
    CHECK_FALSE(part->usage.has_value());
  }
}

TEST_CASE("what is no chat completion") {
  struct {
    std::string_view document;
    Code code;
  } const cases[] = {
      {"", Code::kProtocol},
      {"<html><body>Please log in</body></html>", Code::kProtocol},
      {"null", Code::kProtocol},
      {"[]", Code::kProtocol},
      {"[DONE]x", Code::kProtocol},
      {R"({"choices":[{"index":0,"delta":{"content":"x"})", Code::kProtocol},
      {R"({"choices":{}})", Code::kProtocol},
      {R"({"choices":["x"]})", Code::kProtocol},
      {R"({"choices":[{"index":0,"delta":{"content":7}}]})", Code::kProtocol},
      {R"({"choices":[{"index":0,"finish_reason":7}]})", Code::kProtocol},
      {R"({"choices":[{"index":-1,"delta":{"content":"x"}}]})", Code::kProtocol},
      {R"({"choices":[{"index":1,"delta":{"content":"x"}}]})", Code::kProtocol},
      {R"({"choices":[{"index":2147483648,"delta":{"content":"x"}}]})", Code::kProtocol},
      {R"({"choices":[{"index":"0","delta":{"content":"x"}}]})", Code::kProtocol},
      {R"({"choices":[{"index":0,"delta":{}},{"index":0,"delta":{}}]})", Code::kProtocol},
      {"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\"}}]}", Code::kEncoding},
      {"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xED\xA0\x80\"}}]}", Code::kEncoding},
      {R"({"choices":[{"index":0,"delta":{"content":"\ud83d"}}]})", Code::kEncoding},
      {R"({"choices":[{"index":0,"delta":{"content":"a\u0000b"}}]})", Code::kEncoding},
  };
  CompletionParser parser;
  for (const auto& c : cases) {
    CAPTURE(c.document);
    const Result<CompletionPart> part = parser.Parse(c.document, nullptr);
    REQUIRE_FALSE(part.ok());
    CHECK(part.error().code == c.code);
  }
}

TEST_CASE("messages do not repeat what the provider sent") {
  CompletionParser parser;
  const Result<CompletionPart> part = parser.Parse("SECRET-PROMPT not json", nullptr);
  REQUIRE_FALSE(part.ok());
  CHECK(part.error().message.find("SECRET") == std::string::npos);
}

TEST_CASE("a character split over two deltas") {
  const auto chunk = [](std::string_view content) {
    return R"({"choices":[{"index":0,"delta":{"content":")" + std::string(content) + R"("}}]})";
  };
  CompletionParser parser;
  SurrogateJoiner joiner;

  SUBCASE("is joined, also over deltas without text") {
    const auto first = parser.Parse(chunk(R"(好\ud83d)"), &joiner);
    REQUIRE(first.ok());
    CHECK(first->content == "好");
    CHECK(parser.Parse(R"({"choices":[]})", &joiner).ok());
    const auto second = parser.Parse(chunk(R"(\ude00\ud83d)"), &joiner);
    REQUIRE(second.ok());
    CHECK(second->content == "😀");
    const auto third = parser.Parse(chunk(R"(\ude01。)"), &joiner);
    REQUIRE(third.ok());
    CHECK(third->content == "😁。");
    CHECK_FALSE(joiner.holding());
  }
  SUBCASE("is an error where the other half does not come") {
    CHECK(parser.Parse(chunk(R"(\ud83d)"), &joiner).ok());
    const auto second = parser.Parse(chunk("x"), &joiner);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == Code::kEncoding);
  }
  SUBCASE("is an error where the first half never came") {
    const auto second = parser.Parse(chunk(R"(\ude00)"), &joiner);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == Code::kEncoding);
  }
}

TEST_CASE("errors in every envelope") {
  struct {
    std::string_view body;
    std::string_view code, type, param, message;
  } const cases[] = {
      {R"({"error":{"message":"m","type":"t","param":"p","code":"c"}})", "c", "t", "p", "m"},
      {R"({"error":{"message":"m","type":null,"param":null,"code":null}})", "", "", "", "m"},
      {R"({"error":{"code":429,"message":"m","metadata":{"provider_name":"x"}}})", "429", "", "",
       "m"},
      {R"([{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}])", "503", "", "", "m"},
      {R"({"error":"m"})", "", "", "", "m"},
      {R"({"object":"error","message":"m","type":"BadRequestError","param":"p","code":400})", "400",
       "BadRequestError", "p", "m"},
      {R"({"message":"m","code":"c"})", "c", "", "", "m"},
      {R"({"detail":"extra fields"})", "", "", "", R"({"detail":"extra fields"})"},
      {"<html>502</html>", "", "", "", "<html>502</html>"},
      {"", "", "", "", ""},
  };
  CompletionParser parser;
  for (const auto& c : cases) {
    CAPTURE(c.body);
    const ProviderError error = parser.ParseError(c.body);
    CHECK(error.code == c.code);
    CHECK(error.type == c.type);
    CHECK(error.param == c.param);
    CHECK(error.message == c.message);
  }
}

TEST_CASE("an error inside a reply that began well") {
  CompletionParser parser;
  const auto part = parser.Parse(
      R"({"error":{"message":"m","code":502},"choices":[{"index":0,"finish_reason":"error"}]})",
      nullptr);
  REQUIRE(part.ok());
  REQUIRE(part->error.has_value());
  CHECK(part->error->code == "502");
}

}  // namespace
}  // namespace postgen
