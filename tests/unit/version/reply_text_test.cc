#include "version/reply_text.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "text/utf8.h"
#include "version/title_text.h"

namespace postgen {
namespace {

struct Case {
  const char* what;
  std::string_view reply;
  std::string_view title;
  std::string_view content;
};

void Check(const Case& c) {
  CAPTURE(std::string(c.what));
  const ReplyText text = ParseReply(c.reply);
  CHECK(text.title == c.title);
  CHECK(text.content == c.content);
}

TEST_CASE("ParseReply reads labels however they are written") {
  const Case cases[] = {
      {"full width", "標題：站回月線\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"half width", "標題: 站回月線\n內容: 量能回溫。", "站回月線", "量能回溫。"},
      {"body on several lines", "標題：站回月線\n內容：第一段。\n\n第二段。", "站回月線",
       "第一段。\n\n第二段。"},
      {"body below its label", "標題：站回月線\n\n內容：\n量能回溫。\n", "站回月線", "量能回溫。"},
      {"title below its label", "標題：\n站回月線\n內容：\n量能回溫。", "站回月線", "量能回溫。"},
      {"bold label", "**標題：** 站回月線\n\n**內容：** 量能回溫。", "站回月線", "量能回溫。"},
      {"bold word", "**標題**：站回月線\n**內容**：量能回溫。", "站回月線", "量能回溫。"},
      {"bold line", "**標題：站回月線**\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"bold label alone", "**標題**\n站回月線\n\n**內容**\n量能回溫。", "站回月線", "量能回溫。"},
      {"headings", "# 標題\n站回月線\n\n## 內容\n量能回溫。", "站回月線", "量能回溫。"},
      {"heading with value", "## 標題：站回月線\n## 內容：\n量能回溫。", "站回月線", "量能回溫。"},
      {"list", "- 標題：站回月線\n- 內容：量能回溫。", "站回月線", "量能回溫。"},
      {"numbered", "1. 標題：站回月線\n2. 內容：量能回溫。", "站回月線", "量能回溫。"},
      {"emoji", "📌 標題：站回月線\n✍️ 內容：量能回溫。", "站回月線",
       "量能回溫。"},
      {"lenticular labels", "【標題】站回月線\n【內容】量能回溫。", "站回月線", "量能回溫。"},
      {"bracketed labels", "[標題]：站回月線\n「內容」：量能回溫。", "站回月線", "量能回溫。"},
      {"hint repeated", "標題（15 字內）：站回月線\n內容(200字)：量能回溫。", "站回月線",
       "量能回溫。"},
      {"simplified", "标题：站回月线\n内容：量能回温。", "站回月线", "量能回温。"},
      {"other words", "貼文標題：站回月線\n內文：量能回溫。", "站回月線", "量能回溫。"},
      {"English", "Title: 站回月線\nCONTENT: 量能回溫。", "站回月線", "量能回溫。"},
      {"CRLF", "標題：站回月線\r\n\r\n內容：第一段。\r\n第二段。\r\n", "站回月線",
       "第一段。\n第二段。"},
      {"CR", "標題：站回月線\r內容：量能回溫。\r", "站回月線", "量能回溫。"},
      {"zero width",
       "\xEF\xBB\xBF標\xE2\x80\x8B題：站回月線\n\xE2\x80\x8B內容：量能回溫。\xE2\x81\xA0",
       "站回月線", "量能回溫。"},
      {"wide spaces", "　標題：　站回月線　\n　內容：　量能回溫。　", "站回月線", "量能回溫。"},
      {"indented", "  標題：站回月線\n\t內容：量能回溫。", "站回月線", "量能回溫。"},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply finds the labels wherever they stand") {
  const Case cases[] = {
      {"preamble", "好的，以下是貼文：\n\n標題：站回月線\n內容：量能回溫。", "站回月線",
       "量能回溫。"},
      {"blank lines", "\n\n\n標題：站回月線\n\n\n內容：量能回溫。\n\n\n", "站回月線", "量能回溫。"},
      {"fence", "```\n標題：站回月線\n內容：量能回溫。\n```", "站回月線", "量能回溫。"},
      {"fence with language", "```text\n標題：站回月線\n內容：量能回溫。\n```\n", "站回月線",
       "量能回溫。"},
      {"preamble and fence", "以下：\n```markdown\n標題：站回月線\n\n內容：量能回溫。\n```",
       "站回月線", "量能回溫。"},
      {"fence in the lines", "```標題：站回月線\n內容：量能回溫。```", "站回月線", "量能回溫。"},
      {"rule between", "標題：站回月線\n---\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"one line", "標題：站回月線 內容：量能回溫。", "站回月線", "量能回溫。"},
      {"one line, bold", "**標題：** 站回月線 **內容：** 量能回溫。", "站回月線", "量能回溫。"},
      {"one line, no space", "標題：站回月線內容：量能回溫。", "站回月線", "量能回溫。"},
      {"one line, then more", "標題：站回月線，內容：第一段。\n第二段。", "站回月線",
       "第一段。\n第二段。"},
      {"one line with preamble", "好的：標題：站回月線 內容：量能回溫。", "站回月線", "量能回溫。"},
      {"body first", "內容：量能回溫。\n第二段。\n標題：站回月線", "站回月線",
       "量能回溫。\n第二段。"},
      {"body first, one line", "內容：量能回溫。 標題：站回月線", "站回月線", "量能回溫。"},
      {"title in the preamble", "以下是標題：站回月線\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"body without label", "標題：站回月線\n\n量能回溫。\n第二段。", "站回月線",
       "量能回溫。\n第二段。"},
      {"body before its empty label", "標題：站回月線\n量能回溫。\n內容：", "站回月線",
       "量能回溫。"},
      {"two texts: the first", "標題：一\n內容：甲。\n\n標題：二\n內容：乙。", "一", "甲。"},
      {"body label twice", "標題：一\n內容：甲。\n內容：乙。", "一", "甲。\n乙。"},
      {"label after label", "標題：標題：一\n內容：內容：甲。", "一", "甲。"},
      {"empty title", "標題：\n內容：量能回溫，站回月線。", "量能回溫，站回月線",
       "量能回溫，站回月線。"},
      {"title without label", "站回月線\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"body label only", "好的！\n內容：量能回溫。", "量能回溫", "量能回溫。"},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply gives an empty body where the reply has none") {
  const Case cases[] = {
      {"title only", "標題：站回月線", "站回月線", ""},
      {"title and empty label", "標題：站回月線\n內容：\n", "站回月線", ""},
      {"placeholder", "標題：站回月線\n內容：[內容]", "站回月線", ""},
      {"preamble and title", "好的，以下是貼文：\n標題：站回月線\n```", "站回月線", ""},
      {"labels only", "標題：\n內容：", "", ""},
      {"placeholders only", "標題：[標題]\n內容：【內容】", "", ""},
      {"empty", "", "", ""},
      {"blank", " \n\t\r\n　\xE2\x80\x8B\n", "", ""},
      {"fence only", "```\n```", "", ""},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply takes brackets off that enclose a value") {
  const Case cases[] = {
      {"square", "標題：[站回月線]\n內容：[量能回溫。]", "站回月線", "量能回溫。"},
      {"lenticular", "標題：【站回月線】\n內容：【量能回溫。\n第二段。】", "站回月線",
       "量能回溫。\n第二段。"},
      {"corner", "標題：「站回月線」\n內容：「量能回溫。」", "站回月線", "量能回溫。"},
      {"nested", "標題：【「站回月線」】\n內容：量能回溫。", "站回月線", "量能回溫。"},
      {"ASCII quotes", "標題：\"站回月線\"\n內容：\"量能回溫。\"", "站回月線", "量能回溫。"},
      {"label inside", "標題：【標題：站回月線】\n內容：【內容：量能回溫。】", "站回月線",
       "量能回溫。"},
      {"around the labels", "【標題：站回月線】\n【內容：量能回溫。】", "站回月線", "量能回溫。"},
      {"quotes that are the text's", "標題：「站回」月線「之後」\n內容：「追」不「追」",
       "「站回」月線「之後」", "「追」不「追」"},
      {"brackets inside", "標題：站回[月線]\n內容：量能【回溫】了。", "站回[月線]",
       "量能【回溫】了。"},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply without labels takes a short first line for the title") {
  const Case cases[] = {
      {"short line", "台積電還能追嗎？\n\n量能回溫，站回月線。", "台積電還能追嗎？",
       "量能回溫，站回月線。"},
      {"heading", "# 站回月線\n量能回溫。", "站回月線", "量能回溫。"},
      {"bold", "**站回月線**\n\n量能回溫。", "站回月線", "量能回溫。"},
      {"brackets", "【站回月線】\n量能回溫。", "站回月線", "量能回溫。"},
      {"preamble first", "好的，這是您的貼文：\n\n站回月線\n量能回溫。", "站回月線", "量能回溫。"},
      {"fenced", "```\n站回月線\n量能回溫。\n```", "站回月線", "量能回溫。"},
      {"first line is running text", "量能回溫。\n站回月線。", "量能回溫",
       "量能回溫。\n站回月線。"},
      {"one line", "量能回溫，站回月線。", "量能回溫，站回月線", "量能回溫，站回月線。"},
      {"one question", "大家還抱著台積電嗎？", "大家還抱著台積電嗎？", "大家還抱著台積電嗎？"},
      {"long first line",
       "台積電（2330）今天開高走高，收在全日高點附近，成交量比五日均量多了三成，買盤很積極。\n後面"
       "再看。",
       "台積電（2330）今天開高走高，收在全日高點附近",
       "台積電（2330）今天開高走高，收在全日高點附近，成交量比五日均量多了三成，買盤很積極。\n後面"
       "再看。"},
      {"a phrase with the word", "今天公布的會議內容：資本支出上修。\n第二段。",
       "今天公布的會議內容：資本支出上修", "今天公布的會議內容：資本支出上修。\n第二段。"},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply leaves phrases alone that only look like labels") {
  const Case cases[] = {
      {"inner phrase", "標題：法說會內容：三重點\n內容：看標題：就知道。", "法說會內容：三重點",
       "看標題：就知道。"},
      {"words go on", "標題：一\n內容：甲。\n標題黨才會這樣寫。\n內容農場也是。", "一",
       "甲。\n標題黨才會這樣寫。\n內容農場也是。"},
      {"quoted word", "標題：一\n內容：甲。\n「內容」為王。", "一", "甲。\n「內容」為王。"},
      {"English words", "標題：一\n內容：甲。\nTitled bodyguards: contents", "一",
       "甲。\nTitled bodyguards: contents"},
  };
  for (const Case& c : cases) Check(c);
}

TEST_CASE("ParseReply takes Markdown out of the body and little else") {
  const auto body = [](std::string_view content) {
    return ParseReply("標題：一\n內容：" + std::string(content)).content;
  };
  CHECK(body("**量能**回溫，***站回***月線") == "量能回溫，站回月線");
  CHECK(body("甲\n## 小標\n- 一\n* 二\n+ 三\n• 四") == "甲\n小標\n一\n二\n三\n四");
  CHECK(body("甲\n\n---\n\n乙\n***\n丙\n___") == "甲\n\n乙\n\n丙");
  CHECK(body("甲\n\n\n\n\n乙") == "甲\n\n乙");
  CHECK(body("甲  \n  乙") == "甲\n乙");
  CHECK(body("#台積電 #AI 概念股") == "#台積電 #AI 概念股");
  CHECK(body("甲\n#台積電 #2330") == "甲\n#台積電 #2330");
  CHECK(body("甲\n-5% 之後\n+3.2%\n1. 保留編號") == "甲\n-5% 之後\n+3.2%\n1. 保留編號");
  CHECK(body("2*3=6，`MA20` 上彎") == "2*3=6，`MA20` 上彎");
  CHECK(body("甲\t乙  丙") == "甲\t乙  丙");
  CHECK(body("甲\n" + std::string(5000, '-') + "\n乙") == "甲\n\n乙");
  CHECK(body("👩‍💻 看盤中") == "👩‍💻 看盤中");
}

TEST_CASE("ParseReply cuts a title at 25 code points, at punctuation if it can") {
  const auto title = [](const std::string& text) {
    return ParseReply("標題：" + text + "\n內容：甲。").title;
  };
  const std::string ten = "一二三四五六七八九十";
  CHECK(title(ten + ten + "一二三四五") == ten + ten + "一二三四五");
  CHECK(title(ten + ten + ten) == ten + ten + "一二三四五");
  CHECK(title(ten + "，" + ten + ten) == ten);
  CHECK(title(ten + "？" + ten + ten) == ten + "？");
  CHECK(title(ten + "，" + ten + "！" + ten) == ten + "，" + ten + "！");
  CHECK(title("一二三，" + ten + ten + ten) == "一二三，" + ten + ten + "一");
  CHECK(title(ten + "**，**" + ten + ten) == ten);
}

TEST_CASE("DeriveTitle takes the first sentence") {
  CHECK(DeriveTitle("量能回溫。站回月線。") == "量能回溫");
  CHECK(DeriveTitle("還能追嗎？我看量。") == "還能追嗎？");
  CHECK(DeriveTitle("量能回溫\n站回月線") == "量能回溫");
  CHECK(DeriveTitle("").empty());
}

TEST_CASE("ParseReply does not fail on bytes that are no UTF-8") {
  for (const std::string_view reply :
       {"標題：\xFF\xFE\n內容：\x80甲", "\xF0\x9F", "標題：甲\xE5", "\xC0\x80:\xED\xA0\x80"}) {
    (void)ParseReply(reply);
  }
}

TEST_CASE("ParseReply takes time that grows with the reply's length only") {
  // Each of these was chosen to be slow under a parser that looks back; a quadratic one would take
  // minutes.
  const std::size_t n = 200000;
  for (const std::string& part :
       {std::string("-"), std::string("*"), std::string("`"), std::string(" "), std::string("\n"),
        std::string("#"), std::string("- \n"), std::string("```a")}) {
    std::string reply = "標題：一\n內容：甲\n";
    while (reply.size() < n) reply += part;
    CAPTURE(part);
    CHECK(ParseReply(reply).title == "一");
  }
}

TEST_CASE("ParseReply is done with nested brackets and bare marks in time, too") {
  const auto repeat = [](std::string_view part) {
    std::string text;
    while (text.size() < 200000) text += part;
    return text;
  };
  for (const std::string& reply :
       {"內容：" + repeat("[") + repeat("]"), repeat("。"), repeat("# "), repeat("*`")}) {
    CAPTURE(reply.substr(0, 12));
    CHECK(ParseReply(reply).title.size() < 100);
  }
  CHECK(ParseReply("標題：一\n內容：【「『量增』」】").content == "量增");
}

}  // namespace
}  // namespace postgen
