#include "version/reply_label.h"

#include <string_view>

#include <doctest/doctest.h>

#include "text/utf8.h"

namespace postgen {
namespace {

using Kind = LabelMatch::Kind;

TEST_CASE("MatchLabel says where the value starts") {
  const auto value = [](std::string_view line) {
    const LabelMatch match = MatchLabel(line, true);
    return match.kind == Kind::kTitle ? line.substr(match.value) : "no title";
  };
  CHECK(value("標題：甲") == "甲");
  CHECK(value("**標題**: 甲") == " 甲");
  CHECK(value("標題") == "");
  CHECK(value("【標題】甲") == "甲");
  CHECK(value("標題黨：甲") == "no title");
  CHECK(value("標題（沒有結尾的括號而且一直一直一直一直一直一直一直一直一直寫下去）：甲") ==
        "no title");
  CHECK(value("內容：甲") == "no title");
  CHECK(value("") == "no title");
}

TEST_CASE("MatchLabel never changes an answer other than kMaybe as the line goes on") {
  const std::string_view lines[] = {
      "標題：站回月線",
      "**標題：** 站回月線",
      "1. **內容** ：量能",
      "【標題】站回月線",
      "【標題】：站回月線",
      "[內容] 量能",
      "「內容」為王",
      "標題（15 字內）：站回",
      "標題（15 字內",
      "標題黨才這樣",
      "標題",
      "內容 ",
      "📌 標題：甲",
      "- - - -",
      "2330 內容：甲",
      "Title: a",
      "tit for tat",
      "貼文很長",
      "contents: a",
      "《標題》甲",
      "標題(a)(b)：甲",
      "今天量能回溫",
      "",
  };
  for (const std::string_view line : lines) {
    CAPTURE(line);
    const LabelMatch whole = MatchLabel(line, true);
    CHECK(whole.kind != Kind::kMaybe);
    for (std::size_t size = 0; size <= line.size(); ++size) {
      if (CompletePrefix(line.substr(0, size)) != size) continue;
      CAPTURE(size);
      const LabelMatch part = MatchLabel(line.substr(0, size), false);
      if (part.kind == Kind::kMaybe) continue;
      CHECK(part.kind == whole.kind);
      CHECK(part.value == whole.value);
    }
  }
}

TEST_CASE("FindInnerLabel wants a colon, and a boundary before unless told otherwise") {
  const auto find = [](std::string_view line, InnerLabel where) {
    return FindInnerLabel(line, Kind::kContent, where);
  };
  CHECK(find("a 內容：b", InnerLabel::kAfterBoundary) == 2);
  CHECK(find("a內容：b", InnerLabel::kAfterBoundary) == std::string_view::npos);
  CHECK(find("a內容：b", InnerLabel::kAnywhere) == 1);
  CHECK(find("a 內容", InnerLabel::kAnywhere) == std::string_view::npos);
  CHECK(find("a 標題：b", InnerLabel::kAnywhere) == std::string_view::npos);
}

}  // namespace
}  // namespace postgen
