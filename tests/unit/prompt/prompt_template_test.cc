#include "prompt/prompt_template.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

namespace postgen {
namespace {

const std::map<std::string, std::string, std::less<>> kValues = {
    {"a", "甲"}, {"b", "{a} {unknown} {"}, {"empty", ""}, {"obj.key", "乙"}, {"list[0].key", "丙"}};

bool IsKnown(std::string_view name) { return kValues.find(name) != kValues.end(); }
void AppendValue(std::string_view name, std::string* out) { *out += kValues.find(name)->second; }

std::string Expand(std::string_view text) {
  Result<PromptTemplate> parsed = PromptTemplate::Parse(text, "test", IsKnown);
  REQUIRE(parsed.ok());
  return parsed->Expand(AppendValue);
}

TEST_CASE("PromptTemplate puts values in once") {
  CHECK(Expand("x{a}y{obj.key}z{list[0].key}") == "x甲y乙z丙");
  CHECK(Expand("{a}{a}") == "甲甲");
  CHECK(Expand("{b}") == "{a} {unknown} {");
  CHECK(Expand("{{a}}") == "{甲}");
}

TEST_CASE("PromptTemplate leaves other braces alone") {
  for (const char* text : {"{\"title\": \"x\"}", "{標題}", "{ a }", "{}", "{1}", "{", "}", "a}"}) {
    CAPTURE(std::string(text));
    CHECK(Expand(text) == text);
  }
}

TEST_CASE("PromptTemplate leaves out lines whose placeholders are all empty") {
  CHECK(Expand("1\n標籤：{empty}\n2") == "1\n2");
  CHECK(Expand("標籤：{empty}{a}") == "標籤：甲");
  CHECK(Expand("1\n\n{empty}\n\n2") == "1\n\n2");
  CHECK(Expand("{empty}\n\n1\n{empty}\n\n") == "1");
  CHECK(Expand("{empty}").empty());
  CHECK(Expand("").empty());
  CHECK(Expand("1\r\n{a}\r\n") == "1\n甲");
}

TEST_CASE("PromptTemplate names the source and the placeholder that is wrong") {
  for (const char* text : {"{nope}", "x {nope} {a}", "{a}\n{obj.nope}", "{a b}", "{list[1].key}"}) {
    CAPTURE(std::string(text));
    const Result<PromptTemplate> parsed = PromptTemplate::Parse(text, "file.txt", IsKnown);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == Code::kInvalidConfig);
    CHECK(parsed.error().details.field == "prompts.dir");
    CHECK(parsed.error().message.find("file.txt") != std::string::npos);
  }
  const Result<PromptTemplate> unknown = PromptTemplate::Parse("{nope}", "file.txt", IsKnown);
  CHECK(unknown.error().message ==
        "prompt template file.txt: unknown placeholder {nope}; docs/prompts.md lists the "
        "placeholders");
  const Result<PromptTemplate> open = PromptTemplate::Parse("x {nope", "file.txt", IsKnown);
  REQUIRE_FALSE(open.ok());
  CHECK(open.error().message.find("no closing brace for {nope}") != std::string::npos);
}

TEST_CASE("PromptTemplate::Mentions looks at placeholders and not at text") {
  Result<PromptTemplate> parsed = PromptTemplate::Parse("b {a}", "test", IsKnown);
  REQUIRE(parsed.ok());
  CHECK(parsed->Mentions([](std::string_view name) { return name == "a"; }));
  CHECK_FALSE(parsed->Mentions([](std::string_view name) { return name == "b"; }));
}

}  // namespace
}  // namespace postgen
