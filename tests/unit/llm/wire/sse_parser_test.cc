#include "llm/wire/sse_parser.h"

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;  // type, data

constexpr std::size_t kBound = 1U << 20U;
constexpr const char* kTooLarge = "(too large)";

void Drain(SseParser* parser, Events* events) {
  SseEvent event;
  for (;;) {
    switch (parser->Next(&event)) {
      case SseParser::Step::kEvent: events->emplace_back(event.type, event.data); break;
      case SseParser::Step::kNeedMore: return;
      case SseParser::Step::kTooLarge: events->emplace_back(kTooLarge, ""); return;
    }
  }
}

// Each piece is a fragment of its own in memory, so that a view kept too long is a finding of ASan.
Events Parse(const std::vector<std::string>& pieces, std::size_t bound = kBound) {
  SseParser parser(bound);
  Events events;
  for (const std::string& piece : pieces) {
    const std::string fragment = piece;
    parser.Feed(fragment);
    Drain(&parser, &events);
    if (!events.empty() && events.back().first == kTooLarge) return events;
  }
  SseEvent event;
  if (parser.AtEnd(&event) == SseParser::Step::kEvent) {
    events.emplace_back("(at end) " + std::string(event.type), event.data);
  }
  return events;
}

std::vector<std::string> SingleBytes(const std::string& stream) {
  std::vector<std::string> pieces;
  for (const char c : stream) pieces.emplace_back(1, c);
  return pieces;
}

struct Case {
  std::string_view name;
  std::string stream;
  Events events;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"line feeds", "data: a\n\ndata: b\n\n", {{"", "a"}, {"", "b"}}},
      {"carriage returns", "data: a\r\rdata: b\r\r", {{"", "a"}, {"", "b"}}},
      {"both", "data: a\r\n\r\ndata: b\r\n\r\n", {{"", "a"}, {"", "b"}}},
      {"mixed line ends", "data: a\r\n\ndata: b\r\r\n", {{"", "a"}, {"", "b"}}},
      {"no space after the colon", "data:a\n\n", {{"", "a"}}},
      {"one space only is taken", "data:  a \n\n", {{"", " a "}}},
      {"several data lines", "data: a\ndata:\ndata: c\n\n", {{"", "a\n\nc"}}},
      {"a field without a colon", "data\n\n", {{"", ""}}},
      {"empty data is an event", "data:\n\n", {{"", ""}}},
      {"no data, no event", "event: ping\n\nid: 7\n\n", {}},
      {"the type ends with its event", "event: x\ndata: a\n\ndata: b\n\n", {{"x", "a"}, {"", "b"}}},
      {"the type without data is forgotten", "event: x\n\ndata: b\n\n", {{"", "b"}}},
      {"comments", ": OPENROUTER PROCESSING\n\n:\n\ndata: a\n: in between\n\n", {{"", "a"}}},
      {"id and retry", "id: 1\nretry: 10\ndata: a\n\n", {{"", "a"}}},
      {"unknown fields and near misses", "datas: x\nDATA: y\n data: z\ndata: a\n\n", {{"", "a"}}},
      {"byte order mark",
       "\xEF\xBB\xBF"
       "data: a\n\n",
       {{"", "a"}}},
      {"a mark later on is text",
       "data: a\n\n\xEF\xBB\xBF"
       "data: b\n\n",
       {{"", "a"}}},
      {"other line separators are text",
       "data: a\x0B\x0C\xC2\x85\xE2\x80\xA8\xE2\x80\xA9z\n\n",
       {{"", "a\x0B\x0C\xC2\x85\xE2\x80\xA8\xE2\x80\xA9z"}}},
      {"a NUL is text", std::string("data: a\0b\n\n", 11), {{"", std::string("a\0b", 3)}}},
      {"colons in the value", "data: {\"a\": 1}\n\n", {{"", "{\"a\": 1}"}}},
      {"unterminated event", "data: a\n\ndata: [DONE]", {{"", "a"}, {"(at end) ", "[DONE]"}}},
      {"unterminated event after its line", "event: x\ndata: a\n", {{"(at end) x", "a"}}},
      {"nothing at the end", "data: a\n\n: bye", {{"", "a"}}},
      {"empty stream", "", {}},
  };
  return cases;
}

TEST_CASE("the standard's rules") {
  for (const Case& c : Cases()) {
    CAPTURE(c.name);
    CHECK(Parse({c.stream}) == c.events);
  }
}

TEST_CASE("events do not depend on how the stream was cut") {
  std::mt19937 rng(20260801);
  for (const Case& c : Cases()) {
    CAPTURE(c.name);
    for (std::size_t cut = 0; cut <= c.stream.size(); ++cut) {
      CAPTURE(cut);
      CHECK(Parse({c.stream.substr(0, cut), c.stream.substr(cut)}) == c.events);
    }
    CHECK(Parse(SingleBytes(c.stream)) == c.events);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < c.stream.size();) {
        const std::size_t size = std::uniform_int_distribution<std::size_t>(0, 9)(rng);
        pieces.push_back(c.stream.substr(at, size));
        at += size;
      }
      CHECK(Parse(pieces) == c.events);
    }
  }
}

TEST_CASE("an event within one fragment is not copied") {
  const std::string fragment = "data: first\n\ndata: second\n\n";
  SseParser parser(kBound);
  parser.Feed(fragment);
  SseEvent event;
  int seen = 0;
  while (parser.Next(&event) == SseParser::Step::kEvent) {
    ++seen;
    CHECK(event.data.data() >= fragment.data());
    CHECK(event.data.data() < fragment.data() + fragment.size());
  }
  CHECK(seen == 2);
}

TEST_CASE("the bound holds for lines, comments and joined data, wherever the cuts are") {
  struct {
    std::string_view name;
    std::string stream;
    Events events;
  } const cases[] = {
      {"at the bound", "data: " + std::string(10, 'x') + "\n\n", {{"", std::string(10, 'x')}}},
      {"over it",
       "data: a\n\ndata: " + std::string(11, 'x') + "\n\n",
       {{"", "a"}, {kTooLarge, ""}}},
      {"without an end", "data: " + std::string(60, 'x'), {{kTooLarge, ""}}},
      {"a comment", ":" + std::string(60, 'x') + "\n\n", {{kTooLarge, ""}}},
      {"many lines", "data: abcdefg\ndata: hijk\n\n", {{kTooLarge, ""}}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(Parse({c.stream}, 16) == c.events);
    CHECK(Parse(SingleBytes(c.stream), 16) == c.events);
  }
}

TEST_CASE("a stream of one kind of line end is read in one go") {
  // Searching for the other kind again for each line would make this quadratic.
  for (const std::string end : {"\r", "\n"}) {
    std::string stream;
    for (int i = 0; i < 200000; ++i) stream += "data:x" + end + end;
    CHECK(Parse({stream}).size() == 200000);
  }
}

TEST_CASE("an event of megabytes in single bytes") {
  const std::string data(std::size_t{3} << 20U, 'x');
  const Events events = Parse(SingleBytes("data: " + data + "\n\n"), std::size_t{4} << 20U);
  REQUIRE(events.size() == 1);
  CHECK(events[0].second == data);
}

TEST_CASE("a reset forgets everything") {
  SseParser parser(kBound);
  Events events;
  parser.Feed("event: x\ndata: half");
  Drain(&parser, &events);
  parser.Reset();
  parser.Feed("data: whole\n\n");
  Drain(&parser, &events);
  CHECK(events == Events{{"", "whole"}});
}

}  // namespace
}  // namespace postgen
