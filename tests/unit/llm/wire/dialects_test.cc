// Replies as servers write them (dialects/*), each with what must come of it, at every cut and with
// every line end. A fixture's first line says where it is from, the second what to expect:
//
//   # text TEXT finish KIND usage PROMPT/COMPLETION/CACHED|none [error CODE]
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "llm/wire/reply_reader.h"
#include "unit/llm/wire/outcome.h"

namespace postgen {
namespace {

struct Fixture {
  std::string name;
  std::string source;
  std::string body;
  ReplyForm form = ReplyForm::kEventStream;
  std::string text;
  std::string finish;
  std::optional<Usage> usage;
  std::optional<std::string> error;
};

Fixture ReadFixture(const std::filesystem::path& path) {
  Fixture fixture;
  fixture.name = path.filename().string();
  fixture.form = path.extension() == ".sse" ? ReplyForm::kEventStream : ReplyForm::kWholeBody;
  std::ifstream file(path, std::ios::binary);
  std::string expectation;
  std::getline(file, fixture.source);
  std::getline(file, expectation);
  std::ostringstream rest;
  rest << file.rdbuf();
  fixture.body = rest.str();

  std::istringstream words(expectation);
  std::string word;
  std::string usage;
  words >> word >> word >> fixture.text >> word >> fixture.finish >> word >> usage;
  if (fixture.text == "-") fixture.text.clear();
  if (usage != "none") {
    Usage numbers;
    char slash = 0;
    std::istringstream(usage) >> numbers.prompt_tokens >> slash >> numbers.completion_tokens >>
        slash >> numbers.cached_tokens;
    fixture.usage = numbers;
  }
  if (words >> word) {
    words >> word;
    fixture.error = word;
  }
  return fixture;
}

std::vector<Fixture> Fixtures() {
  std::vector<Fixture> fixtures;
  for (const auto& entry : std::filesystem::directory_iterator(POSTGEN_DIALECTS)) {
    fixtures.push_back(ReadFixture(entry.path()));
  }
  return fixtures;
}

std::string_view Name(FinishReason::Kind kind) {
  switch (kind) {
    case FinishReason::Kind::kNone: return "none";
    case FinishReason::Kind::kStop: return "stop";
    case FinishReason::Kind::kLength: return "length";
    case FinishReason::Kind::kContentFilter: return "content_filter";
    default: return "other";
  }
}

void CheckIsExpected(const Fixture& fixture, const Outcome& outcome) {
  CHECK(outcome.text == fixture.text);
  CHECK(outcome.delivered == fixture.text);
  CHECK(Name(outcome.finish_reason.kind) == fixture.finish);
  CHECK(outcome.usage == fixture.usage);
  const std::optional<std::string> error =
      outcome.code ? std::optional<std::string>(CodeName(*outcome.code)) : std::nullopt;
  CHECK(error == fixture.error);
}

std::string WithLineEnds(std::string_view text, std::string_view end) {
  std::string changed;
  for (const char c : text) {
    if (c == '\n') {
      changed += end;
    } else {
      changed += c;
    }
  }
  return changed;
}

TEST_CASE("every dialect, cut at every byte") {
  const std::vector<Fixture> fixtures = Fixtures();
  REQUIRE(fixtures.size() >= 25);
  for (const Fixture& fixture : fixtures) {
    CAPTURE(fixture.name);
    const bool sourced = fixture.source.starts_with("# From documentation: ") ||
                         fixture.source.starts_with("# Assumed");
    CHECK(sourced);
    const Outcome whole = ReadPieces({fixture.body}, fixture.form);
    CheckIsExpected(fixture, whole);
    std::vector<std::string> bytes;
    for (const char c : fixture.body) bytes.emplace_back(1, c);
    CHECK(ReadPieces(bytes, fixture.form) == whole);
    for (std::size_t cut = 1; cut < fixture.body.size(); ++cut) {
      if (ReadPieces({fixture.body.substr(0, cut), fixture.body.substr(cut)}, fixture.form) ==
          whole) {
        continue;
      }
      CAPTURE(cut);
      CHECK_MESSAGE(false, "cut differently, it reads differently");
    }
  }
}

TEST_CASE("every dialect with every line end, and behind a byte order mark") {
  for (const Fixture& fixture : Fixtures()) {
    if (fixture.form != ReplyForm::kEventStream) continue;
    CAPTURE(fixture.name);
    for (const std::string_view end : {"\r", "\r\n"}) {
      CAPTURE(end);
      const std::string changed = WithLineEnds(fixture.body, end);
      CheckIsExpected(fixture, ReadPieces({changed}, fixture.form));
      std::vector<std::string> bytes;
      for (const char c : changed) bytes.emplace_back(1, c);
      CheckIsExpected(fixture, ReadPieces(bytes, fixture.form));
    }
    CheckIsExpected(fixture, ReadPieces({"\xEF\xBB\xBF" + fixture.body}, fixture.form));
  }
}

TEST_CASE("every dialect that ends well, ended at every byte: never complete too early") {
  for (const Fixture& fixture : Fixtures()) {
    if (fixture.error) continue;
    CAPTURE(fixture.name);
    bool complete = false;
    for (std::size_t length = 0; length < fixture.body.size(); ++length) {
      const Outcome cut = ReadPieces({fixture.body.substr(0, length)}, fixture.form);
      REQUIRE(cut.ended);
      if (cut.code) {
        const bool told = *cut.code == Code::kTruncated || *cut.code == Code::kProtocol ||
                          *cut.code == Code::kEncoding;
        CHECK(told);
        CHECK(!complete);  // once complete, always complete
        continue;
      }
      complete = true;
      CHECK(cut.text == fixture.text);
      CHECK(Name(cut.finish_reason.kind) == fixture.finish);
    }
  }
}

}  // namespace
}  // namespace postgen
