#include <doctest/doctest.h>

#include <string>

#include "prompt_reader.h"

using namespace emulator;

namespace {

ChatRequest Prompt(std::string user, std::string system = "") {
  ChatRequest request;
  request.model = "gpt-4o-mini";
  if (!system.empty()) request.messages.push_back({"system", std::move(system)});
  request.messages.push_back({"user", std::move(user)});
  return request;
}

std::string Stock(std::string_view text) {
  std::string name;
  std::string code;
  FindStock(text, &name, &code);
  return name + "|" + code;
}

TEST_CASE("a target beside the limit") {
  CHECK(FindWordTarget("內容必須在 200 個字以內；請以 160 字左右為目標。") == 160);
  CHECK(FindWordLimit("內容必須在 200 個字以內；請以 160 字左右為目標。") == 200);
  CHECK(FindWordTarget("標題：15 字左右，最多 20 字。") == 0);
  CHECK(FindWordTarget("200 個字以內") == 0);
}

}  // namespace

TEST_CASE("the stock is found with either kind of bracket and without what leads to it") {
  CHECK(Stock("台積電(2330)") == "台積電|2330");
  CHECK(Stock("股票：台積電（2330）漲停") == "台積電|2330");
  CHECK(Stock("請為台積電(2330)寫一篇") == "台積電|2330");
  CHECK(Stock("請針對鴻海 (2317) 撰寫") == "鴻海|2317");
  CHECK(Stock("元大台灣50正2(00631L)") == "元大台灣50正2|00631L");
  CHECK(Stock("分析為升(2231)的走勢，為升(2231)今天") == "為升|2231");
  CHECK(Stock("我說台積電(2330)好。所以台積電(2330)呢") == "台積電|2330");
  CHECK(Stock("股票名稱: 聯發科\n股票代號: 2454") == "聯發科|2454");
  CHECK(Stock("字數(150)以內，共(12)段") == "|");
  CHECK(Stock("") == "|");
}

TEST_CASE("of several numbers of characters the body's limit is taken") {
  CHECK(FindWordLimit("請控制在 150 字以內") == 150);
  CHECK(FindWordLimit("不超過80個字") == 80);
  CHECK(FindWordLimit("標題 20 字以內，內容 200 字以內") == 200);
  CHECK(FindWordLimit("內容 200 字以內，標題 20 字以內") == 200);
  CHECK(FindWordLimit("標題10-20字。\n字數上限：50 字（嚴格遵守）") == 50);
  CHECK(FindWordLimit("參考前 200 字。最多 600 字") == 600);
  CHECK(FindWordLimit("寫 300 個字左右") == 300);
  CHECK(FindWordLimit("標題不超過 15 字") == 0);
  CHECK(FindWordLimit("沒有數字") == 0);
  CHECK(FindWordLimit("99999999999999999999字") == 0);
  CHECK(FindWordLimit("0 字以內") == 0);
}

TEST_CASE("labels, questions, versions, angle and direction are read") {
  PromptHints hints = ReadPrompt(Prompt(
      "為台積電(2330)寫分析，角度：風險評估提醒。今日跌停。\n150 字以內\n標題：...\n內容：..."));
  CHECK(hints.labels);
  CHECK(hints.title);
  CHECK_FALSE(hints.question);
  CHECK(hints.word_limit == 150);
  CHECK(hints.versions == 1);
  CHECK(hints.angle == Angle::kRisk);
  CHECK(hints.direction == Direction::kLimitDown);

  hints = ReadPrompt(Prompt("台積電(2330) 互動貼文，從技術指標角度提一個問題"));
  CHECK(hints.question);
  CHECK(hints.word_limit == 80);
  CHECK(hints.angle == Angle::kTechnical);
  CHECK_FALSE(hints.labels);

  CHECK(ReadPrompt(Prompt("請產生 5 個版本")).versions == 5);
  CHECK(ReadPrompt(Prompt("請寫出五個不同版本")).versions == 5);
  CHECK(ReadPrompt(Prompt("這是第 3 個版本")).versions == 1);
}

TEST_CASE("rules in the system message do not make the stock fall") {
  PromptHints hints = ReadPrompt(Prompt("台積電(2330)今日漲停", "跌停股不可說成機會。150 字以內"));
  CHECK(hints.direction == Direction::kLimitUp);
  CHECK(hints.word_limit == 150);
  CHECK(ReadPrompt(Prompt("台積電(2330)", "跌停股不可說成機會")).direction == Direction::kNone);
}

TEST_CASE("any bytes can be read") {
  for (const char* text : {"(", "（", "(2330)", "）（", "字", "個字", "\xe5\xad", "標題", "個版本",
                           "角度", "2330)字(2330)"}) {
    CHECK_NOTHROW(ReadPrompt(Prompt(text, text)));
  }
}
