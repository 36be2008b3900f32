#include "version/early_stop.h"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "text/utf8.h"
#include "version/reply_text.h"
#include "version/word_limit.h"

namespace postgen {
namespace {

// What is left of `reply` when it comes in such pieces; all of it where it is never enough.
std::string Keep(std::string_view reply, std::int64_t max_words, std::string_view posting_type,
                 const std::vector<std::size_t>& cuts) {
  EarlyStop stop(max_words, posting_type);
  std::size_t begin = 0;
  std::size_t shown = 0;
  for (std::size_t i = 0; i <= cuts.size() && !stop.enough(); ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : reply.size();
    stop.Push(reply.substr(begin, end - begin));
    CHECK(stop.ready() >= shown);  // nothing that was shown is taken back
    CHECK(stop.ready() <= end);
    shown = stop.ready();
    begin = end;
  }
  return std::string(stop.enough() ? reply.substr(0, shown) : reply);
}

std::vector<std::size_t> EveryCodePoint(std::string_view text) {
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < text.size();) {
    NextCodePoint(text, &at);
    if (at < text.size()) cuts.push_back(at);
  }
  return cuts;
}

struct Case {
  const char* what;
  std::string reply;
  std::int64_t max_words;
  std::string kept;  // of the body, as parsed
  const char* posting_type = "analysis";
};

const std::string kTitle = "標題：站回月線\n內容：";

const Case kCases[] = {
    {"beyond the limit", kTitle + "一二三四。五六七八。九十", 6, "一二三四。五六七八。"},
    {"not at the limit itself", kTitle + "一二三四。五六七八。九十。十一", 10,
     "一二三四。五六七八。九十。"},
    {"one below it", kTitle + "一二三四。五六七八。九十。十一", 9, "一二三四。五六七八。"},
    {"no sentence ends", kTitle + "一二三四五六七八九十，一二三四五六", 5,
     "一二三四五六七八九十，一二三四五六"},
    {"only the last one", kTitle + "一二三四五六七八九十。", 5, "一二三四五六七八九十。"},
    {"decimal point", kTitle + "一二三四五 3.14 六 2,330.5 元。七", 5,
     "一二三四五 3.14 六 2,330.5 元。"},
    {"marks and closers stay", kTitle + "他說「一二三！！」四", 3, "他說「一二三！！」"},
    {"not in a bracket", kTitle + "他說（一二三。四五）六。七", 3, "他說（一二三。四五）六。"},
    {"a line's end", kTitle + "一二三四五\n\n六七", 3, "一二三四五"},
    {"list", kTitle + "一二三四五\n- 六七\n- 八九", 3, "一二三四五"},
    {"numbered", kTitle + "一二三四五。\n1. 六七。", 3, "一二三四五。"},
    {"bold", kTitle + "**一二三四五。** 六七", 3, "一二三四五。"},
    {"title and labels do not count", "標題：很長很長很長很長的標題\n\n**內容：**一二。三四。五", 3,
     "一二。三四。"},
    {"question", kTitle + "一二三四五。六七？八", 3, "一二三四五。六七？", "interaction"},
    {"no question", kTitle + "一二三四五。六七。八", 3, "一二三四五。六七。八", "interaction"},
    {"not in the format", "一二三四五。六七。八九。", 3, "一二三四五。六七。八九。"},
    {"labels the other way round", "內容：一二三。四五。六\n標題：站回", 3, "一二三。四五。六"},
};

TEST_CASE("a reply ends with the first sentence beyond the limit, however it was cut") {
  for (const Case& c : kCases) {
    CAPTURE(std::string(c.what));
    const std::string whole = Keep(c.reply, c.max_words, c.posting_type, {});
    CHECK(ParseReply(whole).content == c.kept);
    CHECK(c.reply.starts_with(whole));
    const std::vector<std::size_t> all = EveryCodePoint(c.reply);
    CHECK(ParseReply(Keep(c.reply, c.max_words, c.posting_type, all)).content == c.kept);
    for (const std::size_t cut : all) {
      CHECK(ParseReply(Keep(c.reply, c.max_words, c.posting_type, {cut})).content == c.kept);
    }
  }
}

TEST_CASE("any reply: what is kept ends a sentence beyond the limit, and no earlier one does") {
  const std::vector<std::string_view> words = {"量", "能", "，",   "。",    "？", "！",
                                               "…",  "\n", "\n- ", "3.14 ", "「", "」",
                                               "（", "）", "**",   "MA20"};
  int stopped = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 rng(seed);
    std::string reply = kTitle + "量";
    for (int i = 0; i < 120; ++i) reply += words[rng() % words.size()];
    const auto max_words = static_cast<std::int64_t>(10 + rng() % 60);
    std::vector<std::size_t> cuts;
    for (const std::size_t cut : EveryCodePoint(reply)) {
      if (rng() % 4 == 0) cuts.push_back(cut);
    }
    const std::string kept = Keep(reply, max_words, "analysis", cuts);
    REQUIRE(reply.starts_with(kept));
    if (kept.size() == reply.size()) continue;
    ++stopped;
    const std::string body = ParseReply(kept).content;
    CHECK(static_cast<std::int64_t>(CountCodePoints(body)) > max_words);
    SentenceScanner sentences;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t begin = at;
      const char32_t c = NextCodePoint(body, &at);
      const auto end = sentences.Push(c, at - begin);
      if (end) CHECK(end->words <= max_words);
    }
    sentences.Push(U'\n', 1);  // the end of the line, which also closes brackets
    REQUIRE(sentences.End());
    CHECK(sentences.End()->bytes == body.size());
  }
  CHECK(stopped > 1000);
}

}  // namespace
}  // namespace postgen
