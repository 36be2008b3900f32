#include "version/word_limit.h"

#include <string>

#include <doctest/doctest.h>

#include "text/utf8.h"

namespace postgen {
namespace {

struct Case {
  const char* what;
  const char* content;
  std::int64_t max_words;
  const char* expected;  // nullptr: left as it is
};

void Check(const Case& c, const char* posting_type) {
  CAPTURE(std::string(c.what));
  const LimitedText text = HoldWordLimit(c.content, c.max_words, posting_type);
  CHECK(text.content == (c.expected != nullptr ? c.expected : c.content));
  CHECK(text.words == static_cast<std::int64_t>(CountCodePoints(text.content)));
  CHECK(text.within_limit == (text.words <= c.max_words));
  CHECK(text.shortened == (c.expected != nullptr));
}

TEST_CASE("HoldWordLimit drops whole sentences at the end") {
  const Case cases[] = {
      {"fits", "量能回溫。站回月線。", 10, nullptr},
      {"one over", "量能回溫。站回月線。", 9, nullptr},  // 5 of 9 is too little
      {"last sentence goes", "一二三四五六。七八九。", 10, "一二三四五六。"},
      {"two go", "一二三四五六。七八。九十。", 9, "一二三四五六。"},
      {"as few as possible", "一二三四五六。七八。九十。", 10, "一二三四五六。七八。"},
      {"line ends count", "一二三四五六\n七八九", 9, "一二三四五六"},
      {"no space is left behind", "一二三四五六。\n\n七八九十。", 8, "一二三四五六。"},
      {"marks stay together", "一二三四五！！！七八九十。", 9, "一二三四五！！！"},
      {"quote closes", "他說「一二三。」四五六七。", 9, "他說「一二三。」"},
      {"not inside a quote", "他說「一二三。四五六七」，走了。", 9, nullptr},
      {"after a quote", "一二三四五。他說「六。七。」", 10, "一二三四五。"},
      {"one long sentence", "一二三四五六七八九十一二", 10, nullptr},
      {"60 % are enough", "一二三四五。七八九十一二三", 10, "一二三四五。"},
      {"less than 60 %", "一二三四。六七八九十一二三", 10, nullptr},
      {"question is no matter", "一二三四五六。七八九十？", 10, "一二三四五六。"},
      {"Latin letters and digits", "MA20=985。成交量再看看。", 10, "MA20=985。"},
  };
  for (const Case& c : cases) {
    Check(c, "analysis");
    Check(c, "personalized");
  }
}

TEST_CASE("HoldWordLimit leaves an interaction post ending in a question") {
  const Case cases[] = {
      {"fits", "還能追嗎？", 10, nullptr},
      {"fits without question", "還能追。", 10, nullptr},
      {"question remains", "一二三四五六？七八九十。", 10, "一二三四五六？"},
      {"statement after it goes, too", "一二三四五六？七八。九十一。", 10, "一二三四五六？"},
      {"question would go", "一二三四五六。七八九十？", 10, nullptr},
      {"half width", "一二三四五六?七八九十。", 10, "一二三四五六?"},
      {"quoted question", "他問「一二三？」七八九十。", 9, "他問「一二三？」"},
  };
  for (const Case& c : cases) Check(c, "interaction");
}

}  // namespace
}  // namespace postgen
