#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "text_writer.h"
#include "utf8.h"

using namespace emulator;

namespace {

PromptHints Hints(std::size_t limit, bool question = false) {
  PromptHints hints;
  hints.stock_name = "台積電";
  hints.stock_code = "2330";
  hints.word_limit = limit;
  hints.labels = true;
  hints.title = true;
  hints.question = question;
  return hints;
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::set<std::string> Sentences(const std::string& text) {
  std::set<std::string> sentences;
  std::size_t begin = 0;
  for (std::size_t at = text.find("。"); at != std::string::npos; at = text.find("。", begin)) {
    sentences.insert(text.substr(begin, at - begin));
    begin = at + std::string("。").size();
  }
  return sentences;
}

constexpr Angle kAngles[] = {Angle::kTechnical, Angle::kFundamental, Angle::kSentiment,
                             Angle::kStrategy, Angle::kRisk};

}  // namespace

TEST_CASE("bodies keep to the limit, name the stock and end in a whole sentence") {
  for (bool question : {false, true}) {
    for (std::size_t limit : std::vector<std::size_t>{50, 80, 150, 200, 600, 1500, 4000}) {
      for (std::uint64_t seed = 0; seed < 40; ++seed) {
        PromptHints hints = Hints(limit, question);
        hints.direction = static_cast<Direction>(seed % 3);
        hints.angle = static_cast<Angle>(seed % 6);
        Rng rng(Mix(seed, limit));
        Post post = WritePost(hints, 1, seed, rng);
        CAPTURE(post.body);
        double share = static_cast<double>(CountCodePoints(post.body)) / static_cast<double>(limit);
        CHECK(share >= 0.75);
        CHECK(share <= 0.98);
        CHECK(Contains(post.body, "台積電"));
        CHECK(Contains(post.body, "2330"));
        CHECK(Count(post.body, "？") == (question ? 1 : 0));
        CHECK(EndsWith(post.body, question ? "？" : "。"));
        CHECK_FALSE(Contains(post.body, "["));
        CHECK_FALSE(Contains(post.body, "{"));
        CHECK(CountCodePoints(post.title) <= 20);
        if (question) CHECK(CountCodePoints(post.title) >= 10);
      }
    }
  }
}

TEST_CASE("the length factor moves the length off the limit") {
  for (double factor : {0.5, 1.37, 2.0}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      Rng rng(seed);
      Post post = WritePost(Hints(200), factor, seed, rng);
      double length = static_cast<double>(CountCodePoints(post.body));
      CHECK(length / (200 * factor) == doctest::Approx(1).epsilon(0.031));
    }
  }
}

TEST_CASE("limits too small for a sentence do no harm") {
  for (std::size_t limit = 1; limit < 30; ++limit) {
    Rng rng(limit);
    CHECK_FALSE(WritePost(Hints(limit), 1, limit, rng).body.empty());
  }
}

TEST_CASE("texts on falling stocks speak of no opportunity, others of no fall") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    PromptHints hints = Hints(600, seed % 2 == 0);
    Rng rng(seed);
    hints.direction = Direction::kLimitDown;
    Post down = WritePost(hints, 1, seed, rng);
    CHECK_FALSE(Contains(down.body, "機會"));
    CHECK_FALSE(Contains(down.body, "漲停"));
    CHECK(Contains(down.body + down.title, "跌停"));
    hints.direction = Direction::kNone;
    Post neutral = WritePost(hints, 1, seed, rng);
    CHECK_FALSE(Contains(neutral.body + neutral.title, "停鎖"));
    CHECK_FALSE(Contains(neutral.body, "跌停"));
    CHECK_FALSE(Contains(neutral.body, "漲停"));
  }
}

TEST_CASE("five versions with five angles share no sentence") {
  for (std::uint64_t post = 0; post < 50; ++post) {
    std::set<std::string> seen;
    for (std::uint64_t version = 0; version < 5; ++version) {
      PromptHints hints = Hints(150);
      hints.angle = kAngles[version];
      Rng rng(Mix(post, version));
      std::string body = WritePost(hints, 1, post * 5 + version, rng).body;
      for (const std::string& sentence : Sentences(body)) {
        CAPTURE(sentence);
        CHECK(seen.insert(sentence).second);
      }
    }
  }
}

TEST_CASE("an answer depends on its seed and turn alone") {
  PromptHints hints = Hints(150);
  std::string answer = WriteAnswer(hints, Shape::kLabels, 1, 3, 7);
  CHECK(answer == WriteAnswer(hints, Shape::kLabels, 1, 3, 7));
  CHECK(answer != WriteAnswer(hints, Shape::kLabels, 1, 3, 8));
}

TEST_CASE("shapes") {
  PromptHints hints = Hints(80);
  auto answer = [&](Shape shape) { return WriteAnswer(hints, shape, 1, 0, 1); };
  CHECK(answer(Shape::kLabels).rfind("標題：", 0) == 0);
  CHECK(Contains(answer(Shape::kLabels), "\n內容："));
  CHECK(answer(Shape::kBold).rfind("**標題：** ", 0) == 0);
  CHECK(answer(Shape::kFence).rfind("```\n標題：", 0) == 0);
  CHECK(EndsWith(answer(Shape::kFence), "\n```"));
  CHECK(Contains(answer(Shape::kPreamble), "：\n\n標題："));
  CHECK_FALSE(Contains(answer(Shape::kOneLine), "\n"));
  CHECK(answer(Shape::kBodyFirst).rfind("內容：", 0) == 0);
  CHECK(answer(Shape::kSimplified).rfind("标题：", 0) == 0);
  CHECK(answer(Shape::kBrackets).rfind("標題：[", 0) == 0);
  CHECK_FALSE(Contains(answer(Shape::kNoLabels), "標題"));
  CHECK_FALSE(Contains(answer(Shape::kTitleOnly), "內容"));
  CHECK_FALSE(Contains(answer(Shape::kBodyOnly), "："));

  hints.labels = false;
  CHECK_FALSE(Contains(answer(Shape::kLabels), "標題"));
  hints.json = true;
  CHECK(answer(Shape::kLabels).rfind(R"({"title":")", 0) == 0);
  hints.versions = 5;
  CHECK(Count(answer(Shape::kLabels), R"("content")") == 5);
  hints.json = false;
  hints.labels = true;
  CHECK(Count(answer(Shape::kLabels), "標題：") == 5);
}

TEST_CASE("a prompt without a stock gets a text without one") {
  PromptHints hints;
  Rng rng(1);
  Post post = WritePost(hints, 1, 0, rng);
  CHECK_FALSE(Contains(post.body, "("));
  CHECK_FALSE(Contains(post.body, "{"));
}
