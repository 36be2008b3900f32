#include "request/json_value.h"

#include <doctest/doctest.h>
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postgen/json.h"
#include "unit/request/json_path.h"

namespace postgen {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMalformed[] = {
    ""sv,
    " "sv,
    "{"sv,
    "}"sv,
    "["sv,
    "[1,]"sv,
    "[,1]"sv,
    "[1 2]"sv,
    "[1"sv,
    "1]"sv,
    "{\"a\"}"sv,
    "{\"a\":}"sv,
    "{\"a\":1,}"sv,
    "{,\"a\":1}"sv,
    "{\"a\" 1}"sv,
    "{\"a\":1 \"b\":2}"sv,
    "{a:1}"sv,
    "{'a':1}"sv,
    "{1:1}"sv,
    "{\"a\":1}x"sv,
    "{\"a\":1}{\"b\":2}"sv,
    "{\"a\":1}]"sv,
    "nul"sv,
    "True"sv,
    "NaN"sv,
    "-Infinity"sv,
    "undefined"sv,
    "01"sv,
    "-"sv,
    "+1"sv,
    ".5"sv,
    "1."sv,
    "1e"sv,
    "1e+"sv,
    "0x10"sv,
    "1_000"sv,
    "1e999"sv,
    "18446744073709551616"sv,
    "-9223372036854775809"sv,
    "\"a"sv,
    "\"\\x\""sv,
    "\"\\u12\""sv,
    "\"\\u12G4\""sv,
    "\"\\ud800\""sv,
    "\"\\udc00\""sv,
    "\"\\ud800\\u0041\""sv,
    "\"line\nbreak\""sv,
    "\"tab\t\""sv,
    "\"nul\0\""sv,
    "{\"a\":1}\0"sv,
    "\0"sv,
    "\xEF\xBB\xBF{}"sv,
    "\xFF"sv,
    "\"\xC0\xAF\""sv,
    "\"\xED\xA0\x80\""sv,
    "/* comment */ {}"sv,
    "{} // comment"sv,
    "[\"a\",\n4\n,1,"sv,
};

constexpr std::string_view kWellFormed[] = {
    "{}"sv,
    "[]"sv,
    "null"sv,
    "true"sv,
    "-0"sv,
    "0.5"sv,
    "1E+2"sv,
    "18446744073709551615"sv,
    "-9223372036854775808"sv,
    "\"\""sv,
    "\"\\u0000\""sv,
    "\"\\ud83d\\udcc8\""sv,
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""sv,
    "\"\x7F\""sv,
    "\"台積電 📈\""sv,
    " \t\r\n{ \"a\" : [ 1 , { } ] } \n"sv,
    "{\"a\":1,\"a\":2}"sv,
    "{\"\":0}"sv,
};

std::string Nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

// Runs `check` once for each implementation of the parser that this processor can run.
template <typename Check>
void ForEachImplementation(Check check) {
  const auto* before =
      static_cast<const simdjson::implementation*>(simdjson::get_active_implementation());
  std::size_t count = 0;
  for (const simdjson::implementation* implementation : simdjson::get_available_implementations()) {
    if (!implementation->supported_by_runtime_system()) continue;
    const std::string name = implementation->name();
    CAPTURE(name);
    simdjson::get_active_implementation() = implementation;
    check();
    ++count;
  }
  simdjson::get_active_implementation() = before;
  CHECK(count >= 1);
}

TEST_CASE("malformed documents are refused by every implementation of the parser") {
  ForEachImplementation([] {
    for (const std::string_view text : kMalformed) {
      CAPTURE(text);
      CHECK_FALSE(ParseJson(text).has_value());
      CHECK_FALSE(ParseRequest(text).ok());
      CHECK_FALSE(ParseOptions(text).ok());
      // Inside a document that is well-formed around it.
      CHECK_FALSE(ParseJson("{\"x\":" + std::string(text) + ",\"y\":[}").has_value());
    }
  });
}

TEST_CASE("well-formed documents are read alike by every implementation of the parser") {
  std::vector<std::string> first;
  ForEachImplementation([&first] {
    std::vector<std::string> read;
    for (const std::string_view text : kWellFormed) {
      CAPTURE(text);
      const std::optional<JsonValue> value = ParseJson(text);
      REQUIRE(value.has_value());
      read.push_back(ToJson(*value));
    }
    if (first.empty()) first = read;
    CHECK(read == first);
  });
}

TEST_CASE("requests are read alike by every implementation of the parser") {
  const std::string_view documents[] = {
      R"({"stock_code":"2330","stock_name":"台積電","kol_serial":"KOL-208","max_words":150.0,)"
      R"("news":["一","二 📈"],"full_triggers_config":{"a":[1,2.5,"é"]}})",
      R"({"stock_code":2330,"kol_serial":208,"versions":0})",
      R"({"stock_code":"2330","kol_serial":208,"title":"a\u0000b"})",
  };
  for (const std::string_view document : documents) {
    std::vector<std::string> outcomes;
    ForEachImplementation([&] {
      const Result<PostRequest> request = ParseRequest(document);
      outcomes.push_back(request.ok()
                             ? request->stock_name + "|" + request->full_triggers_config->text
                             : request.error().message);
    });
    for (const std::string& outcome : outcomes) CHECK(outcome == outcomes.front());
  }
}

TEST_CASE("nesting ends at its bound, not at the stack's") {
  CHECK(ParseJson(Nested(kMaxNesting - 1)).has_value());
  CHECK_FALSE(ParseJson(Nested(kMaxNesting + 1)).has_value());
  CHECK_FALSE(ParseJson(Nested(100000)).has_value());
  CHECK_FALSE(ParseJson(std::string(100000, '[')).has_value());
  CHECK_FALSE(ParseRequest("{\"full_triggers_config\":{\"a\":" + Nested(100000) + "}}").ok());
}

TEST_CASE("values keep their kind, and duplicate keys stay until somebody asks") {
  CHECK(At(Parsed("[1]"), "0").As<std::int64_t>() != nullptr);
  CHECK(At(Parsed("[1.0]"), "0").As<double>() != nullptr);
  CHECK(At(Parsed("[18446744073709551615]"), "0").As<std::uint64_t>() != nullptr);
  CHECK(At(Parsed("[true]"), "0").As<bool>() != nullptr);
  CHECK(At(Parsed("[null]"), "0").IsNull());
  CHECK(Keys(Parsed(R"({"b":1,"a":2,"b":3})")) == std::vector<std::string>{"b", "a", "b"});
}

TEST_CASE("values are written without white space and otherwise as they were") {
  const std::string_view text =
      R"({"a":[1,-2,18446744073709551615,1.0,0.1,1e+300,true,false,null,"台\n\"",{},[]]})";
  CHECK(ToJson(Parsed(text)) == text);
  CHECK(ToJson(Parsed(" [ 1 ,\n{ \"a\" : \"b c\" } ] ")) == R"([1,{"a":"b c"}])");
}

TEST_CASE("texts that cannot be stored are found anywhere in a value") {
  const std::string long_text(65537, 'x');
  for (const std::string& bad : {std::string("\\u0000"), long_text}) {
    CAPTURE(bad.size());
    CHECK(!StringsViolation(Parsed("\"" + bad + "\"")).empty());
    CHECK(!StringsViolation(Parsed("[1,[\"" + bad + "\"]]")).empty());
    CHECK(!StringsViolation(Parsed("{\"a\":{\"" + bad + "\":1}}")).empty());
  }
  CHECK(StringsViolation(Parsed("[\"" + std::string(65536, 'x') + "\",{\"a\":1}]")).empty());
}

}  // namespace
}  // namespace postgen
