#include "llm/transport/reply_head.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace postgen {
namespace {

using Line = ReplyHead::Line;

TEST_CASE("status lines of every version") {
  struct Case {
    std::string_view line;
    int status;
  };
  for (const Case& c : {Case{"HTTP/1.1 200 OK\r\n", 200}, Case{"HTTP/2 404 \r\n", 404},
                        Case{"HTTP/1.1 503\r\n", 503}, Case{"HTTP/1.0 200 OK\n", 200},
                        Case{"HTTP/1.1 101 Switching Protocols\r\n", 101}}) {
    ReplyHead head;
    CAPTURE(c.line);
    CHECK(head.Push(c.line) == Line::kMore);
    CHECK(!head.complete());
    CHECK(head.Push("\r\n") == Line::kComplete);
    CHECK(head.complete());
    CHECK(head.head().status == c.status);
  }
}

TEST_CASE("header names become lower case, values are trimmed, the last one wins") {
  ReplyHead head;
  for (const std::string_view line :
       {"HTTP/1.1 200 OK\r\n", "X-Request-ID:  Req 1 \r\n", "no colon\r\n", "Empty:\r\n",
        "retry-after: 1\r\n", "Retry-After: 2\r\n", "\r\n"}) {
    head.Push(line);
  }
  REQUIRE(head.complete());
  CHECK(head.head().headers.size() == 4);
  CHECK(head.head().Find("x-request-id") == "Req 1");
  CHECK(head.head().Find("X-Request-ID").empty());
  CHECK(head.head().Find("empty").empty());
  CHECK(head.head().Find("retry-after") == "2");
  CHECK(head.head().Find("absent").empty());
}

TEST_CASE("interim heads are passed over, trailers are ignored") {
  ReplyHead head;
  for (const std::string_view line : {"HTTP/1.1 100 Continue\r\n", "x-early: 1\r\n", "\r\n",
                                      "HTTP/1.1 103 Early Hints\r\n", "\r\n"}) {
    CHECK(head.Push(line) == Line::kMore);
  }
  CHECK(!head.complete());
  head.Push("HTTP/1.1 201 Created\r\n");
  CHECK(head.Push("\r\n") == Line::kComplete);
  CHECK(head.head().status == 201);
  CHECK(head.head().headers.size() == 0);
  CHECK(head.Push("x-trailer: 1\r\n") == Line::kMore);
  CHECK(head.head().headers.size() == 0);
}

TEST_CASE("a head may be so large and no larger, interim heads included") {
  const std::string line = "x: " + std::string(1019, 'v') + "\r\n";
  REQUIRE(line.size() == 1024);
  ReplyHead head;
  for (std::size_t n = 0; n < ReplyHead::kMaxBytes / 1024; ++n) {
    CHECK(head.Push(line) == Line::kMore);
  }
  CHECK(head.Push("\r\n") == Line::kTooLarge);

  ReplyHead endless;
  Line last = Line::kMore;
  for (std::size_t n = 0; n < ReplyHead::kMaxBytes && last == Line::kMore; ++n) {
    last = endless.Push("HTTP/1.1 100 Continue\r\n");
    if (last == Line::kMore) last = endless.Push("\r\n");
  }
  CHECK(last == Line::kTooLarge);
}

}  // namespace
}  // namespace postgen
