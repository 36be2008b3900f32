// JSON that is JSON and JSON that only looks like it (in the manner of JSONTestSuite), read by each
// of the implementations that simdjson may choose on this processor: they must agree.
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <simdjson.h>

#include "llm/wire/completion_parser.h"
#include "unit/llm/wire/outcome.h"

namespace postgen {
namespace {

// Values that must be accepted wherever they stand.
const std::vector<std::string>& GoodValues() {
  static const std::vector<std::string> values = {
      "[]",
      "[[]   ]",
      "[\"\"]",
      "[false]",
      "[null, 1, \"1\", {}]",
      "[1\n]",
      " [1] ",
      "[2] ",
      "[1,null,null,null,2]",
      "123e65",
      "0e+1",
      "0e1",
      "1E22",
      "1E-2",
      "1E+2",
      "123e-10",
      "-0",
      "-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
      "-1",
      "123.456e78",
      "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}",
      "{\"a\":\"b\",\"a\":\"c\"}",
      "{}",
      "{\"\":0}",
      "{\"foo\\u0000bar\": 42}",
      "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }",
      "{\n\"a\": \"b\"\n}",
      R"("\u0060\u012a\u12AB")",
      R"("\uD801\udc37")",
      R"("\"\\\/\b\f\n\r\t")",
      R"("\\u0000")",
      R"("a/*b*/c/*d//e")",
      R"("\uDBFF\uDFFF")",
      "\"\xEF\xBF\xBF\"",
      R"("\u0012")",
      "\"\xE2\x80\xA8\"",
      "\"\xF4\x8F\xBF\xBF\"",
      "\"\x7F\"",
      "\"π\"",
      R"("new\u000Aline")",
      "true",
      "false",
      "null",
      "\"\"",
      "-123123123",
      "[\"\\uD834\\uDd1e\"]",
      "\t42\r\n",
      "[\"台積電\", {\"深\": [[[[[[[[]]]]]]]]}]",
  };
  return values;
}

// Documents that must be refused.
const std::vector<std::string>& BadDocuments() {
  static const std::vector<std::string> documents = {
      "",
      " ",
      "[1 true]",
      "[a\xE5]",
      "[\"\": 1]",
      "[\"\"],",
      "[,1]",
      "[1,,2]",
      "[\"x\",,]",
      "[\"x\"]]",
      "[\"\",]",
      "[\"x\"",
      "[x",
      "[3[4]]",
      "[\xFF]",
      "[1:2]",
      "[,]",
      "[-]",
      "[   , \"\"]",
      "[\"a\",\n4\n,1,",
      "[1,]",
      "[\"\"",
      "[*]",
      "[\"a",
      "[1,\n1\n,1",
      "[{}",
      "[fals]",
      "[nul]",
      "[tru]",
      std::string("{}\0", 3),
      "[++1234]",
      "[+1]",
      "[+Inf]",
      "[-01]",
      "[-1.0.]",
      "[-2.]",
      "[-NaN]",
      "[.-1]",
      "[.2e-3]",
      "[0.1.2]",
      "[0.3e+]",
      "[0.e1]",
      "[0_1]",
      "[0e+]",
      "[0E]",
      "[1.0e-]",
      "[1 000.0]",
      "[1eE2]",
      "[2.e+3]",
      "[9.e+]",
      "[Inf]",
      "[NaN]",
      "[1+2]",
      "[0x1]",
      "[123.123.123]",
      "[1e1.2]",
      "[- 1]",
      "[-012]",
      "[-.123]",
      "[012]",
      "[\"x\", truth]",
      "{[: \"x\"}",
      "{\"x\", null}",
      "{\"x\"::\"b\"}",
      "{\"a\":\"a\" 123}",
      "{key: 'value'}",
      "{\"a\" b}",
      "{:\"b\"}",
      "{\"a\" \"b\"}",
      "{\"a\":",
      "{\"a\"",
      "{1:1}",
      "{9999E9999:1}",
      "{null:null,null:null}",
      "{\"id\":0,,,,,}",
      "{'a':0}",
      "{\"id\":0,}",
      "{\"a\":\"b\"}/**/",
      "{\"a\":\"b\"}#",
      "{\"a\":\"b\",,\"c\":\"d\"}",
      "{a: \"b\"}",
      "{\"a\":\"a",
      "{ \"foo\" : \"bar\", \"a\" }",
      "{\"a\":\"b\"}#{}",
      "[\"\\uD800\\u\"]",
      "[\"\\uD800\\u1\"]",
      "[\"\\uD800\\u1x\"]",
      "[\"\\x00\"]",
      "[\"\\\\\\\"]",
      "[\"\\\t\"]",
      "[\"\\\xF0\x9F\x8C\x80\"]",
      "[\"\\\"]",
      "[\"\\u00A\"]",
      "[\"\\uqqqq\"]",
      "[\"\\a\"]",
      "[\"\\u\xE5\"]",
      "[\"\\\xE5\"]",
      "['x']",
      "[\"a\nb\"]",
      "[\"\t\"]",
      "\"\\UA66D\"",
      "\"x\"x",
      "<.>",
      "[<null>]",
      "[1]x",
      "[1]]",
      "[\"asd]",
      "aå",
      "[True]",
      "1]",
      "{\"x\": true,",
      "[][]",
      "]",
      "\xEF\xBB{}",
      "\xE5",
      "[",
      "{\"\":",
      "2@",
      "{}}",
      "{\"\":{\"\":",
      "{\"a\":/*comment*/\"b\"}",
      "{\"a\": true} \"x\"",
      "['",
      "[\",",
      "{",
      "{]",
      "{,",
      "{[",
      "{\"a",
      "{'a'",
      "[\"\\{[\"\\{[\"\\{[\"\\{",
      "*",
      "{\"a\":\"b\"}#",
      "[\\u000A\"\"]",
      "[1",
      "[ false, nul",
      "[ true, fals",
      "[ false, tru",
      "{\"asd\":\"asd\"",
      "å",
      "[\xE2\x81\xA0]",
      "\xEF\xBB\xBF",
      "[\x0C]",
      "\xEF\xBB\xBF{}",
      "[\"\xED\xA0\x80\"]",
      "[\"\xC0\xAF\"]",
      "[\"\xF4\xBF\xBF\xBF\"]",
      "[\"\xFF\"]",
      "[\"\\ud800\"]",
      "[\"\\udc00\\ud800\"]",
      std::string(100'000, '['),
      "[1e]",
      "18446744073709551616",
      "{\"choices\":[]} {}",
      std::string("{\"choices\":[]}\0", 15),
  };
  return documents;
}

struct Reading {
  std::string name;
  std::vector<std::optional<Code>> good;
  std::vector<std::optional<Code>> bad;
  std::vector<Outcome> streams;
};

std::optional<Code> Read(CompletionParser* parser, const std::string& document) {
  const Result<CompletionPart> part = parser->Parse(document, nullptr);
  return part.ok() ? std::nullopt : std::optional<Code>(part.error().code);
}

// Everything as the implementation that is set now reads it.
Reading ReadEverything(std::string name) {
  Reading reading;
  reading.name = std::move(name);
  CompletionParser parser;
  for (const std::string& value : GoodValues()) {
    reading.good.push_back(Read(&parser, R"({"choices":[],"extra":)" + value + "}"));
  }
  for (const std::string& document : BadDocuments()) {
    reading.bad.push_back(Read(&parser, document));
  }
  // Strings and escapes of each length, so that they lie across every boundary of a block.
  for (std::size_t length = 0; length < 140; ++length) {
    const std::string event = R"(data: {"choices":[{"index":0,"delta":{"content":")" +
                              std::string(length, 'x') +
                              R"(\"\\台\ud83d\ude00\n"},"finish_reason":"stop"}]})"
                              "\n\n";
    reading.streams.push_back(ReadPieces({event}));
    reading.streams.push_back(ReadPieces({event.substr(0, event.size() - 5)}));
  }
  return reading;
}

TEST_CASE("every implementation of simdjson accepts and refuses the same") {
  const simdjson::implementation* const chosen = simdjson::get_active_implementation();
  std::vector<Reading> readings;
  for (const simdjson::implementation* one : simdjson::get_available_implementations()) {
    if (!one->supported_by_runtime_system()) continue;
    simdjson::get_active_implementation() = one;
    readings.push_back(ReadEverything(one->name()));
  }
  simdjson::get_active_implementation() = chosen;

  REQUIRE(readings.size() >= 2);  // the processor's own and the fallback
  for (const Reading& reading : readings) {
    CAPTURE(reading.name);
    for (std::size_t i = 0; i < GoodValues().size(); ++i) {
      CAPTURE(GoodValues()[i]);
      CHECK_FALSE(reading.good[i].has_value());
    }
    for (std::size_t i = 0; i < BadDocuments().size(); ++i) {
      CAPTURE(BadDocuments()[i].substr(0, 40));
      REQUIRE(reading.bad[i].has_value());
      const bool known = *reading.bad[i] == Code::kProtocol || *reading.bad[i] == Code::kEncoding;
      CHECK(known);
      CHECK(reading.bad[i] == readings[0].bad[i]);
    }
    CHECK(reading.streams == readings[0].streams);
    for (std::size_t i = 0; i < reading.streams.size(); i += 2) {
      CHECK(reading.streams[i].text == std::string(i / 2, 'x') + "\"\\台😀\n");
    }
  }
}

}  // namespace
}  // namespace postgen
